//! What values may contain to be stored.
//!
//! JSON parsers accept 128 levels by default, and a stored value is itself nested in records and
//! messages. A limit far below that keeps everything that is stored readable. Not every database
//! can hold the character U+0000.

use serde_json::Value;

/// Maximum nesting of lists and objects in a value.
pub const MAX_VALUE_DEPTH: usize = 64;

/// Rejects a value from outside that is nested too deeply or contains the character U+0000.
pub fn check_value(value: &Value) -> Result<(), String> {
    check(value, check_text)
}

/// Rejects a value that is nested too deeply.
pub fn check_depth(value: &Value) -> Result<(), String> {
    check(value, |_| Ok(()))
}

fn check(value: &Value, check_text: fn(&str) -> Result<(), String>) -> Result<(), String> {
    // Iterative, because an embedder's value may have any depth.
    let mut left = vec![(value, 0)];
    while let Some((value, around)) = left.pop() {
        let depth = around + 1;
        if depth > MAX_VALUE_DEPTH && (value.is_array() || value.is_object()) {
            return Err(format!(
                "lists and objects are nested more than {MAX_VALUE_DEPTH} levels deep; flatten the value"
            ));
        }
        match value {
            Value::String(text) => check_text(text)?,
            Value::Array(items) => left.extend(items.iter().map(|item| (item, depth))),
            Value::Object(members) => {
                for (name, member) in members {
                    check_text(name)?;
                    left.push((member, depth));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    Ok(())
}

/// Rejects a text that contains the character U+0000.
pub fn check_text(text: &str) -> Result<(), String> {
    match text.contains('\0') {
        true => Err("contains the character U+0000, which cannot be stored; remove it".to_owned()),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn nested(depth: usize) -> Value {
        (0..depth).fold(json!(1), |value, level| match level % 2 {
            // Not with `json!`, which would recurse into the existing value.
            0 => Value::Array(vec![json!(0), value]),
            _ => Value::Object([("a".to_owned(), value)].into_iter().collect()),
        })
    }

    #[test]
    fn accepts_values_up_to_the_limit() {
        for depth in [0, 1, MAX_VALUE_DEPTH] {
            assert_eq!(check_value(&nested(depth)), Ok(()), "{depth}");
        }
        for depth in [MAX_VALUE_DEPTH + 1, 126, 10_000] {
            let deep = nested(depth);
            assert!(check_value(&deep).is_err(), "{depth}");
            // Dropping it would recurse to the same depth.
            std::mem::forget(deep);
        }
    }

    #[test]
    fn rejects_u_0000_in_every_text() {
        for value in [
            json!("a\0"),
            json!(["a", "\0"]),
            json!({ "a": { "b\0": 1 } }),
            json!({ "a": [{ "b": "\0" }] }),
        ] {
            let error = check_value(&value).expect_err("U+0000 is accepted");
            assert!(error.contains("U+0000"), "{error}");
        }
        assert_eq!(check_value(&json!({ "a": ["\\u0000", "\u{1}"] })), Ok(()));
    }
}
