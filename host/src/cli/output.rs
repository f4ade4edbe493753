//! Standard output: JSON lines, or text for people.

use std::fmt::{Arguments, Display};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::builder::styling::{AnsiColor, Style as Ansi};
use promoflow::clock::Timestamp;
pub(super) use promoflow::document::{tame, tame_line};
use serde::Serialize;

/// How a word stands out on a terminal.
#[derive(Clone, Copy)]
pub(super) struct Style(Ansi);

pub(super) const ERROR: Style = Style(AnsiColor::Red.on_default().bold());
pub(super) const WARNING: Style = Style(AnsiColor::Yellow.on_default().bold());
pub(super) const HINT: Style = Style(AnsiColor::Cyan.on_default());
pub(super) const GOOD: Style = Style(AnsiColor::Green.on_default());
pub(super) const BOLD: Style = Style(Ansi::new().bold());
pub(super) const DIM: Style = Style(Ansi::new().dimmed());

impl Style {
    /// The text in this style where there are colours.
    pub(super) fn on(self, colours: bool, text: impl Display) -> String {
        match colours {
            true => format!("{}{text}{}", self.0.render(), self.0.render_reset()),
            false => text.to_string(),
        }
    }
}

/// Whether to colour what goes to a stream.
pub(super) fn colours(is_terminal: bool) -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    is_terminal && !set("NO_COLOR") && !dumb
}

/// Standard output. Once its reader has gone (`| head`) it takes everything and writes nothing,
/// so that a command which changes something still does all of it.
pub(super) struct Out {
    writer: BufWriter<Box<dyn Write + Send>>,
    json: bool,
    colours: bool,
    gone: Arc<AtomicBool>,
}

impl Out {
    /// The process's standard output.
    pub(super) fn stdout(json: bool) -> Out {
        let stdout = io::stdout();
        let colours = colours(stdout.is_terminal());
        Out {
            writer: BufWriter::new(Box::new(stdout)),
            json,
            colours,
            gone: Arc::default(),
        }
    }

    /// Whether JSON is asked for.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether the reader has gone, so that a listing may end.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// The same for whoever has lent the output away.
    pub(super) fn gone(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.gone)
    }

    /// Writes a line of JSON.
    pub(super) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        self.bytes(&line)
    }

    /// Writes text and ends the line.
    pub(super) fn line(&mut self, text: Arguments<'_>) -> io::Result<()> {
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// Writes bytes as they are.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.is_gone() {
            return Ok(());
        }
        let written = self.writer.write_all(bytes);
        self.unless_gone(written)
    }

    /// Hands over what was written so far.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.is_gone() {
            return Ok(());
        }
        let flushed = self.writer.flush();
        self.unless_gone(flushed)
    }

    /// The text in that style, where there are colours.
    pub(super) fn style(&self, style: Style, text: impl Display) -> String {
        style.on(self.colours, text)
    }

    fn unless_gone(&mut self, result: io::Result<()>) -> io::Result<()> {
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

/// A moment for people: to the second, in UTC.
pub(super) fn moment(at: Timestamp) -> String {
    match at.to_utc() {
        Some(time) => time.format("%Y-%m-%d %H:%M:%S").to_string(),
        None => "never".to_owned(),
    }
}

/// The name that serde gives to a value, such as a state.
pub(super) fn name(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_need_a_terminal() {
        assert!(!colours(false));
        assert_eq!(ERROR.on(false, "error"), "error");
    }
}
