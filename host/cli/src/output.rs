//! Standard output, as JSON lines or text, and messages on standard error.
//!
//! All output of a command goes through this module, which sanitizes it for terminals: callers need
//! not know which parts came from outside.

use std::borrow::Cow;
use std::fmt::{Arguments, Display};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use clap::builder::styling::{AnsiColor, Style as Ansi};
pub(super) use promoflow_document::{sanitize, sanitize_line};
use promoflow_model::clock::Timestamp;
use serde::Serialize;

use promoflow_document::sanitize_json;

/// A text style on a terminal.
#[derive(Clone, Copy)]
pub(super) struct Style(usize);

pub(super) const ERROR: Style = Style(0);
pub(super) const WARNING: Style = Style(1);
pub(super) const HINT: Style = Style(2);
pub(super) const SUCCESS: Style = Style(3);
pub(super) const BOLD: Style = Style(4);
pub(super) const DIM: Style = Style(5);

const STYLES: [Ansi; 6] = [
    AnsiColor::Red.on_default().bold(),
    AnsiColor::Yellow.on_default().bold(),
    AnsiColor::Cyan.on_default(),
    AnsiColor::Green.on_default(),
    Ansi::new().bold(),
    Ansi::new().dimmed(),
];

/// Marks a style in text that is not yet written: it precedes the number of the style, or a blank
/// at its end. The random part keeps text from outside from adding styles.
static MARK: LazyLock<String> =
    LazyLock::new(|| format!("\u{fdd0}{:016x}\u{fdd1}", RandomState::new().hash_one(0)));

impl Style {
    /// Returns the text in this style if colours are on, for [`Out`] and [`print_stderr`] to write.
    pub(super) fn on(self, colours: bool, text: impl Display) -> String {
        match colours {
            true => format!("{}{}{text}{} ", *MARK, self.0, *MARK),
            false => text.to_string(),
        }
    }
}

/// Returns the text to write: terminal control characters are replaced, and our styles are applied.
fn written(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b'\n' | b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    let mut parts = text.split(MARK.as_str());
    let mut written = sanitize(parts.next().unwrap_or_default());
    let mut style: Option<Ansi> = None;
    for part in parts {
        let mut chars = part.chars();
        let number = chars.next().and_then(|c| c.to_digit(10));
        let next = number
            .and_then(|number| STYLES.get(number as usize))
            .copied();
        written += &match (next, style) {
            (Some(next), _) => next.render().to_string(),
            (None, Some(style)) => style.render_reset().to_string(),
            (None, None) => String::new(),
        };
        style = next;
        written += &sanitize(chars.as_str());
    }
    Cow::Owned(written)
}

/// Writes text to standard error.
pub(super) fn print_stderr(text: &str) {
    // Standard error may be closed; then there is nothing to do.
    let _closed = io::stderr().lock().write_all(written(text).as_bytes());
}

/// Decides whether to colour output: only on a terminal, and not if `NO_COLOR` is set.
pub(super) fn colours(is_terminal: bool) -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    is_terminal && !set("NO_COLOR") && !dumb
}

/// Standard output. Once its reader is gone (`| head`) it discards everything, so that a command
/// which changes something still completes.
pub(super) struct Out {
    writer: BufWriter<Box<dyn Write + Send>>,
    json: bool,
    colours: bool,
    /// The output is a terminal: bytes are sanitized like text.
    is_terminal: bool,
    /// An incomplete line of bytes.
    pending: Vec<u8>,
    gone: Arc<AtomicBool>,
}

impl Out {
    /// Creates the output of the process.
    pub(super) fn stdout(json: bool) -> Out {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        Out {
            writer: BufWriter::new(Box::new(stdout)),
            json,
            colours: colours(is_terminal),
            is_terminal,
            pending: Vec::new(),
            gone: Arc::default(),
        }
    }

