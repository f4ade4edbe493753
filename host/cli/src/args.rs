//! Arguments shared by several commands.

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

/// A value of an option: its name, the value, and its description for `--help`.
pub(super) type Choice<T> = (&'static str, T, &'static str);

/// Creates the parser of an option that takes one of these values.
pub(super) fn choice<T, const N: usize>(values: [Choice<T>; N]) -> impl TypedValueParser<Value = T>
where
    T: Clone + Send + Sync + 'static,
{
    let names = values
        .each_ref()
        .map(|(name, _, help)| PossibleValue::new(*name).help(*help));
    PossibleValuesParser::new(names).try_map(move |name| {
        let mut known = values.iter();
        let found = known.find(|(known, _, _)| *known == name);
        found
            .map(|(_, value, _)| value.clone())
            .ok_or("unknown value")
    })
}

/// The rest of the arguments of a command that does not exist yet, so that the error is about the
/// command and not about its arguments.
#[derive(Args)]
pub(super) struct IgnoredArgs {
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        hide = true,
        value_name = "ARGS"
    )]
    _rest: Vec<String>,
}

/// Parses a `--param NAME=VALUE`; everything after the first `=` is the value.
pub(super) fn name_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some(("", _)) => Err("missing name before `=`".into()),
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err("expected NAME=VALUE, such as firstName=Ann".into()),
    }
}

/// Parses a `--json-param NAME=JSON`.
pub(super) fn name_and_json(text: &str) -> Result<(String, serde_json::Value), String> {
    let (name, json) = name_and_value(text)?;
    let value = serde_json::from_str(&json)
        .map_err(|error| format!("the value of `{name}=` is not JSON: {error}"))?;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn splits_parameter_at_first_equals_sign() {
        let pair = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(name_and_value("a=b=c"), pair("a", "b=c"));
        assert_eq!(name_and_value("a="), pair("a", ""));
        assert!(name_and_value("a").is_err());
        assert!(name_and_value("=b").is_err());
    }

    #[test]
    fn json_parameter_keeps_its_type() {
        assert_eq!(
            name_and_json("a=[1,\"x\"]"),
            Ok(("a".into(), json!([1, "x"])))
        );
        let error = name_and_json("a=Ann").unwrap_err();
        assert!(error.contains("`a=` is not JSON"), "{error}");
    }
}
