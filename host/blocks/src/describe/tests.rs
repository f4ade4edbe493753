use super::*;
use crate::bindings::promoflow::workflow::types::Value as WitValue;

fn parameter(name: &str, kind: wit::Kind, default: Option<WitValue>) -> wit::Parameter {
    wit::Parameter {
        name: name.into(),
        title: "T".into(),
        description: "D".into(),
        kind,
        required: false,
        default,
    }
}

fn port(name: &str) -> wit::Port {
    wit::Port {
        name: name.into(),
        title: "T".into(),
        description: "D".into(),
        follows: true,
    }
}

fn described() -> wit::Description {
    wit::Description {
        name: "good".into(),
        version: "1.0.0".into(),
        title: "Good".into(),
        description: "Does good.".into(),
        parameters: Vec::new(),
        ports: vec![port("next")],
    }
}

fn refused(change: impl FnOnce(&mut wit::Description)) -> String {
    let mut description = described();
    change(&mut description);
    let error = read_description(description).expect_err("the description is rejected");
    assert!(error.chars().count() < 400, "{error}");
    assert!(!error.chars().any(char::is_control), "{error:?}");
    error
}

fn with(kind: wit::Kind, default: Option<WitValue>) -> Result<Description> {
    let mut description = described();
    description.parameters = vec![parameter("p", kind, default)];
    read_description(description)
}

fn text(min_length: u32, max_length: u32) -> wit::Kind {
    wit::Kind::Text(wit::TextBounds {
        min_length,
        max_length,
    })
}

fn decimal(min: f64, max: f64) -> wit::Kind {
    wit::Kind::Decimal(wit::DecimalBounds { min, max })
}

fn integer(min: i64, max: i64) -> wit::Kind {
    wit::Kind::Integer(wit::IntegerBounds { min, max })
}

fn choice(names: &[(&str, wit::Carries)]) -> wit::Kind {
    let alternative = |(name, carries): &(&str, wit::Carries)| wit::Alternative {
        name: (*name).into(),
        title: "T".into(),
        carries: *carries,
    };
    wit::Kind::Choice(names.iter().map(alternative).collect())
}

#[test]
fn texts_are_cut_and_sanitised() {
    let hostile = format!("\u{1b}[2J\u{9b}31m\u{202e}evil\r\n{}", "x".repeat(900_000));
    let mut description = described();
    description.version.clone_from(&hostile);
    description.title.clone_from(&hostile);
    description.description.clone_from(&hostile);
    description.ports[0].title.clone_from(&hostile);
    description.ports[0].description.clone_from(&hostile);
    let mut one = parameter("p", wit::Kind::Any, None);
    one.title.clone_from(&hostile);
    one.description.clone_from(&hostile);
    description.parameters.push(one);
    let read = read_description(description).unwrap();
    let stored = serde_json::to_string(&read).unwrap();
    assert!(stored.len() < 40_000, "{} bytes", stored.len());
    for part in [&read.version, &read.title, &read.ports[0].description] {
        assert!(!part.chars().any(char::is_control), "{part:?}");
        assert!(!part.contains('\u{202e}'), "{part:?}");
    }
}

#[test]
fn names_are_kebab_case_and_unique() {
    for bad in ["", "A", "a b", "a\u{1b}[2J", "é", &"x".repeat(900_000)] {
        assert!(refused(|one| one.name = bad.into()).contains("kebab-case"));
        assert!(refused(|one| one.ports = vec![port(bad)]).contains("the port"));
        assert!(
            refused(|one| one.parameters = vec![parameter(bad, wit::Kind::Any, None)])
                .contains("the parameter")
        );
    }
    assert!(refused(|one| one.ports = vec![port("a"), port("a")]).contains("twice"));
    let twice = choice(&[("a", wit::Carries::Nothing), ("a", wit::Carries::Text)]);
    assert!(with(twice, None).unwrap_err().contains("twice"));
}

#[test]
fn counts_are_limited() {
    assert!(refused(|one| one.ports.clear()).contains("no port"));
    assert!(
        refused(|one| one.ports = (0..101).map(|n| port(&format!("p-{n}"))).collect())
            .contains("101 ports; at most 100")
    );
    assert!(
        refused(|one| {
            let many = (0..101).map(|n| parameter(&format!("p-{n}"), wit::Kind::Any, None));
            one.parameters = many.collect();
        })
        .contains("101 parameters")
    );
    let names: Vec<String> = (0..201).map(|n| format!("a-{n}")).collect();
    let many: Vec<_> = names
        .iter()
        .map(|name| (&**name, wit::Carries::Nothing))
        .collect();
    assert!(
        with(choice(&many), None)
            .unwrap_err()
            .contains("201 alternatives")
    );
    assert!(with(choice(&[]), None).is_err());
}