    /// Returns true if `--json` is set.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Returns true if the reader is gone, so that a listing may end.
    pub(super) fn is_closed(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// Returns the flag behind [`is_closed`](Self::is_closed), for use while the output is borrowed.
    pub(super) fn closed_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.gone)
    }

    /// Writes a line of JSON.
    pub(super) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        let mut line = sanitize_json(value)?;
        line.push(b'\n');
        self.put(&line)
    }

    /// Writes text and ends the line.
    pub(super) fn line(&mut self, text: Arguments<'_>) -> io::Result<()> {
        self.put(written(&format!("{text}\n")).as_bytes())
    }

    /// Writes the bytes of a file; sanitized if they go to a terminal.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.is_terminal {
            return self.put(bytes);
        }
        self.pending.extend_from_slice(bytes);
        let ended = self.pending.iter().rposition(|byte| *byte == b'\n');
        let lines: Vec<u8> = self
            .pending
            .drain(..ended.map_or(0, |end| end + 1))
            .collect();
        self.put(sanitize(&String::from_utf8_lossy(&lines)).as_bytes())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.is_closed() {
            return Ok(());
        }
        let written = self.writer.write_all(bytes);
        self.ignore_closed(written)
    }

    /// Flushes what was written so far.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.is_closed() {
            return Ok(());
        }
        let rest = std::mem::take(&mut self.pending);
        self.put(sanitize(&String::from_utf8_lossy(&rest)).as_bytes())?;
        let flushed = self.writer.flush();
        self.ignore_closed(flushed)
    }

    /// Returns the text in that style, if colours are on.
    pub(super) fn style(&self, style: Style, text: impl Display) -> String {
        style.on(self.colours, text)
    }

    fn ignore_closed(&mut self, result: io::Result<()>) -> io::Result<()> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.gone.store(true, Ordering::Relaxed);
                Ok(())
            }
            other => other,
        }
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Out::flush(self)
    }
}

/// Formats a time for people: to the second, in UTC.
pub(super) fn format_time(at: Timestamp) -> String {
    match at.to_utc() {
        Some(time) => time.format("%Y-%m-%d %H:%M:%S").to_string(),
        None => "never".to_owned(),
    }
}

/// Returns the name that serde gives to a value, such as a state.
pub(super) fn name(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    #[test]
    fn colours_need_a_terminal() {
        assert!(!colours(false));
        assert_eq!(ERROR.on(false, "error"), "error");
    }

    #[test]
    fn only_own_styles_reach_the_terminal() {
        let text = format!(
            "{}: \u{1b}[2J {}\n",
            ERROR.on(true, "error"),
            DIM.on(true, "\u{9b}m")
        );
        assert_eq!(
            written(&text),
            "\u{1b}[1m\u{1b}[31merror\u{1b}[0m: \u{fffd}[2J \u{1b}[2m\u{fffd}m\u{1b}[0m\n"
        );
        let guessed = "\u{fdd0}0000000000000000\u{fdd1}0red";
        assert_eq!(written(guessed), guessed);
    }

    /// The written bytes.
    #[derive(Clone, Default)]
    struct Sink(Arc<std::sync::Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn sanitizes_a_file_only_for_a_terminal() {
        let file = "code\nA\u{1b}]0;x\u{7}\u{442}\nB".as_bytes();
        for (is_terminal, expected) in [
            (false, file.to_vec()),
            (true, "code\nA\u{fffd}]0;x\u{fffd}\u{442}\nB".into()),
        ] {
            let sink = Sink::default();
            let mut out = Out {
                writer: BufWriter::new(Box::new(sink.clone())),
                json: false,
                colours: false,
                is_terminal,
                pending: Vec::new(),
                gone: Arc::default(),
            };
            // Characters arrive split into bytes.
            for byte in file {
                out.write_all(&[*byte]).unwrap();
            }
            out.flush().unwrap();
            assert_eq!(*sink.0.lock().unwrap(), expected);
        }
    }
}
