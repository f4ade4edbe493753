//! Single-pass parser for multipart forms (`multipart/form-data`, RFC 7578).
//!
//! The fields before the file are small and bounded, and are parsed on the event loop. The file can
//! have any size, and is read on the thread that imports it.

use std::fmt;
use std::io::{self, Read};

use axum::http::{HeaderMap, header};
use memchr::memmem::Finder;
use mime::Mime;

/// Maximum size in bytes of a part's headers, including the whitespace after the boundary.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// Number of bytes to read at a time.
const READ_BYTES: usize = 64 << 10;
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// An error in a form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FormError {
    pub(super) detail: String,
    pub(super) field: Option<String>,
}

impl FormError {
    fn new(detail: &str) -> FormError {
        FormError {
            detail: format!("the form: {detail}"),
            field: None,
        }
    }

    pub(super) fn ended() -> FormError {
        FormError::new("it ends before the final boundary")
    }
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for FormError {}

/// Returns the boundary between parts, including the line break before it.
pub(super) fn boundary(headers: &HeaderMap) -> Result<Vec<u8>, FormError> {
    let media: Option<Mime> = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok());
    match media
        .as_ref()
        .and_then(|media| media.get_param(mime::BOUNDARY))
    {
        Some(text) if (1..=200).contains(&text.as_str().len()) => {
            Ok(format!("\r\n--{text}").into_bytes())
        }
        _ => Err(FormError::new(
            "the header Content-Type has no boundary; expected multipart/form-data; boundary=...",
        )),
    }
}

/// Headers of a part.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PartHeaders {
    pub(super) name: Option<String>,
    pub(super) file_name: Option<String>,
}

/// Parser for the parts before the file.
pub(super) struct FormParser {
    /// Includes the line break before it.
    boundary: Vec<u8>,
    bytes: Vec<u8>,
    /// Bytes before this offset are consumed.
    at: usize,
    /// Offset at which to continue the search.
    searched: usize,
}

impl FormParser {
    pub(super) fn new(boundary: Vec<u8>) -> FormParser {
        FormParser {
            boundary,
            // The first boundary may be at the very beginning.
            bytes: b"\r\n".to_vec(),
            at: 0,
            searched: 0,
        }
    }

    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.bytes.extend_from_slice(chunk);
    }

    /// Finds the next occurrence of a pattern; searches each byte once.
    fn find(&mut self, pattern: &[u8]) -> Option<usize> {
        let from = self.searched.max(self.at);
        match memchr::memmem::find(&self.bytes[from..], pattern) {
            Some(found) => Some(from + found),
            None => {
                let again = self.bytes.len().saturating_sub(pattern.len() - 1);
                self.searched = again.max(from);
                None
            }
        }
    }

    fn consume(&mut self, until: usize) {
        self.at = until;
        self.searched = until;
    }

    /// Returns the headers of the next part; `None` if more bytes are needed.
    pub(super) fn next_part(&mut self) -> Result<Option<Option<PartHeaders>>, FormError> {
        let boundary = self.boundary.clone();
        let Some(begins) = self.find(&boundary) else {
            return Ok(None);
        };
        // If the headers are incomplete, the next call finds the boundary again.
        self.searched = begins;
        let after_boundary = begins + boundary.len();
        match parse_head(&self.bytes[after_boundary..])? {
            Head::More => Ok(None),
            Head::End => Ok(Some(None)),
            Head::Part(part, length) => {
                self.consume(after_boundary + length);
                Ok(Some(Some(part)))
            }
        }
    }

    /// Returns the content of a part, up to `max_bytes` bytes; `None` if more bytes are needed.
    pub(super) fn value(&mut self, max_bytes: usize) -> Option<Result<Vec<u8>, TooLong>> {
        let boundary = self.boundary.clone();
        let found = self.find(&boundary);
        let known = found.unwrap_or(self.searched) - self.at;
        if known > max_bytes {
            return Some(Err(TooLong));
        }
        found.map(|end| {
            let value = self.bytes[self.at..end].to_vec();
            self.consume(end);
            Ok(value)
        })
    }

    /// Returns the beginning of the last part's content, which reads the rest.
    pub(super) fn into_rest(mut self) -> PartBeginning {
        PartBeginning {
            boundary: self.boundary,
            bytes: self.bytes.split_off(self.at),
        }
    }
}

