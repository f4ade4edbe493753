//! Arguments that several commands take.

use clap::Args;

/// Whatever follows a command that does not exist yet, so that what is refused is the command.
#[derive(Args)]
pub(super) struct Rest {
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        hide = true,
        value_name = "ARGS"
    )]
    _rest: Vec<String>,
}

/// A parameter as `--param` takes it: `NAME=VALUE`; everything behind the first `=` is the value.
pub(super) fn name_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some(("", _)) => Err("the name before `=` is missing".into()),
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err("expected NAME=VALUE, such as firstName=Ann".into()),
    }
}

/// A parameter as `--json-param` takes it: `NAME=JSON`.
pub(super) fn name_and_json(text: &str) -> Result<(String, serde_json::Value), String> {
    let (name, json) = name_and_value(text)?;
    let value = serde_json::from_str(&json)
        .map_err(|error| format!("what stands behind `{name}=` is not JSON: {error}"))?;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_parameter_is_split_at_the_first_equals_sign() {
        let pair = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(name_and_value("a=b=c"), pair("a", "b=c"));
        assert_eq!(name_and_value("a="), pair("a", ""));
        assert!(name_and_value("a").is_err());
        assert!(name_and_value("=b").is_err());
    }

    #[test]
    fn a_json_parameter_keeps_its_type() {
        assert_eq!(
            name_and_json("a=[1,\"x\"]"),
            Ok(("a".into(), json!([1, "x"])))
        );
        let error = name_and_json("a=Ann").unwrap_err();
        assert!(error.contains("`a=` is not JSON"), "{error}");
    }
}
