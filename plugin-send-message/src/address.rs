//! To which address a message goes.

use promoflow_block::{Channel, Error, data};

/// The address that the step gives, or else the event.
///
/// What a step gives is the address itself, unless it is exactly the name of a value.
pub(crate) fn find(channel: Channel, to: Option<&str>) -> Result<String, Error> {
    match to.map(str::trim) {
        None => of_the_event(channel),
        Some("") => Err(Error::Rejected(
            "to is empty: this run has no value for it".into(),
        )),
        Some(to) => match value(to) {
            Some(address) => Ok(address),
            // A name whose value is empty is no address either.
            None if data::get(to).is_some() => {
                Err(Error::Rejected(format!("the value {to} is no address")))
            }
            None => Ok(to.into()),
        },
    }
}

/// What a step gives, or what the value of that name holds; none where that is empty.
pub(crate) fn named(given: &str) -> Option<String> {
    let given = given.trim();
    match data::get(given) {
        Some(_) => value(given),
        None => (!given.is_empty()).then(|| given.into()),
    }
}

/// The first of the usual names that has a value; for email, the event's key may serve as well.
fn of_the_event(channel: Channel) -> Result<String, Error> {
    let names = usual_names(channel);
    if let Some(address) = names.iter().find_map(|name| value(name)) {
        return Ok(address);
    }
    let mut tried = names.join(", ");
    if channel == Channel::Email {
        let key = data::key();
        if looks_like_email(&key) {
            return Ok(key);
        }
        tried.push_str(" and the event's key");
    }
    Err(Error::Rejected(format!(
        "no address for {}: the step gives no `to`, and the event has no {tried}",
        channel.name()
    )))
}

/// The names under which events bring addresses, in the order in which they are tried.
fn usual_names(channel: Channel) -> &'static [&'static str] {
    match channel {
        Channel::Email => &["Email", "EmailAddress", "UserEmail", "ContactEmail"],
        Channel::Sms | Channel::Viber => &["Phone", "SMS", "PhoneNumber"],
        Channel::MobilePush => &["PushToken", "MobPushToken"],
        Channel::WebPush => &["PushToken"],
        Channel::Telegram => &["TelegramBotToken"],
    }
}

/// A value that is not empty, as text.
fn value(name: &str) -> Option<String> {
    let text = data::get(name)?.to_text()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.into())
}

/// Enough to tell an address from a number or an account; the channel judges it in full.
fn looks_like_email(key: &str) -> bool {
    let blank = key.contains(|sign: char| sign.is_whitespace() || sign.is_control());
    match key.split_once('@') {
        Some((name, host)) => !blank && !name.is_empty() && !host.is_empty() && !host.contains('@'),
        None => false,
    }
}
