//! Recipients and sending times of a step.

use promoflow_block::testing::Host;
use promoflow_block::{Error, Hours, Outcome, Request, SendError, Value, messages::Recipient};

use super::SendMessage;

type Param = (&'static str, Value);

fn step(channel: &str, more: impl IntoIterator<Item = Param>) -> Vec<Param> {
    let mut params = vec![("channel", channel.into()), ("message", "hello".into())];
    params.extend(more);
    params
}

/// Runs a step and returns the recipient's address, or a contact's id in angle brackets.
fn address(host: Host, channel: &str, to: Option<&str>) -> Result<String, Error> {
    recipient(host, step(channel, to.map(|to| ("to", to.into()))))
}

fn recipient(host: Host, params: Vec<Param>) -> Result<String, Error> {
    sent(host, params).map(|request| match &request.targets[0].recipient {
        Recipient::Address(address) => address.clone(),
        Recipient::Contact(contact) => format!("<{contact}>"),
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
fn sends_to_the_given_address() {
    let host = Host::new().value("Email", "other@example.com");
    assert_eq!(
        address(host, "email", Some("ann@example.com")),
        ok("ann@example.com")
    );
}

#[test]
fn sends_to_the_named_value() {
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
fn rejects_an_empty_address_instead_of_guessing() {
    let host = Host::new().value("Email", "ann@example.com");
    assert!(matches!(
        address(host, "email", Some("")),
        Err(Error::Rejected(_))
    ));
}

#[test]
fn tries_the_usual_names_in_order() {
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
fn ignores_placeholders() {
    let host = Host::new()
        .key("ann@example.com")
        .value("Email", "null")
        .value("PushToken", "undefined")
        .value("MobPushToken", "f3a1");
    assert_eq!(address(host.clone(), "email", None), ok("ann@example.com"));
    assert_eq!(address(host.clone(), "mobile-push", None), ok("f3a1"));
    assert!(address(host, "web-push", Some("PushToken")).is_err());
}

#[test]
fn uses_the_event_key_as_an_email_address() {
    let host = Host::new().key("ann@example.com");
    assert_eq!(address(host.clone(), "email", None), ok("ann@example.com"));
    assert_eq!(address(host, "sms", None), ok("<ann@example.com>"));
    for key in ["", "ann", "@", "ann@", "@example.com", "a@b@c", "a b@c"] {
        let contact = format!("<{key}>");
        assert_eq!(address(Host::new().key(key), "email", None), ok(&contact));
    }
}

#[test]
fn finds_a_contact_by_id_or_by_the_name_of_a_value() {
    let host = || {
        Host::new()
            .key("k")
            .value("ContactId", 17)
            .value("Email", "a@example.com")
    };
    let contact = |text: &str| step("email", [("contact", text.into())]);
    assert_eq!(recipient(host(), contact("A-1")), ok("<A-1>"));
    assert_eq!(recipient(host(), contact("ContactId")), ok("<17>"));
    assert!(matches!(
        recipient(host(), contact(" ")),
        Err(Error::Rejected(_))
    ));
    let both = step(
        "email",
        [("contact", "A".into()), ("to", "b@example.com".into())],
    );
    assert!(matches!(recipient(host(), both), Err(Error::Invalid(_))));
    // An address in the event needs no contact.
    assert_eq!(recipient(host(), step("email", [])), ok("a@example.com"));
    assert_eq!(recipient(host(), step("sms", [])), ok("<17>"));
    let host = Host::new().key("k").value("externalCustomerId", "shop-7");
    assert_eq!(recipient(host, step("sms", [])), ok("<shop-7>"));
}

#[test]
fn takes_a_port_for_unreachable_and_unsubscribed_contacts() {
    for (refusal, port) in [
        (SendError::Unreachable("why".into()), "unreachable"),
        (SendError::NoConsent("why".into()), "unsubscribed"),
    ] {
        let mut host = Host::new().key("ann@example.com").refuse_messages(refusal);
        let outcome = host.run::<SendMessage>(step("email", []));
        assert_eq!(outcome, Ok(Outcome::port(port)));
    }
}

#[test]
fn passes_the_language_or_the_named_value() {
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
fn passes_the_hours() {
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

/// Returns the channels and addresses of a step with alternatives; a contact's id is in angle
/// brackets.
fn alternatives(host: Host, otherwise: &str) -> Result<Vec<(&'static str, String)>, Error> {
    alternatives_of(host, [], otherwise)
}

fn alternatives_of<const N: usize>(
    host: Host,
    more: [Param; N],
    otherwise: &str,
) -> Result<Vec<(&'static str, String)>, Error> {
    let otherwise = ("otherwise", Value::Json(otherwise.into()));
    let request = sent(host, step("viber", more.into_iter().chain([otherwise])))?;
    let alternative = |target: promoflow_block::messages::Target| match target.recipient {
        Recipient::Address(address) => (target.channel.name(), address),
        Recipient::Contact(contact) => (target.channel.name(), format!("<{contact}>")),
    };
    Ok(request.targets.into_iter().map(alternative).collect())
}

#[test]
fn sends_alternatives_in_order_to_their_own_address_or_the_contact() {
    let otherwise = r#"[{"channel": "sms", "message": "m", "to": 380501234567},
        {"channel": "telegram", "message": "m"},
        {"channel": "web-push", "message": "m", "to": " "},
        {"channel": "email", "message": "m", "to": "Work"}]"#;
    let host = || Host::new().key("k").value("Work", "ann@work.example");
    let alternative = |channel, address: &str| (channel, address.to_owned());
    let others = [
        alternative("sms", "380501234567"),
        alternative("telegram", "<k>"),
        alternative("email", "ann@work.example"),
    ];
    let with_first = |first| [&[first], &others[..]].concat();
    let got = alternatives(host(), otherwise);
    assert_eq!(got, Ok(with_first(alternative("viber", "<k>"))));
    let got = alternatives(host().value("Phone", "380509999999"), otherwise);
    assert_eq!(got, Ok(with_first(alternative("viber", "380509999999"))));
    // The step's contact applies to all alternatives.
    let got = alternatives_of(host(), [("contact", "A-1".into())], otherwise);
    let mut wanted = with_first(alternative("viber", "<A-1>"));
    wanted[2] = alternative("telegram", "<A-1>");
    assert_eq!(got, Ok(wanted));
}

#[test]
fn reports_every_empty_address_if_all_are_empty() {
    let otherwise = r#"[{"channel": "telegram", "message": "m", "to": "Chat"}]"#;
    let host = Host::new().value("Chat", "");
    let got = alternatives_of(host, [("to", " ".into())], otherwise);
    let Err(Error::Rejected(why)) = got else {
        panic!("{got:?}")
    };
    assert!(why.contains("to is empty") && why.contains("Chat"), "{why}");
}

#[test]
fn reports_invalid_alternatives_by_number() {
    for (otherwise, expected) in [
        (r#"{"channel": "sms"}"#, "otherwise must be"),
        (r#"[{"message": "m"}]"#, "otherwise, alternative 1: channel"),
        (
            r#"[{"channel": "sms"}]"#,
            "otherwise, alternative 1: message",
        ),
        (
            r#"[{"channel": "sms", "message": "m", "to": true}]"#,
            "alternative 1: to",
        ),
    ] {
        let got = alternatives(Host::new().value("Phone", "1"), otherwise);
        let Err(Error::Invalid(why)) = got else {
            panic!("{got:?}")
        };
        assert!(why.contains(expected), "{why}");
    }
}

#[test]
fn maps_send_errors_to_block_errors() {
    let why = || String::from("why");
    for (refusal, error) in [
        (SendError::Unavailable(why()), Error::Unavailable(why())),
        (SendError::UnknownMessage(why()), Error::Invalid(why())),
        (SendError::Denied(why()), Error::Invalid(why())),
        (SendError::InvalidAddress(why()), Error::Rejected(why())),
        (SendError::Unrenderable(why()), Error::Rejected(why())),
    ] {
        let host = Host::new().key("ann@example.com").refuse_messages(refusal);
        assert_eq!(sent(host, step("email", [])), Err(error));
    }
}
