//! Parses `start` and `stop`.

use super::super::definition::{Repeat, Start, Stop};
use super::super::duration::parse_duration;
use super::{condition, keys};
use promoflow_document::{Diagnostics, Entry, Fields, Node, NodeValue, did_you_mean, quoted, text};

/// Maximum length of an event type, in characters.
const MAX_EVENT_CHARS: usize = 100;

/// Characters that are not allowed in event types.
const FORBIDDEN: [char; 13] = [
    '<', ';', '’', '\\', '/', '|', '"', '`', '\'', '^', '?', '!', '>',
];

/// Parses `start`.
pub(super) fn read(node: &Node, out: &mut Diagnostics) -> Option<Start> {
    let fields = Fields::read(node, "`start`", keys::START, out)?;
    let event = fields
        .require("event", out)
        .and_then(|node| event(node, out));
    let condition = fields
        .get("where")
        .and_then(|node| condition::read(node, out));
    let repeat = match fields.get("repeat") {
        Some(node) => repeat(node, out),
        None => Some(Repeat::EveryTime),
    };
    let skip_if_running = match fields.get("skip-if-running") {
        Some(node) => boolean(node, "skip-if-running", out),
        None => Some(false),
    };
    Some(Start {
        event: event?,
        condition,
        repeat: repeat?,
        skip_if_running: skip_if_running?,
    })
}

/// Parses `stop`.
pub(super) fn read_stop(entry: &Entry, out: &mut Diagnostics) -> Option<Stop> {
    let fields = Fields::read(&entry.value, "`stop`", keys::STOP, out)?;
    let event = fields
        .require("event", out)
        .and_then(|node| event(node, out));
    Some(Stop { event: event? })
}

fn event(node: &Node, out: &mut Diagnostics) -> Option<String> {
    let event = text(node, "event", out)?;
    let length = event.chars().count();
    let sound = (1..=MAX_EVENT_CHARS).contains(&length)
        && !event.contains(FORBIDDEN)
        && !event.contains([',', '\n', '\r']);
    if sound {
        return Some(event.to_owned());
    }
    out.error(
        node.at,
        format!("{} is not an event type", quoted(event)),
        Some(format!(
            "an event type has 1 to {MAX_EVENT_CHARS} characters and none of < ; ’ \\ / | \" ` ' ^ ? ! , >"
        )),
    );
    None
}

fn repeat(node: &Node, out: &mut Diagnostics) -> Option<Repeat> {
    if let NodeValue::Mapping(_) = node.content {
        let fields = Fields::read(node, "`repeat`", keys::REPEAT, out)?;
        let every = fields.require("every", out)?;
        let period = text(every, "every", out)?;
        return match parse_duration(period) {
            Ok(seconds) if seconds > 0 => Some(Repeat::Every { seconds }),
            _ => {
                let message = format!(
                    "expected a duration such as 90s, 15m, 12h or 30d for `every`, found {}",
                    quoted(period)
                );
                out.error(every.at, message, None);
                None
            }
        };
    }
    let word = node
        .scalar()
        .filter(|scalar| !scalar.is_null())
        .map(|scalar| scalar.text());
    match word {
        Some("every-time") => Some(Repeat::EveryTime),
        Some("once") => Some(Repeat::Once),
        _ => {
            let found = word.map_or_else(|| node.kind().to_owned(), quoted);
            let message = format!(
                "expected every-time, once or {{ every: 30d }} for `repeat`, found {found}"
            );
            let hint = word.and_then(|word| did_you_mean(word, ["every-time", "once"]));
            out.error(node.at, message, hint);
            None
        }
    }
}

fn boolean(node: &Node, key: &str, out: &mut Diagnostics) -> Option<bool> {
    let scalar = node.scalar();
    if let Some(truth) = scalar.and_then(|scalar| scalar.boolean()) {
        return Some(truth);
    }
    let found = match scalar.filter(|scalar| !scalar.is_null()) {
        Some(scalar) => quoted(scalar.text()),
        None => node.kind().to_owned(),
    };
    out.error(
        node.at,
        format!("expected true or false for `{key}`, found {found}"),
        None,
    );
    None
}
