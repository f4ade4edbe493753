//! `console`: prints each message, for trying things out.

use std::io::{self, Write};

use super::{Channel, Handover, Letter};
use promoflow_model::message::{ChannelKind, Line, lines};

/// Width of the line between messages.
const RULE_CHARS: usize = 72;

/// Prints messages to standard error; standard output belongs to the commands' results.
#[derive(Clone, Copy, Debug, Default)]
pub struct Console;

impl Channel for Console {
    fn takes(&self, _: ChannelKind) -> bool {
        true
    }

    fn deliver(&self, letter: &Letter<'_>) -> Handover {
        // One write, so that messages of several threads do not mix.
        match io::stderr().lock().write_all(printed(letter).as_bytes()) {
            Ok(()) => Handover::Delivered,
            Err(error) => Handover::Later {
                error: format!("cannot write to standard error: {error}"),
                after: None,
                unclear: true,
            },
        }
    }
}

/// Formats the message for people.
fn printed(letter: &Letter<'_>) -> String {
    let mut printed = "─".repeat(RULE_CHARS);
    printed.push('\n');
    if letter.kind != ChannelKind::Email {
        printed.push_str(&format!("Channel: {}\n", letter.kind));
    }
    let told = letter.content.text.is_some();
    for line in lines(letter.content, Some(letter.address)) {
        printed.push_str(&match line {
            // The plain text is enough.
            Line::Html(_) if told => continue,
            Line::Header(name, value) => format!("{name}: {value}\n"),
            Line::Text(text) => format!("\n{text}\n"),
            Line::Html(html) => format!("\n--- HTML ---\n{html}\n"),
        });
    }
    printed
}

#[cfg(test)]
mod tests {
    use super::*;
    use promoflow_model::message::Content;

    #[test]
    fn prints_messages_without_control_characters() {
        let content = Content {
            subject: Some("Hi\nthere".into()),
            text: Some("Your code: A-1\u{1b}[2J\n".into()),
            html: Some("<p>Your code: A-1</p>".into()),
            ..Content::default()
        };
        let letter = Letter {
            unsubscribe: None,
            id: "delivery-1",
            installation: "1",
            kind: ChannelKind::Email,
            address: "ann@example.com",
            content: &content,
        };
        let expected = "\nTo: ann@example.com\nSubject: Hi there\n\nYour code: A-1\u{fffd}[2J\n";
        let printed = printed(&letter);
        assert_eq!(printed.trim_start_matches('─'), expected);
    }
}
