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

/// Texts that programs write where they have no value. Whoever took one for an id would make one
/// contact of all customers without one.
const PLACEHOLDERS: [&str; 8] = [
    "null",
    "undefined",
    "none",
    "nil",
    "nan",
    "n/a",
    "(null)",
    "[object object]",
];

/// Whether a text identifies nobody: it is blank, or a placeholder such as `null`, in any case and
/// also in quotes.
pub fn is_placeholder(text: &str) -> bool {
    let quotes = |c: char| c.is_whitespace() || is_invisible(c) || matches!(c, '"' | '\'');
    let bare = text.trim_matches(quotes);
    let mut placeholders = PLACEHOLDERS.iter();
    bare.is_empty() || placeholders.any(|placeholder| placeholder.eq_ignore_ascii_case(bare))
}

/// Whether a character has no width and no meaning of its own, as byte order marks have none.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}'
    )
}

/// Whether two names of parameters are the same but for case, `_`, `-` and spaces.
pub fn is_same_param(one: &str, other: &str) -> bool {
    fn letters(name: &str) -> impl Iterator<Item = u8> {
        let between = |byte: &u8| !matches!(byte, b'_' | b'-' | b' ');
        let letters = name.bytes().filter(between);
        letters.map(|byte| byte.to_ascii_lowercase())
    }
    letters(one).eq(letters(other))
}

/// Whether a parameter of that name tells a contact.
pub fn tells_contact(name: &str) -> bool {
    let mut params = IDENTIFYING_PARAMS.iter();
    params.any(|param| is_same_param(param, name))
}

/// The identifying parameters that have a value, in their order. A value that identifies nobody is
/// none ([`is_placeholder`]).
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

/// The text of a value that may identify somebody.
fn identity(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!is_placeholder(&text)).then_some(text)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stated(params: Value) -> NewContact {
        NewContact::stated_by(params.as_object().expect("an object"))
    }

    #[test]
    fn placeholders_identify_nobody() {
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
                    !stated(json!({ name: text })).is_somebody(),
                    "{name}: {text:?}"
                );
            }
            let found = stated(json!({ "externalCustomerId": text, "Email": "ann@example.com" }));
            assert_eq!(found.external_id, None, "{text:?}");
            assert_eq!(found.addresses.len(), 1);
        }
        for value in [json!(null), json!(true), json!([]), json!({})] {
            assert!(!stated(json!({ "externalCustomerId": value })).is_somebody());
        }
        for text in ["0", "nullo", "Nilsson", "null@example.com", "-"] {
            assert!(!is_placeholder(text), "{text:?}");
        }
    }

    #[test]
    fn names_count_in_any_case_and_with_what_stands_between_words() {
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
            assert!(tells_contact(name));
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
        assert!(!tells_contact("contact") && !tells_contact("ContactIds"));
        // The spelling that has a value counts.
        let found = stated(json!({ "ContactId": "null", "Contact_id": "15" }));
        assert_eq!(found.id.as_deref(), Some("15"));
    }
}
