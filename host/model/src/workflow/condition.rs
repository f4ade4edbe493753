//! Conditions on an event's parameters that decide whether a run starts.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

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
    /// The parameter's text starts with this text.
    StartsWith(String),
    /// The parameter's text ends with this text.
    EndsWith(String),
    /// The parameter is a number greater than this one.
    GreaterThan(Number),
    /// The parameter is this number or a greater one.
    AtLeast(Number),
    /// The parameter is a number less than this one.
    LessThan(Number),
    /// The parameter is this number or a lesser one.
    AtMost(Number),
    /// The test fails, for example because the parameter is missing.
    Not(Box<Test>),
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
            (Test::Not(test), value) => !test.passes(value),
            (_, None) => false,
            (Test::Equals(text), Some(value)) => equal(value, text),
            (Test::OneOf(texts), Some(value)) => texts.iter().any(|text| equal(value, text)),
            (Test::Contains(text), Some(Value::Array(items))) => {
                items.iter().any(|item| equal(item, text))
            }
            (Test::Contains(text), Some(value)) => {
                text_of(value).is_some_and(|value| value.contains(text))
            }
            (Test::StartsWith(text), Some(value)) => {
                text_of(value).is_some_and(|value| value.starts_with(text))
            }
            (Test::EndsWith(text), Some(value)) => {
                text_of(value).is_some_and(|value| value.ends_with(text))
            }
            (Test::GreaterThan(bound), Some(value)) => {
                compare(value, bound).is_some_and(Ordering::is_gt)
            }
            (Test::AtLeast(bound), Some(value)) => {
                compare(value, bound).is_some_and(Ordering::is_ge)
            }
            (Test::LessThan(bound), Some(value)) => {
                compare(value, bound).is_some_and(Ordering::is_lt)
            }
            (Test::AtMost(bound), Some(value)) => {
                compare(value, bound).is_some_and(Ordering::is_le)
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

/// Compares a number, or a text that is one, with a bound; `None` if the value is not a number.
fn compare(value: &Value, bound: &Number) -> Option<Ordering> {
    let number = match value {
        Value::Number(number) => Cow::Borrowed(number),
        Value::String(text) => Cow::Owned(parse_number(text.trim())?),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    match (number.as_i64(), bound.as_i64()) {
        (Some(number), Some(bound)) => Some(number.cmp(&bound)),
        _ => number.as_f64()?.partial_cmp(&bound.as_f64()?),
    }
}

/// Parses a finite decimal number.
fn parse_number(text: &str) -> Option<Number> {
    match text.parse::<i64>() {
        Ok(number) => Some(number.into()),
        Err(_) => Number::from_f64(text.parse().ok()?),
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
    #![allow(clippy::unwrap_used, reason = "a test")]

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
    fn negations_are_opposites() {
        let tests = [
            Test::Equals("UA".into()),
            Test::Contains("UA".into()),
            Test::OneOf(vec!["UA".into(), "PL".into()]),
            Test::StartsWith("UA".into()),
            Test::EndsWith("UA".into()),
        ];
        for test in tests {
            let not = |value| passes(Test::Not(Box::new(test.clone())), value);
            assert!(passes(test.clone(), json!("UA")), "{test:?}");
            assert!(!not(json!("UA")), "{test:?}");
            for other in [json!("DE"), json!(""), json!(null), json!(7), json!(["DE"])] {
                assert!(!passes(test.clone(), other.clone()), "{test:?} {other}");
                assert!(not(other.clone()), "{test:?} {other}");
            }
            let missing = Condition::Param {
                name: "q".into(),
                test: Test::Not(Box::new(test)),
            };
            assert!(missing.matches(&|_| None), "{missing:?}");
        }
    }

    #[test]
    fn prefixes_and_suffixes_compare_text() {
        let starts = |text: &str, value| passes(Test::StartsWith(text.into()), value);
        assert!(starts("+380", json!("+380501234567")));
        assert!(starts("380", json!(380_501)));
        assert!(!starts("+380", json!("0501234567")));
        assert!(!starts("a", json!(["a"])));
        assert!(!starts("Ua", json!("UA")));
        let ends = |text: &str, value| passes(Test::EndsWith(text.into()), value);
        assert!(ends("@example.com", json!("ann@example.com")));
        assert!(ends("true", json!(true)));
        assert!(!ends("@example.com", json!("ann@example.com.ua")));
        assert!(!ends("a", json!({ "a": "a" })));
    }

    #[test]
    fn comparisons_read_numbers_and_their_texts() {
        let bound = |text: &str| parse_number(text).unwrap();
        let results = |value: Value, text: &str| {
            [
                Test::GreaterThan(bound(text)),
                Test::AtLeast(bound(text)),
                Test::LessThan(bound(text)),
                Test::AtMost(bound(text)),
            ]
            .map(|test| passes(test, value.clone()))
        };
        let greater = [true, true, false, false];
        let equal = [false, true, false, true];
        let less = [false, false, true, true];
        assert_eq!(results(json!(101), "100"), greater);
        assert_eq!(results(json!("1000"), "999"), greater, "not in text order");
        assert_eq!(results(json!(" 100.50 "), "100.5"), equal);
        assert_eq!(results(json!(100.0), "100"), equal);
        assert_eq!(results(json!(-1), "0"), less);
        assert_eq!(results(json!("1e2"), "100.01"), less);
        // Beyond the precision of a float.
        let large = json!(9_007_199_254_740_993_i64);
        assert_eq!(results(large, "9007199254740992"), greater);
        for other in [
            json!(null),
            json!(true),
            json!(""),
            json!("many"),
            json!("inf"),
            json!("NaN"),
            json!("1,000"),
            json!([100]),
        ] {
            assert_eq!(results(other.clone(), "0"), [false; 4], "{other}");
        }
        let missing = Condition::Param {
            name: "q".into(),
            test: Test::AtMost(bound("0")),
        };
        assert!(!missing.matches(&|_| None));
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
