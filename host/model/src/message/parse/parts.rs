//! The parts of a message.

use super::super::definition::Parts;
use super::super::mailbox::looks_like_mailbox;
use super::super::url::{self, UrlPurpose};
use super::Reader;
use promoflow_document::{Diagnostics, Fields, Node, Scalar, check_template, quoted, text};

/// The keys of parts.
pub(super) const KEYS: [&str; 11] = [
    "from",
    "reply-to",
    "subject",
    "preheader",
    "title",
    "text",
    "html",
    "html-file",
    "image",
    "link",
    "button",
];

/// Maximum length of a subject or a sender, in characters. A header line of an email has at most
/// 998.
const MAX_LINE_CHARS: usize = 500;
/// Maximum length of a URL, in characters: what browsers support.
const MAX_URL_CHARS: usize = 2000;

impl Reader<'_> {
    /// Reads the parts of a mapping, without the invalid ones.
    pub(super) fn parts(self, fields: &Fields<'_>, email: bool, out: &mut Diagnostics) -> Parts {
        let mailbox = |key, out: &mut Diagnostics| {
            let node = fields.get(key)?;
            self.mailbox(node, key, email, out)
        };
        let line = |key, out: &mut Diagnostics| {
            let node = fields.get(key)?;
            Some(self.line(node, key, MAX_LINE_CHARS, out)?.0)
        };
        let address = |key, purpose, out: &mut Diagnostics| {
            let node = fields.get(key)?;
            self.url(node, key, purpose, out)
        };
        Parts {
            from: mailbox("from", out),
            reply_to: mailbox("reply-to", out),
            subject: line("subject", out),
            preheader: line("preheader", out),
            title: line("title", out),
            text: fields
                .get("text")
                .and_then(|node| self.body(node, "text", out)),
            html: self.html(fields, out),
            image: address("image", UrlPurpose::Image, out),
            link: address("link", UrlPurpose::Link, out),
            button: line("button", out),
        }
    }

    fn html(self, fields: &Fields<'_>, out: &mut Diagnostics) -> Option<String> {
        match (fields.entry("html"), fields.entry("html-file")) {
            (Some(_), Some(second)) => {
                let hint = "keep one of them".to_owned();
                out.error(
                    second.key_at,
                    "`html` and `html-file` cannot be used together",
                    Some(hint),
                );
                None
            }
            (Some(html), None) => self.body(&html.value, "html", out),
            (None, Some(path)) => self.html_file(&path.value, out),
            (None, None) => None,
        }
    }

    /// Reads the template of a header value.
    pub(super) fn header(self, node: &Node, name: &str, out: &mut Diagnostics) -> Option<String> {
        Some(self.line(node, name, MAX_LINE_CHARS, out)?.0)
    }

    /// Reads a mailbox template. Outside emails, any name is a valid sender.
    fn mailbox(self, node: &Node, key: &str, email: bool, out: &mut Diagnostics) -> Option<String> {
        let (mailbox, depends) = self.line(node, key, MAX_LINE_CHARS, out)?;
        // The output of references is checked when the message is rendered.
        if email && !depends && !looks_like_mailbox(&mailbox) {
            let fault = format!("{} is not a mailbox", quoted(&mailbox));
            let hint = "write `shop@example.com` or `Shop <shop@example.com>`; put a name with a comma or a bracket in double quotes";
            out.error(node.at, fault, Some(hint.to_owned()));
            return None;
        }
        Some(mailbox)
    }

    /// Reads a single-line template, and returns whether it depends on the run's data.
    fn line(
        self,
        node: &Node,
        key: &str,
        max_chars: usize,
        out: &mut Diagnostics,
    ) -> Option<(String, bool)> {
        let line = display_text(node, key, out)?;
        warn_cut_off(node, key, out);
        let depends = check_template(node, self.templates, out)?;
        let fault = if line.trim().is_empty() {
            format!("`{key}` is empty")
        } else if line.chars().any(char::is_control) {
            format!("`{key}` must be one line, without tabs or other control characters")
        } else if line.chars().count() > max_chars {
            format!("`{key}` has more than {max_chars} characters")
        } else {
            return Some((line.to_owned(), depends));
        };
        out.error(node.at, fault, None);
        None
    }

    fn body(self, node: &Node, key: &str, out: &mut Diagnostics) -> Option<String> {
        let body = display_text(node, key, out)?;
        warn_cut_off(node, key, out);
        check_template(node, self.templates, out)?;
        if body.trim().is_empty() {
            out.error(node.at, format!("`{key}` is empty"), None);
            return None;
        }
        Some(body.to_owned())
    }

    /// Reads a URL template.
    fn url(
        self,
        node: &Node,
        key: &str,
        purpose: UrlPurpose,
        out: &mut Diagnostics,
    ) -> Option<String> {
        let (address, depends) = self.line(node, key, MAX_URL_CHARS, out)?;
        // The output of references is checked when the message is rendered.
        if !depends && let Err(expected) = url::check(&address, purpose) {
            let fault = format!("{} is not a valid address for `{key}`", quoted(&address));
            out.error(node.at, fault, Some(expected.to_owned()));
            return None;
        }
        Some(address)
    }
}

/// Reads a text for people, which may begin with a bracket.
fn display_text<'n>(node: &'n Node, key: &str, out: &mut Diagnostics) -> Option<&'n str> {
    if node.scalar().is_none() {
        let fault = format!("expected text for {}, found {}", quoted(key), node.kind());
        let hint = "put text that begins with a bracket in quotes, or write it below `|`";
        out.error(node.at, fault, Some(hint.to_owned()));
        return None;
    }
    text(node, key, out)
}

/// Warns about text that YAML ends at ` #`: text for people is hardly ever followed by a comment.
fn warn_cut_off(node: &Node, key: &str, out: &mut Diagnostics) {
    if let Some(at) = node.scalar().and_then(Scalar::comment_start) {
        let warning = format!("`{key}` ends before the `#`: YAML reads the rest as a comment");
        let hint = "if it is part of the text, put the whole text in quotes, or write it below `|`";
        out.warning(at, warning, Some(hint.to_owned()));
    }
}