/// A part's content exceeds its limit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

enum Head {
    More,
    /// The final boundary.
    End,
    /// A part, and the offset of its content.
    Part(PartHeaders, usize),
}

/// Parses the bytes after a boundary.
fn parse_head(bytes: &[u8]) -> Result<Head, FormError> {
    if bytes.len() < 2 {
        return Ok(Head::More);
    }
    if bytes.starts_with(b"--") {
        return Ok(Head::End);
    }
    let padding = bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t'));
    let padding = padding.count();
    let line_end = &bytes[padding..];
    if !line_end.starts_with(b"\r\n") && !line_end.is_empty() && line_end != b"\r" {
        return Err(FormError::new("expected a line break after a boundary"));
    }
    let known = &bytes[..bytes.len().min(MAX_HEAD_BYTES)];
    // A part without headers starts with an empty line.
    let Some(end) = known
        .get(padding..)
        .and_then(|known| memchr::memmem::find(known, END_OF_HEAD))
    else {
        return match bytes.len() < MAX_HEAD_BYTES {
            true => Ok(Head::More),
            false => Err(FormError::new(&format!(
                "the headers of a part exceed {MAX_HEAD_BYTES} bytes"
            ))),
        };
    };
    let lines = String::from_utf8_lossy(&bytes[padding..padding + end]);
    let disposition = lines.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let wanted = name.trim().eq_ignore_ascii_case("content-disposition");
        wanted.then_some(value)
    });
    let part = disposition.map(parse_disposition).unwrap_or_default();
    Ok(Head::Part(part, padding + end + END_OF_HEAD.len()))
}

/// Parses the names in `form-data; name="file"; filename="codes.csv"`.
fn parse_disposition(disposition: &str) -> PartHeaders {
    let mut part = PartHeaders::default();
    let mut rest = disposition.split_once(';').map_or("", |(_, rest)| rest);
    while !rest.is_empty() {
        let end = rest.find(['=', ';']).unwrap_or(rest.len());
        let key = rest[..end].trim();
        rest = &rest[end..];
        let value = match rest.strip_prefix('=') {
            None => String::new(),
            Some(after_boundary) => {
                let (value, left) = parse_value(after_boundary.trim_start());
                rest = left;
                value
            }
        };
        if key.eq_ignore_ascii_case("name") {
            part.name = Some(value);
        } else if key.eq_ignore_ascii_case("filename") {
            part.file_name = Some(value);
        }
        rest = match rest.split_once(';') {
            Some((_, next)) => next,
            None => "",
        };
    }
    part
}

/// Parses a quoted or bare value; returns it and the rest of the text.
fn parse_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        return (text[..end].trim().to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return (value, &quoted[at + 1..]),
            // Only quotes are escaped: some browsers send paths with backslashes.
            '\\' if quoted[at + 1..].starts_with('"') => {
                value.push('"');
                chars.next();
            }
            other => value.push(other),
        }
    }
    (value, "")
}

/// The received beginning of a part's content.
pub(super) struct PartBeginning {
    boundary: Vec<u8>,
    bytes: Vec<u8>,
}

impl PartBeginning {
    /// Returns a reader of the content, which must be that of the last part.
    pub(super) fn reader<R: Read>(
        self,
        inner: R,
        after: fn(&PartHeaders) -> FormError,
    ) -> LastPartReader<R> {
        LastPartReader {
            inner,
            boundary: Finder::new(&self.boundary).into_owned(),
            bytes: self.bytes,
            at: 0,
            content_end: 0,
            found: false,
            ended: false,
            after,
        }
    }
}

