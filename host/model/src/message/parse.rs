//! Parses message files and reports every error.
//!
//! [`parts`] reads the parts of a message, [`html`] its HTML files and [`headers`] its headers;
//! [`rules`] defines the parts of each channel, and [`languages`] reads the other languages.

mod headers;
mod html;
mod languages;
mod parts;
mod rules;

pub use html::sibling_path;

use super::channel::ChannelKind;
use super::definition::{Message, Unset};
use super::files::Files;
use promoflow_document::{
    Diagnostics, Fields, Node, NodeValue, Parsed, TemplateCheck, check_id, quoted, read, text,
};

/// The keys of a message file other than those of its [parts]. The schema lists the same keys.
const KEYS: [&str; 6] = [
    "message",
    "channel",
    "headers",
    "unset",
    "language",
    "languages",
];

/// Reads the messages of a file, one per document. `file` names the file in diagnostics, `files`
/// reads the files that `html-file` refers to, and `templates` validates the texts.
pub fn parse(
    file: &str,
    bytes: &[u8],
    files: &dyn Files,
    templates: &dyn TemplateCheck,
) -> Parsed<Message> {
    let mut out = Diagnostics::new(file);
    let mut items: Vec<Message> = Vec::new();
    for document in read(bytes, &mut out) {
        let before = out.errors();
        let Some(message) = Reader {
            file,
            files,
            templates,
        }
        .message(&document, &mut out) else {
            continue;
        };
        if items.iter().any(|other| other.id == message.id) {
            let fault = format!(
                "the message {} is defined twice in this file",
                quoted(&message.id)
            );
            out.error(
                document.at,
                fault,
                Some("give one of them another id".into()),
            );
        }
        if out.errors() == before {
            items.push(message);
        }
    }
    Parsed {
        items,
        diagnostics: out.into_sorted(),
    }
}

#[derive(Clone, Copy)]
struct Reader<'r> {
    file: &'r str,
    files: &'r dyn Files,
    templates: &'r dyn TemplateCheck,
}

impl Reader<'_> {
    fn message(self, node: &Node, out: &mut Diagnostics) -> Option<Message> {
        if is_workflow(node) {
            let hint = "apply workflows with `promoflow workflow apply`";
            out.error(
                node.at,
                "this is a workflow, not a message",
                Some(hint.into()),
            );
            return None;
        }
        let fields = Fields::read(node, "the message", &keys(), out)?;
        let id = fields
            .require("message", out)
            .and_then(|node| check_id(node, "message", out));
        let channel = fields
            .require("channel", out)
            .and_then(|node| channel(node, out));
        let parts = self.parts(&fields, channel == Some(ChannelKind::Email), out);
        let headers = fields
            .get("headers")
            .map_or_else(|| Some(Vec::new()), |node| headers::read(self, node, out));
        let language = fields
            .get("language")
            .and_then(|node| languages::tag(node, out));
        let languages = languages::read(self, &fields, channel, language.as_deref(), out);
        let unset = match fields.get("unset") {
            Some(node) => unset(node, out),
            None => Some(Unset::default()),
        };
        if let Some(channel) = channel {
            rules::require_parts(channel, &fields, out);
            rules::reject_unsupported(channel, &fields, out);
        }
        Some(Message {
            id: id?.to_owned(),
            channel: channel?,
            parts,
            headers: headers?,
            language,
            languages,
            unset: unset?,
        })
    }
}

/// Returns all keys of a message file, in the usual order.
fn keys() -> Vec<&'static str> {
    let (before, after) = KEYS.split_at(2);
    [before, &parts::KEYS, after].concat()
}

fn channel(node: &Node, out: &mut Diagnostics) -> Option<ChannelKind> {
    match text(node, "channel", out)?.parse::<ChannelKind>() {
        Ok(channel) => Some(channel),
        Err(error) => {
            out.error(node.at, error.to_string(), Some(error.hint));
            None
        }
    }
}

fn unset(node: &Node, out: &mut Diagnostics) -> Option<Unset> {
    let word = text(node, "unset", out)?;
    let known = Unset::NAMES.into_iter().find(|(name, _)| *name == word);
    if known.is_none() {
        let fault = format!(
            "expected nothing or print for `unset`, found {}",
            quoted(word)
        );
        let names = Unset::NAMES.map(|(name, _)| name);
        let hint = out.did_you_mean(word, names).unwrap_or_else(|| {
            "`print` prints the source of a reference that has no value, as Velocity does".into()
        });
        out.error(node.at, fault, Some(hint));
    }
    known.map(|(_, unset)| unset)
}

fn is_workflow(node: &Node) -> bool {
    let NodeValue::Mapping(entries) = &node.content else {
        return false;
    };
    let has = |key: &str| entries.iter().any(|entry| entry.key == key);
    has("workflow") && !has("message")
}

#[cfg(test)]
mod tests;
