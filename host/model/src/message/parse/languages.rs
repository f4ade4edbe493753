//! Messages in other languages.

use super::super::channel::ChannelKind;
use super::super::definition::Translation;
use super::super::language::is_language_tag;
use super::{Reader, parts, rules};
use promoflow_document::{Diagnostics, Fields, Node, Position, entries, quoted, text};

/// Maximum number of languages.
const MAX_LANGUAGES: usize = 100;
/// Keys that are words in some language: each variant needs those that the message has.
const TRANSLATED_KEYS: [&str; 3] = ["subject", "title", "button"];

/// Reads a BCP 47 language tag.
pub(super) fn tag(node: &Node, out: &mut Diagnostics) -> Option<String> {
    let tag = text(node, "language", out)?;
    checked(tag, node.at, out)
}

fn checked(tag: &str, at: Position, out: &mut Diagnostics) -> Option<String> {
    if is_language_tag(tag) {
        return Some(tag.to_owned());
    }
    let hint = "write a BCP 47 tag such as uk, pt-BR or zh-Hant";
    let fault = format!("{} is not a language tag", quoted(tag));
    out.error(at, fault, Some(hint.to_owned()));
    None
}

/// Reads the valid ones of a message's other languages.
pub(super) fn read(
    reader: Reader<'_>,
    message: &Fields<'_>,
    channel: Option<ChannelKind>,
    own: Option<&str>,
    out: &mut Diagnostics,
) -> Vec<Translation> {
    let mut translations: Vec<Translation> = Vec::new();
    let Some(node) = message.get("languages") else {
        return translations;
    };
    let all = entries(node, "`languages`", out).unwrap_or_default();
    if all.len() > MAX_LANGUAGES {
        out.error(
            node.at,
            format!("there are more than {MAX_LANGUAGES} languages"),
            None,
        );
        return translations;
    }
    for entry in all {
        let Some(language) = checked(&entry.key, entry.key_at, out) else {
            continue;
        };
        let same = |other: &str| other.eq_ignore_ascii_case(&language);
        if own.is_some_and(same) || translations.iter().any(|one| same(&one.language)) {
            let fault = format!("duplicate language {}", quoted(&language));
            let hint = "keep one of them; `language` is the message's own language".to_owned();
            out.error(entry.key_at, fault, Some(hint));
            continue;
        }
        let Some(fields) = Fields::read(&entry.value, "a language", &parts::KEYS, out) else {
            continue;
        };
        let email = channel == Some(ChannelKind::Email);
        let parts = reader.parts(&fields, email, out);
        if let Some(channel) = channel {
            require_texts(channel, message, &fields, out);
            rules::reject_unsupported(channel, &fields, out);
        }
        translations.push(Translation { language, parts });
    }
    translations
}

/// Requires the texts that the message itself has, so that a contact gets the whole message in one
/// language.
fn require_texts(
    channel: ChannelKind,
    message: &Fields<'_>,
    fields: &Fields<'_>,
    out: &mut Diagnostics,
) {
    for key in TRANSLATED_KEYS {
        if message.get(key).is_some() && fields.get(key).is_none() {
            fields.require(key, out);
        }
    }
    rules::require_body(channel, fields, out);
    if message.get("link").is_none() {
        rules::require_button_and_link(channel, fields, out);
    }
}
