//! Recipients of a message.

use promoflow_block::{Channel, Error, data, messages::Recipient};

/// The names of event parameters with the id of a contact.
const CONTACT_NAMES: [&str; 2] = ["ContactId", "externalCustomerId"];

/// Returns the address or the contact that the step sets, or else the event's.
pub(crate) fn find(
    channel: Channel,
    to: Option<&str>,
    contact: Option<&str>,
) -> Result<Recipient, Error> {
    match (to, contact) {
        (Some(_), Some(_)) => Err(Error::Invalid(
            "`to` and `contact` cannot be used together: set one of them".into(),
        )),
        (Some(to), None) => resolve("to", to).map(Recipient::Address),
        (None, Some(contact)) => resolve("contact", contact).map(Recipient::Contact),
        (None, None) => Ok(event_recipient(channel)),
    }
}

/// Returns the text, or the value it names; `None` if that is empty.
pub(crate) fn resolve_optional(given: &str) -> Option<String> {
    let given = given.trim();
    match data::get(given) {
        Some(_) => value(given),
        None => (!given.is_empty()).then(|| given.into()),
    }
}

/// Returns the text itself, or the value if the text is exactly the name of one.
fn resolve(param: &str, text: &str) -> Result<String, Error> {
    let text = text.trim();
    if text.is_empty() {
        let why = format!("{param} is empty: this run has no value for it");
        return Err(Error::Rejected(why));
    }
    match value(text) {
        Some(found) => Ok(found),
        // The name of an empty value is not an address either.
        None if data::get(text).is_some() => {
            let what = if param == "to" { "address" } else { "contact" };
            Err(Error::Rejected(format!(
                "the value {text} is not a valid {what}"
            )))
        }
        None => Ok(text.into()),
    }
}

/// Returns the first non-empty parameter with a usual name. For email, the event key may be the
/// address. Otherwise returns the event's contact, whose address the host may know.
fn event_recipient(channel: Channel) -> Recipient {
    let mut names = usual_names(channel).iter();
    if let Some(address) = names.find_map(|name| value(name)) {
        return Recipient::Address(address);
    }
    let key = data::key();
    if channel == Channel::Email && looks_like_email(&key) {
        return Recipient::Address(key);
    }
    let id = CONTACT_NAMES.iter().find_map(|name| value(name));
    Recipient::Contact(id.unwrap_or(key))
}

/// Returns the names of event parameters with addresses, in the order in which they are tried.
fn usual_names(channel: Channel) -> &'static [&'static str] {
    match channel {
        Channel::Email => &["Email", "EmailAddress", "UserEmail", "ContactEmail"],
        Channel::Sms | Channel::Viber => &["Phone", "SMS", "PhoneNumber"],
        Channel::MobilePush => &["PushToken", "MobPushToken"],
        Channel::WebPush => &["PushToken"],
        Channel::Telegram => &["TelegramBotToken"],
    }
}

/// Returns a non-empty value as text.
fn value(name: &str) -> Option<String> {
    let text = data::get(name)?.to_text()?;
    let text = text.trim();
    (!is_placeholder(text)).then(|| text.into())
}

/// Returns true if the text is what programs write for a missing value.
fn is_placeholder(text: &str) -> bool {
    let bare = text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\''));
    let placeholders = ["null", "undefined", "none", "nil", "nan", "n/a", "(null)"];
    let mut placeholders = placeholders.iter();
    bare.is_empty() || placeholders.any(|placeholder| placeholder.eq_ignore_ascii_case(bare))
}

/// Distinguishes an address from a number or an account name; the channel validates it fully.
fn looks_like_email(key: &str) -> bool {
    let blank = key.contains(|sign: char| sign.is_whitespace() || sign.is_control());
    match key.split_once('@') {
        Some((name, host)) => !blank && !name.is_empty() && !host.is_empty() && !host.contains('@'),
        None => false,
    }
}
