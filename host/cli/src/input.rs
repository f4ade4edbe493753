//! Input of commands: files, standard input, and their lines.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::Path;

use super::error::CliError;

/// The file name that means standard input.
pub(super) const STDIN: &str = "-";

/// An open input.
pub(super) struct Input {
    /// Its name in messages.
    pub(super) name: String,
    /// Its bytes.
    pub(super) reader: Box<dyn Read + Send>,
    /// Its size in bytes, if known.
    pub(super) size: Option<u64>,
}

/// Returns a file's name for messages.
pub(super) fn display_name(name: &str) -> &str {
    match name {
        STDIN => "<stdin>",
        name => name,
    }
}

/// Opens a file, or standard input for `-`.
pub(super) fn open(name: &str) -> Result<Input, CliError> {
    if name == STDIN {
        return Ok(Input {
            name: display_name(name).to_owned(),
            reader: Box::new(io::stdin()),
            size: None,
        });
    }
    let opened = File::open(name).and_then(|file| Ok((file.metadata()?, file)));
    let (metadata, file) = opened.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => CliError::invalid_input(format_args!("{name}: no such file")),
        _ => CliError::invalid_input(format_args!("{name}: cannot open: {error}")),
    })?;
    if metadata.is_dir() {
        return Err(CliError::invalid_input(format_args!(
            "{name}: is a folder; expected a file"
        )));
    }
    Ok(Input {
        name: name.to_owned(),
        reader: Box::new(file),
        size: metadata.is_file().then_some(metadata.len()),
    })
}

/// Reads a whole file, or standard input. Of a larger file, one byte more than `max_bytes` is read, so
/// that the caller can detect that it is too large.
pub(super) fn read(name: &str, max_bytes: usize) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    open(name)?
        .reader
        .take(max_bytes as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| {
            CliError::failed(format_args!("{}: cannot read: {error}", display_name(name)))
        })?;
    Ok(bytes)
}

/// Returns the folder against which a file's references are resolved.
pub(super) fn base_folder(name: &str) -> promoflow_model::message::Folder {
    promoflow_model::message::Folder::containing(Path::new(name))
}

/// A line of input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// The text, without the line break.
    Text(String),
    /// Longer than allowed.
    TooLong,
    /// Not UTF-8.
    NotText,
}

/// Reads the next line; `None` after the last one. Keeps at most `max_bytes` bytes of a line.
pub(super) fn next_line(reader: &mut impl BufRead, max_bytes: usize) -> io::Result<Option<Line>> {
    let mut line = Vec::new();
    let mut too_long = false;
    let mut any = false;
    loop {
        let bytes = match reader.fill_buf() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if bytes.is_empty() {
            break;
        }
        any = true;
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let part = &bytes[..end.unwrap_or(bytes.len())];
        if line.len() + part.len() > max_bytes {
            too_long = true;
            line.clear();
        }
        if !too_long {
            line.extend_from_slice(part);
        }
        let taken = end.map_or(bytes.len(), |end| end + 1);
        reader.consume(taken);
        if end.is_some() {
            break;
        }
    }
    if !any {
        return Ok(None);
    }
    if too_long {
        return Ok(Some(Line::TooLong));
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(Some(match String::from_utf8(line) {
        Ok(text) => Line::Text(text),
        Err(_) => Line::NotText,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lines_with_any_line_ending() {
        let mut reader = io::BufReader::with_capacity(3, &b"one\r\n\n\xFF\nmuch too long\nend"[..]);
        let mut lines = Vec::new();
        while let Some(line) = next_line(&mut reader, 6).unwrap() {
            lines.push(line);
        }
        let text = |text: &str| Line::Text(text.to_owned());
        assert_eq!(
            lines,
            [
                text("one"),
                text(""),
                Line::NotText,
                Line::TooLong,
                text("end")
            ]
        );
    }
}
