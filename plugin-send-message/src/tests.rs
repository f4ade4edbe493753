//! Recipients and sending times of a step.

use promoflow_block::messages::{Recipient, Target, TargetEntry};
use promoflow_block::testing::Host;
use promoflow_block::{Argument, Channel, Error, Hours, Outcome, Request, SendError};

use super::SendMessage;

type Param = (&'static str, Argument);

fn step(channel: Channel, more: impl IntoIterator<Item = Param>) -> Vec<Param> {
    let mut params = vec![("channel", channel.into()), ("message", "hello".into())];
    params.extend(more);
    params
}

/// Runs a step and returns the recipient's address, or a contact's id in angle brackets.
fn address(host: Host, channel: Channel, to: Option<&str>) -> Result<String, Error> {
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
        address(host, Channel::Email, Some("ann@example.com")),
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
        address(host(), Channel::Email, Some("Work")),
        ok("ann@work.example")
    );
    assert_eq!(address(host(), Channel::Email, Some("work")), ok("work"));
    assert!(matches!(
        address(host(), Channel::Email, Some("Blank")),
        Err(Error::Rejected(_))
    ));
}

#[test]
fn rejects_an_empty_address_instead_of_guessing() {
    let host = Host::new().value("Email", "ann@example.com");
    assert!(matches!(
        address(host, Channel::Email, Some("")),
        Err(Error::Rejected(_))
    ));
}

#[test]
fn tries_the_usual_names_in_order() {
    let host = Host::new()
        .value("ContactEmail", "4@example.com")
        .value("EmailAddress", "2@example.com")
        .value("Email", "");
    assert_eq!(address(host, Channel::Email, None), ok("2@example.com"));
    let host = || Host::new().value("PhoneNumber", 380_501_234_567);
    assert_eq!(address(host(), Channel::Sms, None), ok("380501234567"));
    assert_eq!(address(host(), Channel::Viber, None), ok("380501234567"));
    let host = Host::new().value("MobPushToken", "t1");
    assert_eq!(address(host, Channel::MobilePush, None), ok("t1"));
    let host = Host::new().value("TelegramBotToken", "t2");
    assert_eq!(address(host, Channel::Telegram, None), ok("t2"));
}

#[test]
fn ignores_placeholders() {
    let host = Host::new()
        .key("ann@example.com")
        .value("Email", "null")
        .value("PushToken", "undefined")
        .value("MobPushToken", "f3a1");
    assert_eq!(
        address(host.clone(), Channel::Email, None),
        ok("ann@example.com")
    );
    assert_eq!(address(host.clone(), Channel::MobilePush, None), ok("f3a1"));
    assert!(address(host, Channel::WebPush, Some("PushToken")).is_err());
}

