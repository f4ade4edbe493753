use serde_json::json;

use super::*;

fn choice() -> Kind {
    let alternative = |name: &str, payload| Alternative {
        name: name.into(),
        title: name.into(),
        payload,
    };
    Kind::Choice(vec![
        alternative("fail", None),
        alternative("code", Some(PayloadType::Text)),
        alternative("contact", Some(PayloadType::Duration)),
    ])
}

#[test]
fn converts_values_to_the_expected_type() {
    let text = |text: &str| Argument::Text(text.into());
    let chosen = |name: &str, payload| {
        Argument::Choice(Choice {
            name: name.into(),
            payload,
        })
    };
    let hours = |from, until| {
        Argument::Hours(Hours {
            from,
            until,
            time_zone: None,
        })
    };
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
            Argument::Integer(99),
        ),
        (
            Kind::Integer { min: 0, max: 99 },
            json!(" 7 "),
            Argument::Integer(7),
        ),
        (
            Kind::Decimal { min: 0.0, max: 1.0 },
            json!(1),
            Argument::Decimal(1.0),
        ),
        (
            Kind::Decimal { min: 0.0, max: 1.0 },
            json!("0.5"),
            Argument::Decimal(0.5),
        ),
        (Kind::Boolean, json!(true), Argument::Boolean(true)),
        (Kind::Boolean, json!("false"), Argument::Boolean(false)),
        (Kind::Duration, json!("2m"), Argument::Duration(120)),
        (choice(), json!("fail"), chosen("fail", None)),
        (
            choice(),
            json!({ "code": "A1" }),
            chosen("code", Some(Payload::Text("A1".into()))),
        ),
        (
            choice(),
            json!({ "contact": "1d" }),
            chosen("contact", Some(Payload::Duration(86_400))),
        ),
        (Kind::Message, json!("m"), text("m")),
        (
            Kind::Channel,
            json!("mobile-push"),
            Argument::Channel(ChannelKind::MobilePush),
        ),
        (Kind::Hours, json!("21:00-24:00"), hours(1260, 1440)),
        (Kind::Hours, json!("22:00-06:30"), hours(1320, 390)),
        (Kind::TimeZone, json!("Europe/Kyiv"), text("Europe/Kyiv")),
        (
            Kind::Any,
            json!([1, "a"]),
            Argument::Json(r#"[1,"a"]"#.into()),
        ),
        (Kind::Any, json!(1.5), Argument::Decimal(1.5)),
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

#[test]
fn names_the_invalid_part_of_an_alternative() {
    let good = json!({ "channel": "sms", "message": "m" });
    for (value, expected) in [
        (
            json!({ "channel": "sms", "message": "m" }),
            "expected a list of 1 to 5 alternatives, found a mapping",
        ),
        (
            json!(vec![good.clone(); 6]),
            "expected a list of 1 to 5 alternatives, found a list",
        ),
        (
            json!([good, { "channel": "pigeon", "message": "m" }]),
            "expected one of email, sms, viber, mobile-push, web-push, telegram as `channel` of \
             alternative 2, found `pigeon`",
        ),
        (
            json!([{ "message": "m" }]),
            "expected one of email, sms, viber, mobile-push, web-push, telegram as `channel` of \
             alternative 1, found nothing",
        ),
        (
            json!([{ "channel": "sms", "message": "" }]),
            "expected the id of a message as `message` of alternative 1, found ``",
        ),
        (
            json!([{ "channel": "sms", "message": "m", "to": [] }]),
            "expected text of 0 to 2000 characters as `to` of alternative 1, found a list",
        ),
    ] {
        let error = coerce(&Kind::Targets, &value).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}
