//! Messages in other languages.

use super::super::channel::ChannelKind;
use super::super::definition::Variant;
use super::super::language::is_tag;
use super::{Reader, parts, rules};
use promoflow_document::{Diagnostics, Fields, Node, Position, entries, shown, text};

/// Maximum number of languages.
const MOST: usize = 100;
/// Keys that are words in some language: each variant needs those that the message has.
const WORDS: [&str; 3] = ["subject", "title", "button"];

/// Reads a BCP 47 language tag.
pub(super) fn tag(node: &Node, out: &mut Diagnostics) -> Option<String> {
    let tag = text(node, "language", out)?;
    checked(tag, node.at, out)
}

fn checked(tag: &str, at: Position, out: &mut Diagnostics) -> Option<String> {
    if is_tag(tag) {
        return Some(tag.to_owned());
    }
    let hint = "write a BCP 47 tag such as uk, pt-BR or zh-Hant";
    let fault = format!("{} is not a language tag", shown(tag));
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
) -> Vec<Variant> {
    let mut variants: Vec<Variant> = Vec::new();
    let Some(node) = message.get("languages") else {
        return variants;
    };
    let all = entries(node, "`languages`", out).unwrap_or_default();
    if all.len() > MOST {
        out.error(
            node.at,
            format!("there are more than {MOST} languages"),
            None,
        );
        return variants;
    }
    for entry in all {
        let Some(language) = checked(&entry.key, entry.key_at, out) else {
            continue;
        };
        let same = |other: &str| other.eq_ignore_ascii_case(&language);
        if own.is_some_and(same) || variants.iter().any(|one| same(&one.language)) {
            let fault = format!("duplicate language {}", shown(&language));
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
            complete(channel, message, &fields, out);
            rules::refuse_others(channel, &fields, out);
        }
        variants.push(Variant { language, parts });
    }
    variants
}

/// Requires the texts that the message itself has, so that a contact gets the whole message in one
/// language.
fn complete(
    channel: ChannelKind,
    message: &Fields<'_>,
    fields: &Fields<'_>,
    out: &mut Diagnostics,
) {
    for key in WORDS {
        if message.get(key).is_some() && fields.get(key).is_none() {
            fields.require(key, out);
        }
    }
    rules::complete_body(channel, fields, out);
    if message.get("link").is_none() {
        rules::complete_button(channel, fields, out);
    }
}
