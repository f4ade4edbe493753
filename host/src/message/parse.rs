//! From a file to messages, with every fault on the way.

mod headers;

use std::path::Path;

use super::channel::ChannelKind;
use super::definition::Message;
use super::files::{Files, MAX_HTML_BYTES, leads_downwards};
use super::mailbox::looks_like_mailbox;
use crate::document::{
    Content, Diagnostics, Entry, Fields, Node, Parsed, Position, TemplateCheck, check_id,
    check_template, read, shown, text,
};

/// The keys of a message file. The schema lists the same.
const KEYS: &[&str] = &[
    "message",
    "channel",
    "from",
    "reply-to",
    "subject",
    "preheader",
    "headers",
    "text",
    "html",
    "html-file",
];

/// The longest subject or sender, in characters: a line of a mail's head has at most 998.
const MAX_LINE_CHARS: usize = 500;

/// Reads the messages of a file, one a document. `file` names the file in diagnostics; `files`
/// are those that an `html-file` may name; `templates` judges the texts.
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
                "the message {} stands twice in this file",
                shown(&message.id)
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
        let fields = Fields::read(node, "the message", KEYS, out)?;
        let id = fields
            .require("message", out)
            .and_then(|node| check_id(node, "message", out));
        let channel = fields
            .require("channel", out)
            .and_then(|node| channel(node, out));
        let email = channel == Some(ChannelKind::Email);
        let from = fields
            .get("from")
            .and_then(|node| self.mailbox(node, "from", email, out));
        let reply_to = fields
            .get("reply-to")
            .and_then(|node| self.mailbox(node, "reply-to", email, out));
        let preheader = fields
            .get("preheader")
            .and_then(|node| self.line(node, "preheader", out));
        let headers = fields
            .get("headers")
            .map_or_else(|| Some(Vec::new()), |node| headers::read(self, node, out));
        let subject = fields
            .get("subject")
            .and_then(|node| self.line(node, "subject", out));
        let text = fields
            .get("text")
            .and_then(|node| self.body(node, "text", out));
        let html = match (fields.entry("html"), fields.entry("html-file")) {
            (Some(_), Some(second)) => {
                let hint = "keep one of them".to_owned();
                out.error(
                    second.key_at,
                    "`html` and `html-file` exclude each other",
                    Some(hint),
                );
                None
            }
            (Some(html), None) => self.body(&html.value, "html", out),
            (None, Some(path)) => self.html_file(&path.value, out),
            (None, None) => None,
        };
        match channel {
            Some(ChannelKind::Email) => complete_email(&fields, out),
            Some(channel) => complete_other(channel, &fields, out),
            None => {}
        }
        Some(Message {
            id: id?.to_owned(),
            channel: channel?,
            from: from.map(|(from, _)| from),
            subject: subject.map(|(subject, _)| subject),
            text,
            html,
            reply_to: reply_to.map(|(reply_to, _)| reply_to),
            preheader: preheader.map(|(preheader, _)| preheader),
            headers: headers?,
        })
    }

    /// A template of a mailbox, and whether it depends on the run's data; in other messages than
    /// emails a sender is any name.
    fn mailbox(
        self,
        node: &Node,
        key: &str,
        email: bool,
        out: &mut Diagnostics,
    ) -> Option<(String, bool)> {
        let (mailbox, depends) = self.line(node, key, out)?;
        // What references give is judged when the message is made.
        if email && !depends && !looks_like_mailbox(&mailbox) {
            let fault = format!("{} is not a mailbox", shown(&mailbox));
            let hint = "write `shop@example.com` or `Shop <shop@example.com>`; a name with a comma or a bracket goes in double quotes";
            out.error(node.at, fault, Some(hint.to_owned()));
            return None;
        }
        Some((mailbox, depends))
    }

    /// A template of one line, and whether it depends on the run's data.
    fn line(self, node: &Node, key: &str, out: &mut Diagnostics) -> Option<(String, bool)> {
        let line = text(node, key, out)?;
        let depends = check_template(node, self.templates, out)?;
        let fault = if line.trim().is_empty() {
            format!("`{key}` is empty")
        } else if line.chars().any(char::is_control) {
            format!("`{key}` must be one line, without tabs or other control characters")
        } else if line.chars().count() > MAX_LINE_CHARS {
            format!("`{key}` has more than {MAX_LINE_CHARS} characters")
        } else {
            return Some((line.to_owned(), depends));
        };
        out.error(node.at, fault, None);
        None
    }

    fn body(self, node: &Node, key: &str, out: &mut Diagnostics) -> Option<String> {
        let body = text(node, key, out)?;
        check_template(node, self.templates, out)?;
        if body.trim().is_empty() {
            out.error(node.at, format!("`{key}` is empty"), None);
            return None;
        }
        Some(body.to_owned())
    }

    fn html_file(self, node: &Node, out: &mut Diagnostics) -> Option<String> {
        let path = text(node, "html-file", out)?;
        if !leads_downwards(path) {
            let fault = format!("{} leads out of the message's folder", shown(path));
            let hint = "name a file in the message's folder or below, with `/` between folders";
            out.error(node.at, fault, Some(hint.into()));
            return None;
        }
        let bytes = match self.files.read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let hint = "the path is relative to the message's file".to_owned();
                out.error(
                    node.at,
                    format!("cannot read {}: {error}", shown(path)),
                    Some(hint),
                );
                return None;
            }
        };
        if bytes.len() > MAX_HTML_BYTES {
            let fault = format!("{} is larger than {MAX_HTML_BYTES} bytes", shown(path));
            out.error(node.at, fault, None);
            return None;
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let Ok(html) = str::from_utf8(bytes) else {
            let hint = "save it as UTF-8".to_owned();
            out.error(node.at, format!("{} is not UTF-8", shown(path)), Some(hint));
            return None;
        };
        if html.trim().is_empty() {
            out.error(node.at, format!("{} is empty", shown(path)), None);
            return None;
        }
        if let Err(fault) = self.templates.depends_on_data(html) {
            let place = |number| u32::try_from(number).unwrap_or(u32::MAX).max(1);
            let at = Position {
                line: place(fault.line),
                column: place(fault.column),
            };
            out.error_in(beside(self.file, path), at, fault.message, None);
            return None;
        }
        Some(html.to_owned())
    }
}

