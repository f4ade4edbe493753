//! The parts that messages of each channel have.

use super::super::channel::ChannelKind;
use promoflow_document::{Diagnostics, Fields};

/// The keys that not all channels support.
const CHANNEL_SPECIFIC: [&str; 10] = [
    "reply-to",
    "subject",
    "preheader",
    "headers",
    "html",
    "html-file",
    "title",
    "image",
    "link",
    "button",
];

/// Returns the keys of [`CHANNEL_SPECIFIC`] that a channel supports.
fn supported_keys(channel: ChannelKind) -> &'static [&'static str] {
    match channel {
        ChannelKind::Email => &[
            "reply-to",
            "subject",
            "preheader",
            "headers",
            "html",
            "html-file",
        ],
        ChannelKind::Sms => &[],
        ChannelKind::Viber | ChannelKind::Telegram => &["image", "link", "button"],
        ChannelKind::MobilePush | ChannelKind::WebPush => &["title", "image", "link"],
    }
}

/// Rejects parts that the channel does not support.
pub(super) fn reject_unsupported(channel: ChannelKind, fields: &Fields<'_>, out: &mut Diagnostics) {
    let has = supported_keys(channel);
    for entry in CHANNEL_SPECIFIC
        .iter()
        .filter(|key| !has.contains(*key))
        .filter_map(|key| fields.entry(key))
    {
        let fault = format!("messages for {channel} do not support `{}`", entry.key);
        let hint = replacement_hint(channel, &entry.key).to_owned();
        out.error(entry.key_at, fault, Some(hint));
    }
}

/// Suggests a replacement for an unsupported part.
fn replacement_hint(channel: ChannelKind, key: &str) -> &'static str {
    match (channel, key) {
        (_, "reply-to" | "headers") => "remove it: only emails have it",
        (ChannelKind::Email, "title") => "use `subject`",
        (ChannelKind::Email, _) => "put it in the HTML",
        (ChannelKind::MobilePush | ChannelKind::WebPush, "subject" | "preheader") => "use `title`",
        (ChannelKind::MobilePush | ChannelKind::WebPush, "button") => {
            "remove it: a tap on the push opens its `link`"
        }
        _ => "put all of it in `text`",
    }
}

/// Requires the parts that the channel needs.
pub(super) fn require_parts(channel: ChannelKind, fields: &Fields<'_>, out: &mut Diagnostics) {
    if channel == ChannelKind::Email {
        fields.require("subject", out);
    }
    require_body(channel, fields, out);
    require_button_and_link(channel, fields, out);
}

/// Requires text, or text or HTML in an email.
pub(super) fn require_body(channel: ChannelKind, fields: &Fields<'_>, out: &mut Diagnostics) {
    if channel == ChannelKind::Email {
        require_email_body(fields, out);
    } else {
        fields.require("text", out);
    }
}

fn has_html(fields: &Fields<'_>) -> bool {
    ["html", "html-file"]
        .iter()
        .any(|key| fields.get(key).is_some())
}

fn require_email_body(fields: &Fields<'_>, out: &mut Diagnostics) {
    if fields.get("text").is_none() && !has_html(fields) {
        let hint = "add `text`, `html` or `html-file`".to_owned();
        out.error(fields.at(), "the body is missing", Some(hint));
    }
    if let Some(preheader) = fields.entry("preheader")
        && !has_html(fields)
    {
        let hint = "a preheader is hidden text at the start of the HTML: add `html` or `html-file`";
        let fault = "`preheader` requires HTML";
        out.error(preheader.key_at, fault, Some(hint.to_owned()));
    }
}

/// Requires a button and its link to appear together.
pub(super) fn require_button_and_link(
    channel: ChannelKind,
    fields: &Fields<'_>,
    out: &mut Diagnostics,
) {
    if !supported_keys(channel).contains(&"button") {
        return;
    }
    match (fields.entry("button"), fields.entry("link")) {
        (Some(button), None) => {
            let hint = "add `link: https://example.com/sale`".to_owned();
            out.error(button.key_at, "`button` has no `link`", Some(hint));
        }
        (None, Some(link)) => {
            let hint = "add `button: To the shop`, or put the address in `text`".to_owned();
            out.error(link.key_at, "`link` has no `button`", Some(hint));
        }
        _ => {}
    }
}