#[test]
fn limits_are_made_finite_and_must_be_ordered() {
    for ((min, max), (read_min, read_max)) in [
        ((f64::NAN, 1.0), (f64::MIN, 1.0)),
        ((0.0, f64::NAN), (0.0, f64::MAX)),
        ((f64::NEG_INFINITY, f64::INFINITY), (f64::MIN, f64::MAX)),
    ] {
        let description = with(decimal(min, max), None).unwrap();
        let (min, max) = (read_min, read_max);
        assert_eq!(description.parameters[0].kind, Kind::Decimal { min, max });
        // Runs use the stored description.
        let stored = serde_json::to_string(&description).unwrap();
        let read: Description = serde_json::from_str(&stored).unwrap();
        assert_eq!(read, description);
    }
    let default = Some(WitValue::Decimal(f64::NAN));
    let description = with(decimal(0.0, 1.0), default).unwrap();
    assert_eq!(description.parameters[0].default, None);
    for (min, max) in [(1.0, 0.0), (f64::INFINITY, 0.0)] {
        assert!(with(decimal(min, max), None).is_err(), "{min} to {max}");
    }
    assert!(with(decimal(f64::MIN, f64::MAX), None).is_ok());
    assert!(with(decimal(-0.0, 0.1 + 0.2), None).is_ok());
    assert!(with(integer(1, 0), None).unwrap_err().contains("greater"));
    assert!(with(integer(i64::MIN, i64::MAX), None).is_ok());
    assert!(with(text(2, 1), None).unwrap_err().contains("greater"));
}

#[test]
fn defaults_are_checked_against_their_kind() {
    use wit::Carries::{Duration, Nothing, Text};
    let words = |text: &str| Some(WitValue::Text(text.into()));
    let json = |text: &str| Some(WitValue::Json(text.into()));
    let number = |number| Some(WitValue::Integer(number));
    let some = || choice(&[("plain", Nothing), ("code", Text), ("contact", Duration)]);
    for (kind, default) in [
        (text(1, 3), words("abc")),
        (integer(0, 9), number(9)),
        (decimal(0.0, 1.0), Some(WitValue::Decimal(0.5))),
        (decimal(0.0, 1.0), number(1)),
        (wit::Kind::Boolean, Some(WitValue::Boolean(true))),
        (wit::Kind::Duration, number(0)),
        (some(), words("plain")),
        (some(), json(r#"{"code":"WELCOME"}"#)),
        (some(), json(r#"{"contact":60}"#)),
        (wit::Kind::Channel, words("email")),
        (wit::Kind::Hours, words("09:00-21:00")),
        (wit::Kind::TimeZone, words("Europe/Kyiv")),
        (wit::Kind::Any, json("[1]")),
    ] {
        let read = with(kind.clone(), default.clone());
        assert!(read.is_ok(), "{kind:?} {default:?}: {read:?}");
    }
    for (kind, default) in [
        (text(1, 3), words("abcd")),
        (text(1, 3), number(1)),
        (text(0, u32::MAX), words(&"x".repeat(900_000))),
        (integer(0, 9), number(10)),
        (decimal(0.0, 1.0), Some(WitValue::Decimal(2.0))),
        (decimal(0.0, 1.0), number(2)),
        (wit::Kind::Boolean, words("true")),
        (wit::Kind::Duration, number(-1)),
        (some(), words("code")),
        (some(), words("other")),
        (some(), json(r#"{"contact":"60"}"#)),
        (some(), json(r#"{"code":"a","contact":1}"#)),
        (wit::Kind::Message, words("")),
        (wit::Kind::Channel, words("pigeon")),
        (wit::Kind::Hours, words("always")),
        (wit::Kind::TimeZone, words("Mars/Olympus")),
        (wit::Kind::Any, json(&"[".repeat(100))),
        (wit::Kind::Any, json("{")),
    ] {
        let read = with(kind.clone(), default.clone());
        let error = read.expect_err(&format!("{kind:?} {default:?}"));
        assert!(error.contains("`p`: its default"), "{error}");
    }
}