#[test]
fn uses_the_event_key_as_an_email_address() {
    let host = Host::new().key("ann@example.com");
    assert_eq!(
        address(host.clone(), Channel::Email, None),
        ok("ann@example.com")
    );
    assert_eq!(address(host, Channel::Sms, None), ok("<ann@example.com>"));
    for key in ["", "ann", "@", "ann@", "@example.com", "a@b@c", "a b@c"] {
        let contact = format!("<{key}>");
        assert_eq!(
            address(Host::new().key(key), Channel::Email, None),
            ok(&contact)
        );
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
    let contact = |text: &str| step(Channel::Email, [("contact", text.into())]);
    assert_eq!(recipient(host(), contact("A-1")), ok("<A-1>"));
    assert_eq!(recipient(host(), contact("ContactId")), ok("<17>"));
    assert!(matches!(
        recipient(host(), contact(" ")),
        Err(Error::Rejected(_))
    ));
    let both = step(
        Channel::Email,
        [("contact", "A".into()), ("to", "b@example.com".into())],
    );
    assert!(matches!(recipient(host(), both), Err(Error::Invalid(_))));
    // An address in the event needs no contact.
    assert_eq!(
        recipient(host(), step(Channel::Email, [])),
        ok("a@example.com")
    );
    assert_eq!(recipient(host(), step(Channel::Sms, [])), ok("<17>"));
    let host = Host::new().key("k").value("externalCustomerId", "shop-7");
    assert_eq!(recipient(host, step(Channel::Sms, [])), ok("<shop-7>"));
}

#[test]
fn takes_a_port_for_unreachable_and_unsubscribed_contacts() {
    for (refusal, port) in [
        (SendError::Unreachable("why".into()), "unreachable"),
        (SendError::NoConsent("why".into()), "unsubscribed"),
    ] {
        let mut host = Host::new().key("ann@example.com").refuse_messages(refusal);
        let outcome = host.run::<SendMessage>(step(Channel::Email, []));
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
        let param = given.map(|given| ("language", Argument::from(given)));
        let request = sent(host(), step(Channel::Email, param));
        let sent = request.map(|request| request.language);
        assert_eq!(sent, Ok(language.map(str::to_owned)), "{given:?}");
    }
}

#[test]
fn passes_the_hours() {
    let host = || Host::new().key("ann@example.com");
    let hours = Hours {
        from: 540,
        until: 1260,
        time_zone: None,
    };
    let allowed = ("allowed-hours", Argument::from(hours.clone()));
    let zone = ("time-zone", Argument::from("Europe/Kyiv"));
    let request = sent(host(), step(Channel::Email, [allowed, zone.clone()]));
    let hours = Hours {
        time_zone: Some("Europe/Kyiv".into()),
        ..hours
    };
    assert_eq!(request.map(|request| request.hours), Ok(Some(hours)));
    let outcome = sent(host(), step(Channel::Email, [zone]));
    assert!(matches!(outcome, Err(Error::Invalid(_))), "{outcome:?}");
}

fn entry(channel: Channel, to: Option<&str>) -> TargetEntry {
    TargetEntry {
        channel,
        message: "m".into(),
        to: to.map(str::to_owned),
    }
}

/// Returns the channels and addresses of a step with alternatives; a contact's id is in angle
/// brackets.
fn alternatives<const N: usize>(
    host: Host,
    more: [Param; N],
    otherwise: Vec<TargetEntry>,
) -> Result<Vec<(Channel, String)>, Error> {
    let otherwise = ("otherwise", otherwise.into());
    let more = more.into_iter().chain([otherwise]);
    let request = sent(host, step(Channel::Viber, more))?;
    let alternative = |target: Target| match target.recipient {
        Recipient::Address(address) => (target.channel, address),
        Recipient::Contact(contact) => (target.channel, format!("<{contact}>")),
    };
    Ok(request.targets.into_iter().map(alternative).collect())
}

#[test]
fn sends_alternatives_in_order_to_their_own_address_or_the_contact() {
    let otherwise = || {
        vec![
            entry(Channel::Sms, Some("380501234567")),
            entry(Channel::Telegram, None),
            entry(Channel::WebPush, Some(" ")),
            entry(Channel::Email, Some("Work")),
        ]
    };
    let host = || Host::new().key("k").value("Work", "ann@work.example");
    let alternative = |channel, address: &str| (channel, address.to_owned());
    let others = [
        alternative(Channel::Sms, "380501234567"),
        alternative(Channel::Telegram, "<k>"),
        alternative(Channel::Email, "ann@work.example"),
    ];
    let with_first = |address| [&[alternative(Channel::Viber, address)], &others[..]].concat();
    let got = alternatives(host(), [], otherwise());
    assert_eq!(got, Ok(with_first("<k>")));
    let got = alternatives(host().value("Phone", "380509999999"), [], otherwise());
    assert_eq!(got, Ok(with_first("380509999999")));
    // The step's contact applies to all alternatives.
    let got = alternatives(host(), [("contact", "A-1".into())], otherwise());
    let mut wanted = with_first("<A-1>");
    wanted[2] = alternative(Channel::Telegram, "<A-1>");
    assert_eq!(got, Ok(wanted));
}

#[test]
fn reports_every_empty_address_if_all_are_empty() {
    let otherwise = vec![entry(Channel::Telegram, Some("Chat"))];
    let host = Host::new().value("Chat", "");
    let got = alternatives(host, [("to", " ".into())], otherwise);
    let Err(Error::Rejected(why)) = got else {
        panic!("{got:?}")
    };
    assert!(why.contains("to is empty") && why.contains("Chat"), "{why}");
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
        assert_eq!(sent(host, step(Channel::Email, [])), Err(error));
    }
}
