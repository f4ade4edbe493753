//! The log on standard error: as text or as JSON lines, without addresses.
//!
//! This program logs promo codes and addresses only redacted. Messages of libraries and servers may
//! contain an address, so anything that looks like one is redacted here.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::sync::LazyLock;

use promoflow_config::{LogConfig, LogFormat, LogLevel};
use promoflow_document::{sanitize_json_text, sanitize_line};
use regex::Regex;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::output;

/// Starts logging. `verbose` is the number of -v options, which override the level.
pub(super) fn start(verbose: u8, config: LogConfig) {
    let filter = match (verbose, config.level) {
        (0, Some(LogLevel::Error)) => "error",
        (0, None | Some(LogLevel::Warn)) => "warn",
        (0, Some(LogLevel::Info)) | (1, _) => "warn,promoflow=info",
        (0, Some(LogLevel::Debug)) | (2, _) => "warn,promoflow=debug",
        (0, Some(LogLevel::Trace)) | (3.., _) => "trace",
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_target(filter.len() > "warn,promoflow=info".len() || filter == "trace")
        // It would report a closed standard error there, and panic.
        .log_internal_errors(false);
    let format = config.format.unwrap_or_default();
    let log = log.with_writer(match format {
        LogFormat::Json => SanitizedWriter::Json,
        LogFormat::Text => SanitizedWriter::Text,
    });
    match format {
        LogFormat::Json => log.json().flatten_event(true).with_target(true).init(),
        LogFormat::Text => log
            .with_ansi(output::colours(io::stderr().is_terminal()))
            .init(),
    }
}

/// Standard error, without addresses, terminal control characters, and text that looks like another
/// log line.
#[derive(Clone, Copy)]
enum SanitizedWriter {
    Text,
    Json,
}

impl<'w> MakeWriter<'w> for SanitizedWriter {
    type Writer = SanitizedWriter;

    fn make_writer(&'w self) -> SanitizedWriter {
        *self
    }
}

impl Write for SanitizedWriter {
    /// Writes one event; each event arrives in one piece.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let sanitized = self.sanitized(&redacted(&text));
        io::stderr().lock().write_all(sanitized.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

impl SanitizedWriter {
    fn sanitized(self, event: &str) -> String {
        match self {
            SanitizedWriter::Json => sanitize_json_text(event).into_owned(),
            SanitizedWriter::Text => {
                let mut sanitized = String::with_capacity(event.len());
                let mut rest = event.strip_suffix('\n').unwrap_or(event);
                // The colours come from the logger, which escapes what it is given.
                while let Some(at) = rest.find('\u{1b}') {
                    sanitized += &sanitize_line(&rest[..at]);
                    let colour = COLOUR.as_ref().and_then(|colour| colour.find(&rest[at..]));
                    let length = colour.map_or(0, |found| found.end());
                    sanitized += match length {
                        0 => "\u{fffd}",
                        _ => &rest[at..at + length],
                    };
                    rest = &rest[at + length.max(1)..];
                }
                sanitized += &sanitize_line(rest);
                sanitized.push('\n');
                sanitized
            }
        }
    }
}

/// Matches the start or end of a colour.
static COLOUR: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^\u{1b}\\[[0-9]{1,2}m").ok());

/// Matches email addresses and phone numbers.
static ADDRESS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"[^\s"'`<>()\[\]{}=,;:\\]+@[^\s"'`<>()\[\]{}=,;:\\]+|\+\d[\d ().-]{5,}\d"#).ok()
});

fn redacted(text: &str) -> Cow<'_, str> {
    match &*ADDRESS {
        Some(address) => address.replace_all(text, "•••"),
        // A test ensures that the expression is valid.
        None => Cow::Borrowed("log line omitted: cannot redact it\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_without_control_characters() {
        let event = "\u{1b}[2mnow\u{1b}[0m \u{1b}]0;x\u{7} a\nb\u{9b}2J\u{202e}\n";
        assert_eq!(
            SanitizedWriter::Text.sanitized(event),
            "\u{1b}[2mnow\u{1b}[0m \u{fffd}]0;x\u{fffd} a b\u{fffd}2J\u{fffd}\n"
        );
        assert_eq!(
            SanitizedWriter::Json.sanitized("{\"a\":\"\u{9b}\u{7f}\"}\n"),
            "{\"a\":\"\\u009b\\u007f\"}\n"
        );
    }

    #[test]
    fn redacts_addresses() {
        for (line, wanted) in [
            (
                "550 <ann.o'neil@example.com> unknown",
                "550 <ann.o'•••> unknown",
            ),
            ("{\"to\":\"ann+x@mail.example.com\"}", "{\"to\":\"•••\"}"),
            ("call +380 50 123-45-67 now", "call ••• now"),
            ("took 1234567 of +12", "took 1234567 of +12"),
            ("анна@приклад.укр\n", "•••\n"),
        ] {
            assert_eq!(redacted(line), wanted);
        }
    }
}
