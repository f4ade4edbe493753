//! To whom a step sends, and when.

use promoflow_block::testing::Host;
use promoflow_block::{Error, Hours, Outcome, Request, SendError, Value, messages::Recipient};

use super::SendMessage;

type Param = (&'static str, Value);

fn step(channel: &str, more: impl IntoIterator<Item = Param>) -> Vec<Param> {
    let mut params = vec![("channel", channel.into()), ("message", "hello".into())];
    params.extend(more);
    params
}

/// Runs a step and returns the address that it sent to.
fn address(host: Host, channel: &str, to: Option<&str>) -> Result<String, Error> {
    sent(host, step(channel, to.map(|to| ("to", to.into())))).map(|request| {
        match &request.targets[0].recipient {
            Recipient::Address(address) => address.clone(),
            Recipient::Contact(contact) => panic!("{contact}"),
        }
    })
}

fn sent(mut host: Host, params: Vec<Param>) -> Result<Request, Error> {
    let outcome = host.run::<SendMessage>(params)?;
    assert_eq!(outcome, Outcome::port("next"));
    assert_eq!(host.sent.len(), 1);
    Ok(host.sent.remove(0))
}

fn ok(address: &str) -> Result<String, Error> {
    Ok(address.into())
}

#[test]
fn sends_to_what_the_step_gives() {
    let host = Host::new().value("Email", "other@example.com");
    assert_eq!(
        address(host, "email", Some("ann@example.com")),
        ok("ann@example.com")
    );
}

#[test]
fn sends_to_the_value_that_the_step_names() {
    let host = || {
        Host::new()
            .value("Work", "ann@work.example")
            .value("Blank", " ")
    };
    assert_eq!(
        address(host(), "email", Some("Work")),
        ok("ann@work.example")
    );
    assert_eq!(address(host(), "email", Some("work")), ok("work"));
    assert!(matches!(
        address(host(), "email", Some("Blank")),
        Err(Error::Rejected(_))
    ));
}

#[test]
fn an_address_that_came_out_empty_is_not_replaced_by_another() {
    let host = Host::new().value("Email", "ann@example.com");
    assert!(matches!(
        address(host, "email", Some("")),
        Err(Error::Rejected(_))
    ));
}

#[test]
fn tries_the_usual_names_in_their_order() {
    let host = Host::new()
        .value("ContactEmail", "4@example.com")
        .value("EmailAddress", "2@example.com")
        .value("Email", "");
    assert_eq!(address(host, "email", None), ok("2@example.com"));
    let host = || Host::new().value("PhoneNumber", 380_501_234_567);
    assert_eq!(address(host(), "sms", None), ok("380501234567"));
    assert_eq!(address(host(), "viber", None), ok("380501234567"));
    let host = Host::new().value("MobPushToken", "t1");
    assert_eq!(address(host, "mobile-push", None), ok("t1"));
    let host = Host::new().value("TelegramBotToken", "t2");
    assert_eq!(address(host, "telegram", None), ok("t2"));
}

#[test]
fn the_events_key_serves_as_an_email_address() {
    let host = Host::new().key("ann@example.com");
    assert_eq!(address(host.clone(), "email", None), ok("ann@example.com"));
    assert!(address(host, "sms", None).is_err());
    for key in ["", "ann", "@", "ann@", "@example.com", "a@b@c", "a b@c"] {
        assert!(
            address(Host::new().key(key), "email", None).is_err(),
            "{key}"
        );
    }
}

#[test]
fn says_which_names_were_tried() {
    let Err(Error::Rejected(why)) = address(Host::new().key("42"), "email", None) else {
        panic!("it was sent")
    };
    for name in ["Email", "EmailAddress", "UserEmail", "ContactEmail", "key"] {
        assert!(why.contains(name), "{why}");
    }
}

#[test]
fn passes_on_the_language_or_the_value_that_the_step_names() {
    let host = || {
        Host::new()
            .key("ann@example.com")
            .value("Lang", "uk-UA")
            .value("Blank", " ")
    };
    for (given, language) in [
        (Some("de"), Some("de")),
        (Some("Lang"), Some("uk-UA")),
        (Some("Blank"), None),
        (Some(""), None),
        (None, None),
    ] {
        let param = given.map(|given| ("language", Value::from(given)));
        let request = sent(host(), step("email", param));
        let sent = request.map(|request| request.language);
        assert_eq!(sent, Ok(language.map(str::to_owned)), "{given:?}");
    }
}

#[test]
fn passes_on_the_hours() {
    let host = || Host::new().key("ann@example.com");
    let allowed = ("allowed-hours", Value::from("09:00-21:00"));
    let zone = ("time-zone", Value::from("Europe/Kyiv"));
    let hours = Hours {
        from: 540,
        until: 1260,
        time_zone: Some("Europe/Kyiv".into()),
    };
    let request = sent(host(), step("email", [allowed, zone.clone()]));
    assert_eq!(request.map(|request| request.hours), Ok(Some(hours)));
    let late = ("allowed-hours", Value::from("late"));
    for wrong in [late, zone] {
        let outcome = sent(host(), step("email", [wrong]));
        assert!(matches!(outcome, Err(Error::Invalid(_))), "{outcome:?}");
    }
}

/// The channels and addresses of a step that has further ways.
fn ways(host: Host, otherwise: &str) -> Result<Vec<(&'static str, String)>, Error> {
    let otherwise = ("otherwise", Value::Json(otherwise.into()));
    let request = sent(host, step("viber", [otherwise]))?;
    let way = |target: promoflow_block::messages::Target| match target.recipient {
        Recipient::Address(address) => (target.channel.name(), address),
        Recipient::Contact(contact) => panic!("{contact}"),
    };
    Ok(request.targets.into_iter().map(way).collect())
}

#[test]
fn further_ways_follow_in_order_without_those_that_have_no_address() {
    let otherwise = r#"[{"channel": "sms", "message": "m", "to": 380501234567},
        {"channel": "telegram", "message": "m"},
        {"channel": "email", "message": "m", "to": "Work"}]"#;
    let host = || Host::new().value("Work", "ann@work.example");
    let sms = ("sms", "380501234567".to_owned());
    let email = ("email", "ann@work.example".to_owned());
    let got = ways(host(), otherwise);
    assert_eq!(got, Ok(vec![sms.clone(), email.clone()]));
    let got = ways(host().value("Phone", "380509999999"), otherwise);
    let viber = ("viber", "380509999999".to_owned());
    assert_eq!(got, Ok(vec![viber, sms, email]));
}