/// Reader of the content of a form's last part.
pub(super) struct LastPartReader<R> {
    inner: R,
    boundary: Finder<'static>,
    bytes: Vec<u8>,
    at: usize,
    /// Bytes before this offset are known to be content.
    content_end: usize,
    /// The boundary starts at `content_end`.
    found: bool,
    ended: bool,
    /// Returns the error for a part after this one.
    after: fn(&PartHeaders) -> FormError,
}

impl<R: Read> LastPartReader<R> {
    /// Reads more bytes; returns false at the end.
    fn read_more(&mut self) -> io::Result<bool> {
        self.bytes.drain(..self.at);
        self.content_end -= self.at;
        self.at = 0;
        let known = self.bytes.len();
        self.bytes.resize(known + READ_BYTES, 0);
        let read = loop {
            match self.inner.read(&mut self.bytes[known..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.bytes.truncate(known + *read.as_ref().unwrap_or(&0));
        read.map(|read| read > 0)
    }

    /// Checks what follows the content.
    fn check_end(&mut self) -> io::Result<()> {
        self.at += self.boundary.needle().len();
        self.content_end = self.at;
        loop {
            match parse_head(&self.bytes[self.at..]).map_err(io::Error::other)? {
                Head::End => return Ok(()),
                Head::Part(part, _) => return Err(io::Error::other((self.after)(&part))),
                Head::More if self.read_more()? => {}
                Head::More => return Err(io::Error::other(FormError::ended())),
            }
        }
    }
}

impl<R: Read> Read for LastPartReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.content_end && !self.ended && !out.is_empty() {
            if self.found {
                self.check_end()?;
                self.ended = true;
                break;
            }
            match self.boundary.find(&self.bytes[self.at..]) {
                Some(length) => {
                    self.content_end = self.at + length;
                    self.found = true;
                }
                None => {
                    // A part of the boundary may already have arrived.
                    let certain = self
                        .bytes
                        .len()
                        .saturating_sub(self.boundary.needle().len() - 1);
                    self.content_end = certain.max(self.at);
                    if self.content_end == self.at && !self.read_more()? {
                        return Err(io::Error::other(FormError::ended()));
                    }
                }
            }
        }
        let length = (self.content_end - self.at).min(out.len());
        out[..length].copy_from_slice(&self.bytes[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;

    fn after(part: &PartHeaders) -> FormError {
        FormError::new(part.name.as_deref().unwrap_or("?"))
    }

    /// Returns up to this many bytes per read.
    struct ChunkedReader<'b>(&'b [u8], usize);

    impl Read for ChunkedReader<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let length = self.1.min(out.len()).min(self.0.len());
            out[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    type Parsed = (Vec<(String, Vec<u8>)>, Vec<u8>);

    /// Parses all fields of a form and the content of its file.
    fn parse(form: &[u8], chunk_size: usize) -> Result<Parsed, FormError> {
        let mut fields = Vec::new();
        let mut head = FormParser::new(b"\r\n--between".to_vec());
        let mut left = form;
        let mut more = |head: &mut FormParser| {
            let length = chunk_size.min(left.len());
            head.push(&left[..length]);
            left = &left[length..];
            match length {
                0 => Err(FormError::ended()),
                _ => Ok(()),
            }
        };
        loop {
            let part = match head.next_part()? {
                None => {
                    more(&mut head)?;
                    continue;
                }
                Some(None) => return Ok((fields, Vec::new())),
                Some(Some(part)) => part,
            };
            if part.file_name.is_some() {
                break;
            }
            let value = loop {
                match head.value(1_000) {
                    None => more(&mut head)?,
                    Some(value) => break value.unwrap(),
                }
            };
            fields.push((part.name.unwrap_or_default(), value));
        }
        let mut content = Vec::new();
        let mut reader = head
            .into_rest()
            .reader(ChunkedReader(left, chunk_size), after);
        match reader.read_to_end(&mut content) {
            Ok(_) => Ok((fields, content)),
            Err(error) => Err(*error.into_inner().unwrap().downcast().unwrap()),
        }
    }

    fn form(fields: &[(&str, &[u8])], file: &[u8]) -> Vec<u8> {
        let mut form = Vec::new();
        for (name, value) in fields {
            form.extend(
                format!("--between\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n")
                    .bytes(),
            );
            form.extend(*value);
            form.extend(b"\r\n");
        }
        form.extend(
            b"--between  \r\ncontent-type: text/csv\r\n\
              content-disposition: form-data; name=\"file\"; filename=\"a;\\\"b.csv\"\r\n\r\n",
        );
        form.extend(file);
        form.extend(b"\r\n--between--\r\nand more");
        form
    }

    proptest! {
        #[test]
        fn parses_any_content_in_chunks_of_any_size(
            value in "[-\r\nbetwn]{0,40}", file in "[-\r\nbetwn]{0,80}", chunk_size in 1_usize..40
        ) {
            prop_assume!(!value.contains("\r\n--between") && !value.starts_with("--between"));
            prop_assume!(!file.contains("\r\n--between"));
            let form = form(&[("type", value.as_bytes())], file.as_bytes());
            let (fields, content) = parse(&form, chunk_size).unwrap();
            prop_assert_eq!(fields, [("type".to_owned(), value.into_bytes())]);
            prop_assert_eq!(content, file.into_bytes());
        }

        #[test]
        fn never_panics(form in proptest::collection::vec(any::<u8>(), 0..200), chunk_size in 1_usize..40) {
            let _any = parse(&form, chunk_size);
        }

        #[test]
        fn rejects_truncated_forms(cut in 1_usize..200, chunk_size in 1_usize..40) {
            let whole = form(&[("type", b"a")], b"code\nA\n");
            let whole = &whole[..whole.len() - "\r\nand more".len()];
            prop_assume!(cut <= whole.len());
            prop_assert_eq!(parse(&whole[..whole.len() - cut], chunk_size), Err(FormError::ended()));
        }
    }

    #[test]
    fn parses_names_as_clients_write_them() {
        let names = |text: &str| {
            let part = parse_disposition(text);
            [part.name, part.file_name].map(Option::unwrap_or_default)
        };
        assert_eq!(
            names(" form-data; name=\"a\"; filename=\"b c.csv\""),
            ["a", "b c.csv"]
        );
        assert_eq!(
            names("form-data; filename=b.csv ; NAME = a"),
            ["a", "b.csv"]
        );
        assert_eq!(
            names("form-data; name=\"a;\\\"b\"; filename=\"C:\\x.csv\""),
            ["a;\"b", "C:\\x.csv"]
        );
        assert_eq!(names("form-data; name; x=y; name=\"a"), ["a", ""]);
        assert_eq!(names("form-data"), ["", ""]);
    }

    #[test]
    fn rejects_parts_after_the_file() {
        let file = form(&[], b"A");
        let text = String::from_utf8(file).unwrap();
        let further =
            "--between\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n--between--";
        let text = text.replace("--between--", further);
        assert_eq!(parse(text.as_bytes(), 7), Err(FormError::new("x")));
    }

    /// Searching received bytes repeatedly takes quadratic time: 64 times as long for 8 times the
    /// bytes. Compared as a ratio, because the time itself depends on the machine.
    #[test]
    fn parses_near_boundaries_in_linear_time() {
        let near = |times: usize| b"\r\n--betwee".repeat(times);
        let time = |times: usize| {
            let near = near(times);
            let form = form(&[], &near);
            let once = || {
                let began = Instant::now();
                assert_eq!(parse(&form, 64).unwrap().1, near);
                assert_eq!(parse(&near, 64), Err(FormError::ended()));
                began.elapsed()
            };
            (0..3).map(|_| once()).min().unwrap()
        };
        let ratio = time(160_000).as_secs_f64() / time(20_000).as_secs_f64();
        assert!(ratio < 24.0, "{ratio}");
        assert_eq!(
            parse(&b"--between\r\na".repeat(3), 1),
            Err(FormError::ended())
        );
    }
}
