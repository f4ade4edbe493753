//! Contact data in the parameters of events.

use promoflow_tabular::is_invisible;
use serde_json::{Map, Value};

use super::{AddressKind, MAX_EXTERNAL_ID_CHARS, MAX_ID_CHARS, NewContact};

/// The parameters that identify the contact of an event, in the order in which they are checked: a
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

/// Returns the kind of address in a parameter, or `None` for an id.
fn kind_of(param: &str) -> Option<AddressKind> {
    match param {
        "Email" | "EmailAddress" | "UserEmail" | "ContactEmail" => Some(AddressKind::Email),
        "Phone" | "SMS" | "PhoneNumber" => Some(AddressKind::Phone),
        "PushToken" | "MobPushToken" => Some(AddressKind::MobilePush),
        "TelegramBotToken" => Some(AddressKind::Telegram),
        _ => None,
    }
}

/// Returns the parameters that hold an address of this kind.
pub fn params_of(kind: AddressKind) -> impl Iterator<Item = &'static str> {
    let holds = move |param: &&str| kind_of(param) == Some(kind);
    IDENTIFYING_PARAMS.into_iter().filter(holds)
}

/// Returns true if a text identifies no contact: it is blank or a placeholder such as `null`, in
/// any case and also in quotes. Reading one as an id would merge all customers without an id into
/// one contact.
pub fn is_placeholder(text: &str) -> bool {
    let quotes = |c: char| c.is_whitespace() || is_invisible(c) || matches!(c, '"' | '\'');
    let bare = text.trim_matches(quotes);
    bare.is_empty() || promoflow_tabular::is_placeholder(bare)
}

/// Returns true if two parameter names are equal, ignoring case, `_`, `-` and spaces.
pub fn is_same_param(one: &str, other: &str) -> bool {
    fn letters(name: &str) -> impl Iterator<Item = u8> {
        let between = |byte: &u8| !matches!(byte, b'_' | b'-' | b' ');
        let letters = name.bytes().filter(between);
        letters.map(|byte| byte.to_ascii_lowercase())
    }
    letters(one).eq(letters(other))
}

/// Returns true if a parameter with this name identifies a contact.
pub fn identifies_contact(name: &str) -> bool {
    let mut params = IDENTIFYING_PARAMS.iter();
    params.any(|param| is_same_param(param, name))
}

/// Returns the identifying parameters that have a value, in order, without placeholders
/// ([`is_placeholder`]).
pub fn identifying(params: &Map<String, Value>) -> impl Iterator<Item = (&'static str, String)> {
    IDENTIFYING_PARAMS.into_iter().filter_map(|wanted| {
        let exact = params.get(wanted);
        let others = params
            .iter()
            .filter(|(name, _)| is_same_param(name, wanted));
        let mut values = exact.into_iter().chain(others.map(|(_, value)| value));
        Some((wanted, values.find_map(identity)?))
    })
}

/// Returns the text of a value that may identify a contact.
fn identity(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!is_placeholder(&text)).then_some(text)
}

impl NewContact {
    /// Reads the contact data in parameters: the first valid value of each kind. Invalid values are
    /// ignored, because they are no reason to reject the event.
    pub fn from_params(params: &Map<String, Value>) -> NewContact {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stated(params: Value) -> NewContact {
        NewContact::from_params(params.as_object().expect("an object"))
    }

    #[test]
    fn ignores_placeholders() {
        let nobody = [
            "",
            " ",
            "\u{a0}",
            "\u{feff}",
            "\u{200b}",
            "null",
            "NULL",
            " Null ",
            "\"null\"",
            "'null'",
            "undefined",
            "None",
            "nil",
            "NaN",
            "N/A",
            "(null)",
            "[object Object]",
            "\"\"",
        ];
        for text in nobody {
            assert!(is_placeholder(text), "{text:?}");
            for name in [
                "ContactId",
                "externalCustomerId",
                "Phone",
                "PushToken",
                "TelegramBotToken",
            ] {
                assert!(
                    !stated(json!({ name: text })).is_identified(),
                    "{name}: {text:?}"
                );
            }
            let found = stated(json!({ "externalCustomerId": text, "Email": "ann@example.com" }));
            assert_eq!(found.external_id, None, "{text:?}");
            assert_eq!(found.addresses.len(), 1);
        }
        for value in [json!(null), json!(true), json!([]), json!({})] {
            assert!(!stated(json!({ "externalCustomerId": value })).is_identified());
        }
        for text in ["0", "nullo", "Nilsson", "null@example.com", "-"] {
            assert!(!is_placeholder(text), "{text:?}");
        }
    }

    #[test]
    fn parameter_names_ignore_case_and_separators() {
        for name in [
            "ContactId",
            "contactid",
            "Contact_id",
            "contact-id",
            "CONTACT ID",
        ] {
            assert_eq!(
                stated(json!({ name: "15" })).id.as_deref(),
                Some("15"),
                "{name}"
            );
            assert!(identifies_contact(name));
        }
        for name in [
            "externalCustomerId",
            "external_customer_id",
            "ExternalCustomerID",
        ] {
            assert_eq!(
                stated(json!({ name: 7 })).external_id.as_deref(),
                Some("7"),
                "{name}"
            );
        }
        assert!(!identifies_contact("contact") && !identifies_contact("ContactIds"));
        // The spelling with a value counts.
        let found = stated(json!({ "ContactId": "null", "Contact_id": "15" }));
        assert_eq!(found.id.as_deref(), Some("15"));
    }
}