#[test]
fn a_step_none_of_whose_ways_has_an_address_says_what_each_lacks() {
    let got = ways(Host::new(), r#"[{"channel": "telegram", "message": "m"}]"#);
    let Err(Error::Rejected(why)) = got else {
        panic!("{got:?}")
    };
    assert!(why.contains("viber") && why.contains("telegram"), "{why}");
}

#[test]
fn a_further_way_that_is_none_is_the_authors_fault_and_told_by_its_number() {
    for (otherwise, told) in [
        (r#"{"channel": "sms"}"#, "otherwise must be"),
        (r#"[{"message": "m"}]"#, "otherwise, number 1: channel"),
        (r#"[{"channel": "sms"}]"#, "otherwise, number 1: message"),
        (
            r#"[{"channel": "sms", "message": "m", "to": true}]"#,
            "number 1: to",
        ),
    ] {
        let got = ways(Host::new().value("Phone", "1"), otherwise);
        let Err(Error::Invalid(why)) = got else {
            panic!("{got:?}")
        };
        assert!(why.contains(told), "{why}");
    }
}

#[test]
fn the_hosts_refusals_keep_their_meaning() {
    let why = || String::from("why");
    for (refusal, error) in [
        (SendError::Unavailable(why()), Error::Unavailable(why())),
        (SendError::UnknownMessage(why()), Error::Invalid(why())),
        (SendError::Denied(why()), Error::Invalid(why())),
        (SendError::InvalidAddress(why()), Error::Rejected(why())),
        (SendError::NoConsent(why()), Error::Rejected(why())),
        (SendError::Unrenderable(why()), Error::Rejected(why())),
    ] {
        let host = Host::new().key("ann@example.com").refuse_messages(refusal);
        assert_eq!(sent(host, step("email", [])), Err(error));
    }
}
