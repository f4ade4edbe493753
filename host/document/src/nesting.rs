//! Maximum nesting of values.
//!
//! JSON parsers accept 128 levels by default, and a stored value is itself nested in records and
//! messages. A limit far below that keeps everything that is stored readable.

use serde_json::Value;

/// Maximum nesting of lists and objects in a value.
pub const MAX_VALUE_DEPTH: usize = 64;

/// Rejects a value that is nested too deeply.
pub fn check_depth(value: &Value) -> Result<(), String> {
    // Iterative, because an embedder's value may have any depth.
    let mut left = vec![(value, 0)];
    while let Some((value, around)) = left.pop() {
        let depth = around + 1;
        let mut nested: Vec<&Value> = match value {
            Value::Array(items) => items.iter().collect(),
            Value::Object(members) => members.values().collect(),
            _ => continue,
        };
        if depth > MAX_VALUE_DEPTH {
            return Err(format!(
                "lists and objects are nested more than {MAX_VALUE_DEPTH} levels deep; flatten the value"
            ));
        }
        nested.retain(|value| value.is_array() || value.is_object());
        left.extend(nested.into_iter().map(|value| (value, depth)));
    }
    Ok(())
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
            assert_eq!(check_depth(&nested(depth)), Ok(()), "{depth}");
        }
        for depth in [MAX_VALUE_DEPTH + 1, 126, 10_000] {
            let deep = nested(depth);
            assert!(check_depth(&deep).is_err(), "{depth}");
            // Dropping it would recurse to the same depth.
            std::mem::forget(deep);
        }
    }
}
