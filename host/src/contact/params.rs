//! What the parameters of an event tell of a contact.

use serde_json::{Map, Value};

use super::{AddressKind, MAX_EXTERNAL_ID_CHARS, MAX_ID_CHARS, NewContact};

/// The parameters that tell whom an event is about, in the order in which they are tried: a
/// contact's id, an external id, an email address, a phone number, a token.
pub const IDENTIFYING_PARAMS: [&str; 12] = [
    "ContactId",
    "externalCustomerId",
    "Email",
    "EmailAddress",
    "UserEmail",
    "ContactEmail",
    "Phone",
    "SMS",
    "PhoneNumber",
    "PushToken",
    "MobPushToken",
    "TelegramBotToken",
];

/// The kind of address that a parameter holds; `None`: it holds an id.
fn kind_of(param: &str) -> Option<AddressKind> {
    match param {
        "Email" | "EmailAddress" | "UserEmail" | "ContactEmail" => Some(AddressKind::Email),
        "Phone" | "SMS" | "PhoneNumber" => Some(AddressKind::Phone),
        "PushToken" | "MobPushToken" => Some(AddressKind::MobilePush),
        "TelegramBotToken" => Some(AddressKind::Telegram),
        _ => None,
    }
}

/// The parameters under which events bring an address of that kind.
pub fn params_of(kind: AddressKind) -> impl Iterator<Item = &'static str> {
    let holds = move |param: &&str| kind_of(param) == Some(kind);
    IDENTIFYING_PARAMS.into_iter().filter(holds)
}

/// Whether a parameter of that name tells a contact.
pub(crate) fn tells_contact(name: &str) -> bool {
    let mut params = IDENTIFYING_PARAMS.iter();
    params.any(|param| param.eq_ignore_ascii_case(name))
}

/// The identifying parameters that have a value, in their order.
pub fn identifying(params: &Map<String, Value>) -> impl Iterator<Item = (&'static str, String)> {
    IDENTIFYING_PARAMS.into_iter().filter_map(|wanted| {
        let value = params.get(wanted).or_else(|| {
            let mut others = params.iter();
            let named = others.find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            named.map(|(_, value)| value)
        })?;
        let text = match value {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        (!text.is_empty()).then_some((wanted, text))
    })
}

impl NewContact {
    /// What parameters state: the first of each kind that is what it should be. Others are no
    /// reason to refuse an event.
    pub fn stated_by(params: &Map<String, Value>) -> NewContact {
        let mut stated = NewContact::default();
        let fits = |text: &str, most: usize| {
            text.chars().count() <= most && !text.contains(char::is_control)
        };
        for (param, text) in identifying(params) {
            match kind_of(param) {
                Some(kind) => {
                    if !stated.addresses.contains_key(&kind)
                        && let Ok(address) = kind.check(&text)
                    {
                        stated.addresses.insert(kind, address);
                    }
                }
                None if param == "ContactId" && fits(&text, MAX_ID_CHARS) => {
                    stated.id = Some(text);
                }
                None if param != "ContactId" && fits(&text, MAX_EXTERNAL_ID_CHARS) => {
                    stated.external_id = Some(text);
                }
                None => {}
            }
        }
        stated
    }
}
