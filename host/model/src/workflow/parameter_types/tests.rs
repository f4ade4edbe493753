use serde_json::json;

use super::*;

fn choice() -> Kind {
    let alternative = |name: &str, carries| Alternative {
        name: name.into(),
        title: name.into(),
        carries,
    };
    Kind::Choice(vec![
        alternative("fail", Carries::Nothing),
        alternative("code", Carries::Text),
        alternative("contact", Carries::Duration),
    ])
}

#[test]
fn converts_values_to_the_expected_type() {
    let text = |text: &str| Value::Text(text.into());
    for (kind, value, expected) in [
        (
            Kind::Text {
                min_length: 1,
                max_length: 4,
            },
            json!("абвг"),
            text("абвг"),
        ),
        (
            Kind::Text {
                min_length: 1,
                max_length: 4,
            },
            json!(2026),
            text("2026"),
        ),
        (
            Kind::Integer { min: 0, max: 99 },
            json!(99),
            Value::Integer(99),
        ),
        (
            Kind::Integer { min: 0, max: 99 },
            json!(" 7 "),
            Value::Integer(7),
        ),
        (
            Kind::Decimal { min: 0.0, max: 1.0 },
            json!(1),
            Value::Decimal(1.0),
        ),
        (
            Kind::Decimal { min: 0.0, max: 1.0 },
            json!("0.5"),
            Value::Decimal(0.5),
        ),
        (Kind::Boolean, json!(true), Value::Boolean(true)),
        (Kind::Boolean, json!("false"), Value::Boolean(false)),
        (Kind::Duration, json!("2m"), Value::Integer(120)),
        (choice(), json!("fail"), text("fail")),
        (
            choice(),
            json!({ "code": "A1" }),
            Value::Json(r#"{"code":"A1"}"#.into()),
        ),
        (
            choice(),
            json!({ "contact": "1d" }),
            Value::Json(r#"{"contact":86400}"#.into()),
        ),
        (Kind::Message, json!("m"), text("m")),
        (Kind::Channel, json!("mobile-push"), text("mobile-push")),
        (Kind::Hours, json!("21:00-24:00"), text("21:00-24:00")),
        (Kind::Hours, json!("22:00-06:30"), text("22:00-06:30")),
        (Kind::TimeZone, json!("Europe/Kyiv"), text("Europe/Kyiv")),
        (Kind::Any, json!([1, "a"]), Value::Json(r#"[1,"a"]"#.into())),
        (Kind::Any, json!(1.5), Value::Decimal(1.5)),
    ] {
        assert_eq!(coerce(&kind, &value), Ok(expected), "{kind:?} {value}");
    }
}

#[test]
fn rejects_mismatches_with_the_bounds() {
    for (kind, value, expected) in [
        (
            Kind::Text {
                min_length: 1,
                max_length: 4,
            },
            json!("abcde"),
            "expected text of 1 to 4 characters, found 5 characters",
        ),
        (
            Kind::Text {
                min_length: 1,
                max_length: u32::MAX,
            },
            json!(""),
            "expected non-empty text, found 0 characters",
        ),
        (
            Kind::Text {
                min_length: 0,
                max_length: u32::MAX,
            },
            json!([]),
            "expected text, found a list",
        ),
        (
            Kind::Integer { min: 1, max: 99 },
            json!(150),
            "expected an integer from 1 to 99, found 150",
        ),
        (
            Kind::Integer {
                min: 0,
                max: i64::MAX,
            },
            json!(1.5),
            "expected an integer of at least 0, found 1.5",
        ),
        (
            Kind::Integer {
                min: i64::MIN,
                max: 9,
            },
            json!("ten"),
            "expected an integer of at most 9, found `ten`",
        ),
        (
            Kind::Decimal {
                min: 0.0,
                max: f64::MAX,
            },
            json!("NaN"),
            "expected a number of at least 0, found `NaN`",
        ),
        (
            Kind::Boolean,
            json!("yes"),
            "expected true or false, found `yes`",
        ),
        (
            Kind::Duration,
            json!(30),
            "expected a duration such as 90s, 15m, 12h or 30d, found 30",
        ),
        (
            choice(),
            json!("fial"),
            "expected one of fail, { code: … }, { contact: 30d }, found `fial`",
        ),
        (
            choice(),
            json!({ "fail": 1 }),
            "expected one of fail, { code: … }, { contact: 30d }, found `{ fail: … }`",
        ),
        (
            Kind::Message,
            json!(1),
            "expected the id of a message, found 1",
        ),
        (
            Kind::Channel,
            json!("emial"),
            "expected one of email, sms, viber, mobile-push, web-push, telegram, found `emial`",
        ),
        (
            Kind::Hours,
            json!("9-21"),
            "expected hours of the day such as 09:00-21:00, found `9-21`",
        ),
        (
            Kind::Hours,
            json!("24:00-25:00"),
            "expected hours of the day such as 09:00-21:00, found `24:00-25:00`",
        ),
        (
            Kind::Hours,
            json!("09:00-09:00"),
            "expected hours of the day such as 09:00-21:00, found `09:00-09:00`",
        ),
        (
            Kind::TimeZone,
            json!("Kyiv"),
            "expected a time zone such as Europe/Kyiv, found `Kyiv`",
        ),
        (Kind::Any, json!(null), "expected a value, found nothing"),
    ] {
        let mismatch = coerce(&kind, &value).unwrap_err();
        assert_eq!(mismatch.to_string(), expected, "{kind:?} {value}");
    }
}

#[test]
fn suggests_a_replacement() {
    let hint = |kind: Kind, value| coerce(&kind, &value).unwrap_err().hint.unwrap_or_default();
    assert_eq!(
        hint(Kind::Duration, json!(30)),
        "add a unit: 30s, 30m, 30h or 30d"
    );
    assert_eq!(
        hint(Kind::Duration, json!("30")),
        "add a unit: 30s, 30m, 30h or 30d"
    );
    assert_eq!(hint(choice(), json!("fial")), "did you mean `fail`?");
    assert_eq!(hint(choice(), json!("code")), "write `{ code: … }`");
    assert_eq!(
        hint(choice(), json!({ "contact": "soon" })),
        "write `{ contact: 30d }`"
    );
    assert_eq!(hint(Kind::Channel, json!("emial")), "did you mean `email`?");
    assert_eq!(
        hint(Kind::TimeZone, json!("Europe/Kyv")),
        "did you mean `Europe/Kyiv`?"
    );
}