/// The name of a file beside the message's, as the author would call it from where the message's
/// own name is good.
fn beside(file: &str, path: &str) -> String {
    match Path::new(file).parent() {
        Some(parent) => parent.join(path).display().to_string(),
        None => path.to_owned(),
    }
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

fn complete_email(fields: &Fields<'_>, out: &mut Diagnostics) {
    fields.require("subject", out);
    if ["text", "html", "html-file"]
        .iter()
        .all(|key| fields.get(key).is_none())
    {
        let hint = "add `text`, `html` or `html-file`".to_owned();
        out.error(fields.at(), "the message has no body", Some(hint));
    }
    if let Some(preheader) = fields.entry("preheader")
        && ["html", "html-file"]
            .iter()
            .all(|key| fields.get(key).is_none())
    {
        let hint = "it stands hidden at the beginning of the HTML: add `html` or `html-file`";
        let fault = "a message without HTML has no `preheader`";
        out.error(preheader.key_at, fault, Some(hint.to_owned()));
    }
}

fn complete_other(channel: ChannelKind, fields: &Fields<'_>, out: &mut Diagnostics) {
    fields.require("text", out);
    for Entry { key, key_at, .. } in [
        "subject",
        "html",
        "html-file",
        "reply-to",
        "preheader",
        "headers",
    ]
    .iter()
    .filter_map(|key| fields.entry(key))
    {
        let fault = format!("a message for {channel} has no `{key}`");
        out.error(*key_at, fault, Some("put all of it in `text`".into()));
    }
}

fn is_workflow(node: &Node) -> bool {
    let Content::Mapping(entries) = &node.content else {
        return false;
    };
    let has = |key: &str| entries.iter().any(|entry| entry.key == key);
    has("workflow") && !has("message")
}

#[cfg(test)]
mod tests;
