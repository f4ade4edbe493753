//! The log, on standard error: as text or as JSON lines, without addresses.
//!
//! Nothing in this program hands promo codes or addresses to the log, but for masked ones. What
//! libraries and servers say may still quote an address, so what looks like one is masked here.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::sync::LazyLock;

use promoflow::config::{LogConfig, LogFormat, LogLevel};
use regex::Regex;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::output;

/// Begins to log. `verbose` is how often -v was given, which goes before the level.
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
        .with_writer(Masked)
        .with_target(filter.len() > "warn,promoflow=info".len() || filter == "trace")
        // With standard error closed it would say so there, and panic.
        .log_internal_errors(false);
    match config.format.unwrap_or_default() {
        LogFormat::Json => log.json().flatten_event(true).with_target(true).init(),
        LogFormat::Text => log
            .with_ansi(output::colours(io::stderr().is_terminal()))
            .init(),
    }
}

/// Standard error, without addresses.
struct Masked;

impl<'w> MakeWriter<'w> for Masked {
    type Writer = Masked;

    fn make_writer(&'w self) -> Masked {
        Masked
    }
}

impl Write for Masked {
    /// Each event comes in one piece.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        io::stderr().lock().write_all(masked(&text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

/// Email addresses and phone numbers.
static ADDRESS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"[^\s"'`<>()\[\]{}=,;:\\]+@[^\s"'`<>()\[\]{}=,;:\\]+|\+\d[\d ().-]{5,}\d"#).ok()
});

fn masked(text: &str) -> Cow<'_, str> {
    match &*ADDRESS {
        Some(address) => address.replace_all(text, "•••"),
        // It is tested that there is one.
        None => Cow::Borrowed("a line is left out: it cannot be masked\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_an_address_is_masked() {
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
            assert_eq!(masked(line), wanted);
        }
    }
}
