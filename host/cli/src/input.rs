//! What commands read: files, standard input, and lines of either.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::Path;

use super::failure::Failure;

/// The name that stands for standard input.
pub(super) const STDIN: &str = "-";

/// Something to read, opened.
pub(super) struct Input {
    /// As people are told of it.
    pub(super) name: String,
    /// Its bytes.
    pub(super) reader: Box<dyn Read + Send>,
    /// How many there are, where that is known.
    pub(super) size: Option<u64>,
}

/// A file's name as people are told it.
pub(super) fn shown(name: &str) -> &str {
    match name {
        STDIN => "<stdin>",
        name => name,
    }
}

/// Opens a file, or standard input for `-`.
pub(super) fn open(name: &str) -> Result<Input, Failure> {
    if name == STDIN {
        return Ok(Input {
            name: shown(name).to_owned(),
            reader: Box::new(io::stdin()),
            size: None,
        });
    }
    let opened = File::open(name).and_then(|file| Ok((file.metadata()?, file)));
    let (metadata, file) = opened.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::refused(format_args!("there is no file {name}")),
        _ => Failure::refused(format_args!("cannot open {name}: {error}")),
    })?;
    if metadata.is_dir() {
        return Err(Failure::refused(format_args!(
            "{name} is a folder; a file is expected"
        )));
    }
    Ok(Input {
        name: name.to_owned(),
        reader: Box::new(file),
        size: metadata.is_file().then_some(metadata.len()),
    })
}

/// The whole of a file, or of standard input. One byte more than `most` is read of a larger one,
/// so that whoever judges the size sees that it is too large.
pub(super) fn read(name: &str, most: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    open(name)?
        .reader
        .take(most as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::failed(format_args!("cannot read {}: {error}", shown(name))))?;
    Ok(bytes)
}

/// The folder in which a file finds what it names.
pub(super) fn folder_of(name: &str) -> promoflow_model::message::Folder {
    promoflow_model::message::Folder::of(Path::new(name))
}

/// A line of a file of lines.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// The text, without its end.
    Text(String),
    /// Longer than allowed.
    TooLong,
    /// Not UTF-8.
    NotText,
}

/// Reads the next line; `None` after the last one. A line is never held beyond `most` bytes.
pub(super) fn next_line(reader: &mut impl BufRead, most: usize) -> io::Result<Option<Line>> {
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
        if line.len() + part.len() > most {
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
    fn lines_are_read_whatever_ends_them() {
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
