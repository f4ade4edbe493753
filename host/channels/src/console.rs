//! `console`: prints each message, for trying things out.

use std::io::{self, Write};

use super::{Channel, DeliveryOutcome, OutboundMessage};
use promoflow_model::message::{ChannelKind, MessageLine, message_lines};

/// Width of the line between messages.
const RULE_CHARS: usize = 72;

/// Prints messages to standard error; standard output belongs to the commands' results.
#[derive(Clone, Copy, Debug, Default)]
pub struct Console;

impl Channel for Console {
    fn supports(&self, _: ChannelKind) -> bool {
        true
    }

    fn deliver(&self, outbound: &OutboundMessage<'_>) -> DeliveryOutcome {
        // One write, so that messages of several threads do not mix.
        match io::stderr()
            .lock()
            .write_all(format_message(outbound).as_bytes())
        {
            Ok(()) => DeliveryOutcome::Delivered,
            Err(error) => DeliveryOutcome::RetryableFailure {
                error: format!("cannot write to standard error: {error}"),
                after: None,
                ambiguous: true,
            },
        }
    }
}

/// Formats the message for people.
fn format_message(outbound: &OutboundMessage<'_>) -> String {
    let mut printed = "─".repeat(RULE_CHARS);
    printed.push('\n');
    if outbound.kind != ChannelKind::Email {
        printed.push_str(&format!("Channel: {}\n", outbound.kind));
    }
    let has_text = outbound.content.text.is_some();
    for line in message_lines(outbound.content, Some(outbound.address)) {
        printed.push_str(&match line {
            // The plain text is enough.
            MessageLine::Html(_) if has_text => continue,
            MessageLine::Header(name, value) => format!("{name}: {value}\n"),
            MessageLine::Text(text) => format!("\n{text}\n"),
            MessageLine::Html(html) => format!("\n--- HTML ---\n{html}\n"),
        });
    }
    printed
}

#[cfg(test)]
mod tests {
    use super::*;
    use promoflow_model::message::RenderedMessage;

    #[test]
    fn prints_messages_without_control_characters() {
        let content = RenderedMessage {
            subject: Some("Hi\nthere".into()),
            text: Some("Your code: A-1\u{1b}[2J\n".into()),
            html: Some("<p>Your code: A-1</p>".into()),
            ..RenderedMessage::default()
        };
        let outbound = OutboundMessage {
            unsubscribe: None,
            id: "delivery-1",
            installation: "1",
            kind: ChannelKind::Email,
            address: "ann@example.com",
            content: &content,
        };
        let expected = "\nTo: ann@example.com\nSubject: Hi there\n\nYour code: A-1\u{fffd}[2J\n";
        let printed = format_message(&outbound);
        assert_eq!(printed.trim_start_matches('─'), expected);
    }
}
