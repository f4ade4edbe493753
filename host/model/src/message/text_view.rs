//! Rendered messages as text for terminals.

use super::RenderedMessage;
use promoflow_document::{sanitize, sanitize_line};

/// A part of a rendered message, safe to print on a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageLine {
    /// A header with its name and value, on one line.
    Header(String, String),
    /// The plain text.
    Text(String),
    /// The HTML.
    Html(String),
}

/// Returns the parts of a rendered message in reading order; `to` is the address.
pub fn message_lines(content: &RenderedMessage, to: Option<&str>) -> Vec<MessageLine> {
    let header =
        |(name, value): (&str, &str)| MessageLine::Header(name.to_owned(), sanitize_line(value));
    let above = [
        ("From", content.from.as_deref()),
        ("To", to),
        ("Reply-To", content.reply_to.as_deref()),
        ("Subject", content.subject.as_deref()),
        ("Title", content.title.as_deref()),
    ];
    let further = content.headers.iter();
    let further = further.map(|(name, value)| (name.as_str(), value.as_str()));
    let below = [
        ("Image", content.image.as_deref()),
        ("Button", content.button.as_deref()),
        ("Link", content.link.as_deref()),
    ];
    let block = |text: &String| sanitize(text).trim_end().to_owned();
    present(above)
        .chain(further)
        .map(header)
        .chain(
            content
                .text
                .as_ref()
                .map(|text| MessageLine::Text(block(text))),
        )
        .chain(present(below).map(header))
        .chain(
            content
                .html
                .as_ref()
                .map(|html| MessageLine::Html(block(html))),
        )
        .collect()
}

/// Returns the parts that exist.
fn present<'c, const N: usize>(
    named: [(&'static str, Option<&'c str>); N],
) -> impl Iterator<Item = (&'c str, &'c str)> {
    let named = named.into_iter();
    named.filter_map(|(name, value)| Some((name, value?)))
}
