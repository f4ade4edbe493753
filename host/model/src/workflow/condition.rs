//! Conditions on an event's parameters that decide whether a run starts.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A condition on the event's parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Condition {
    /// All conditions hold.
    All(Vec<Condition>),
    /// At least one condition holds.
    Any(Vec<Condition>),
    /// A parameter passes a test.
    Param {
        /// The parameter's name.
        name: String,
        /// The test.
        test: Test,
    },
}

/// A test of a parameter. Numbers compare by their text: `"1"` equals 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Test {
    /// The parameter exists and is neither null nor an empty text, list or object.
    Set,
    /// The opposite of `Set`.
    Empty,
    /// The parameter equals this value.
    Equals(String),
    /// The parameter is a text that contains this text, or a list that contains this item.
    Contains(String),
    /// The parameter equals one of these values.
    OneOf(Vec<String>),
}

impl Condition {
    /// Returns true if the condition holds for the event's parameters.
    pub fn matches(&self, param: &dyn Fn(&str) -> Option<Value>) -> bool {
        match self {
            Condition::All(all) => all.iter().all(|condition| condition.matches(param)),
            Condition::Any(any) => any.iter().any(|condition| condition.matches(param)),
            Condition::Param { name, test } => test.passes(param(name).as_ref()),
        }
    }
}

impl Condition {
    /// Calls `each` with the name of every parameter in the condition.
    pub(super) fn for_each_param(&self, each: &mut dyn FnMut(&str)) {
        match self {
            Condition::All(some) | Condition::Any(some) => {
                some.iter().for_each(|one| one.for_each_param(each));
            }
            Condition::Param { name, .. } => each(name),
        }
    }

    /// Returns true if `param` holds for the name of any parameter in the condition.
    pub(super) fn names(&self, param: &dyn Fn(&str) -> bool) -> bool {
        match self {
            Condition::All(some) | Condition::Any(some) => some.iter().any(|one| one.names(param)),
            Condition::Param { name, .. } => param(name),
        }
    }
}

impl Test {
    fn passes(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Test::Set, value) => is_set(value),
            (Test::Empty, value) => !is_set(value),
            (_, None) => false,
            (Test::Equals(text), Some(value)) => equal(value, text),
            (Test::OneOf(texts), Some(value)) => texts.iter().any(|text| equal(value, text)),
            (Test::Contains(text), Some(Value::Array(items))) => {
                items.iter().any(|item| equal(item, text))
            }
            (Test::Contains(text), Some(value)) => {
                text_of(value).is_some_and(|value| value.contains(text))
            }
        }
    }
}

fn is_set(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(map)) => !map.is_empty(),
        Some(Value::Bool(_) | Value::Number(_)) => true,
    }
}

fn equal(value: &Value, text: &str) -> bool {
    if text_of(value).is_some_and(|value| value == text) {
        return true;
    }
    // A number has several notations: 1.0 is 1, and 1e2 is 100.
    match value {
        Value::Number(number) => {
            number
                .as_f64()
                .is_some_and(|number| text.parse() == Ok(number))
                && number.as_i64().is_none()
        }
        _ => false,
    }
}

fn text_of(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(truth) => Some(Cow::Borrowed(if *truth { "true" } else { "false" })),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn passes(test: Test, value: Value) -> bool {
        Condition::Param {
            name: "p".into(),
            test,
        }
        .matches(&|name| (name == "p").then(|| value.clone()))
    }

    #[test]
    fn set_and_empty_are_opposites() {
        for (value, set) in [
            (json!(null), false),
            (json!(""), false),
            (json!([]), false),
            (json!({}), false),
            (json!(" "), true),
            (json!(0), true),
            (json!(false), true),
        ] {
            assert_eq!(passes(Test::Set, value.clone()), set, "{value}");
            assert_eq!(passes(Test::Empty, value.clone()), !set, "{value}");
        }
        let missing = |test| {
            Condition::Param {
                name: "q".into(),
                test,
            }
            .matches(&|_| None)
        };
        assert!(!missing(Test::Set));
        assert!(missing(Test::Empty));
        assert!(!missing(Test::Equals("".into())));
    }

    #[test]
    fn numbers_and_booleans_compare_with_their_text() {
        let equals = |text: &str, value| passes(Test::Equals(text.into()), value);
        assert!(equals("1", json!(1)));
        assert!(equals("1", json!("1")));
        assert!(equals("1", json!(1.0)));
        assert!(equals("true", json!(true)));
        assert!(!equals("1", json!("1.0")));
        assert!(!equals("01", json!(1)));
        assert!(!equals("+380501", json!("380501")));
        // Beyond the precision of a float.
        assert!(!equals("9007199254740993", json!(9007199254740992_i64)));
        assert!(!equals("UA", json!("ua")));
        assert!(!equals("null", json!(null)));
    }

    #[test]
    fn contains_searches_texts_and_lists() {
        let contains = |text: &str, value| passes(Test::Contains(text.into()), value);
        assert!(contains("shop", json!("eshop.example")));
        assert!(contains("2", json!([1, 2])));
        assert!(!contains("shop", json!(["eshop"])));
        assert!(!contains("a", json!({ "a": 1 })));
    }

    #[test]
    fn all_and_any_nest() {
        let param = |name: &str, test| Condition::Param {
            name: name.into(),
            test,
        };
        let condition = Condition::All(vec![
            param("email", Test::Set),
            Condition::Any(vec![
                param("country", Test::OneOf(vec!["UA".into(), "PL".into()])),
                param("vip", Test::Equals("true".into())),
            ]),
        ]);
        let holds = |value: Value| condition.matches(&|name| value.get(name).cloned());
        assert!(holds(json!({ "email": "a@b", "country": "PL" })));
        assert!(holds(json!({ "email": "a@b", "vip": true })));
        assert!(!holds(json!({ "email": "a@b", "country": "DE" })));
        assert!(!holds(json!({ "vip": true })));
    }
}
