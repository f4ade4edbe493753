//! The bytes of an upload, normalised for the formats: UTF-8 without a byte order mark, `\n` as the
//! only line ending, and a bounded number of bytes per row.

use std::io::{self, Read};

use super::UploadError;
use super::sniff::kind_of;

/// The maximum length of a CSV row and of a single JSON value, in bytes. Real ones have a few
/// hundred bytes; without a limit, an unclosed quote would read the whole file into memory.
pub(super) const MAX_ROW_BYTES: usize = 64 * 1024;

/// Large enough that read calls cost little compared with parsing, and that it contains the header.
const BLOCK: usize = 64 * 1024;

/// A reader that converts all line endings to `\n`, so that lines can be counted.
pub(super) struct Source<R> {
    inner: R,
    block: Vec<u8>,
    start: usize,
    end: usize,
    /// The previous block ended in `\r`, so a leading `\n` belongs to it.
    after_return: bool,
    /// The last byte that was read; initially a line ending.
    last: u8,
    finished: bool,
    /// The first block holds the whole file.
    whole: bool,
    budget: usize,
}

impl<R: Read> Source<R> {
    /// Reads the first block, skips a byte order mark and rejects other encodings that are visible
    /// there.
    pub(super) fn open(inner: R) -> Result<Source<R>, UploadError> {
        let mut source = Source {
            inner,
            block: vec![0; BLOCK],
            start: 0,
            end: 0,
            after_return: false,
            last: b'\n',
            finished: false,
            whole: false,
            budget: usize::MAX,
        };
        let unreadable = |source| UploadError::Unreadable { line: 1, source };
        let mut filled = 0;
        // A pipe may return a few bytes at a time, but the header must be in one piece.
        while filled < BLOCK {
            match read(&mut source.inner, &mut source.block[filled..]).map_err(unreadable)? {
                0 => break,
                n => filled += n,
            }
        }
        source.whole = filled < BLOCK;
        if let Some(kind) = kind_of(&source.block[..filled]) {
            return Err(UploadError::Kind { kind });
        }
        if let Some(name) = detect_wide_encoding(&source.block[..filled]) {
            return Err(UploadError::NotUtf8 {
                line: 1,
                looks_like: Some(name),
            });
        }
        if source.block[..filled].starts_with(b"\xEF\xBB\xBF") {
            source.start = 3;
        }
        source.take_in(filled);
        Ok(source)
    }

    /// Returns the bytes that are buffered and not consumed: initially, the head of the file.
    pub(super) fn head(&self) -> &[u8] {
        &self.block[self.start..self.end]
    }

    /// Returns true if the first block holds the whole file.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Sets the number of bytes that may be read through [`Read`] before it fails.
    pub(super) fn allow(&mut self, bytes: usize) {
        self.budget = bytes;
    }

    /// Returns true if a read failed because the allowance was used up.
    pub(super) fn is_allowance_used(&self) -> bool {
        self.budget == 0
    }

    /// Returns the buffered bytes; they are empty only at the end of the file.
    pub(super) fn fill(&mut self) -> io::Result<&[u8]> {
        while self.start == self.end && !self.finished {
            self.start = 0;
            let n = read(&mut self.inner, &mut self.block)?;
            self.take_in(n);
        }
        Ok(&self.block[self.start..self.end])
    }

    /// Consumes this many of the buffered bytes.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.start = self.end.min(self.start + bytes);
    }

    /// Normalises `block[start..filled]`, which was just read.
    fn take_in(&mut self, filled: usize) {
        if filled == 0 {
            self.finished = true;
            self.end = self.start;
            return;
        }
        let fresh = &mut self.block[self.start..filled];
        let kept = if self.after_return || fresh.contains(&b'\r') {
            normalize_line_endings(fresh, &mut self.after_return)
        } else {
            fresh.len()
        };
        self.end = self.start + kept;
        if kept > 0 {
            self.last = self.block[self.end - 1];
        }
    }
}

/// The input of the CSV reader. Adds the missing line break at the end of the file.
impl<R: Read> Read for Source<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.budget == 0 {
            return Err(io::Error::other("the row is too long"));
        }
        let budget = self.budget;
        let is_whole_line = self.last == b'\n';
        let bytes = self.fill()?;
        if bytes.is_empty() && !is_whole_line && !out.is_empty() {
            out[0] = b'\n';
            self.last = b'\n';
            return Ok(1);
        }
        let n = bytes.len().min(out.len()).min(budget);
        out[..n].copy_from_slice(&bytes[..n]);
        self.consume(n);
        self.budget -= n;
        Ok(n)
    }
}

/// Reads and retries after an interruption.
fn read(reader: &mut impl Read, out: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(out) {
            // A reader that claims to have read more than fits must not cause a panic.
            Ok(n) => return Ok(n.min(out.len())),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Replaces `\r\n` and `\r` by `\n` in place and returns the new length.
fn normalize_line_endings(bytes: &mut [u8], after_return: &mut bool) -> usize {
    let mut kept = 0;
    for at in 0..bytes.len() {
        let byte = bytes[at];
        let second_half = *after_return && byte == b'\n';
        *after_return = byte == b'\r';
        if !second_half {
            bytes[kept] = if byte == b'\r' { b'\n' } else { byte };
            kept += 1;
        }
    }
    kept
}

/// Detects UTF-16 and UTF-32 by the byte order mark, or by the zero bytes next to Latin letters.
fn detect_wide_encoding(head: &[u8]) -> Option<&'static str> {
    if head.starts_with(b"\xFF\xFE\0\0") || head.starts_with(b"\0\0\xFE\xFF") {
        return Some("UTF-32");
    }
    if head.starts_with(b"\xFF\xFE") || head.starts_with(b"\xFE\xFF") {
        return Some("UTF-16");
    }
    let head = &head[..head.len().min(64)];
    let zeros = |offset: usize| {
        let halves = head.iter().skip(offset).step_by(2);
        halves.filter(|byte| **byte == 0).count()
    };
    let (even, odd) = (zeros(0), zeros(1));
    let most = head.len() / 4;
    (head.len() >= 4 && (even == 0 && odd > most || odd == 0 && even > most)).then_some("UTF-16")
}

/// Returns the error for bytes that are not UTF-8, with a guess at the encoding.
pub(super) fn not_utf8(line: u64, bytes: &[u8]) -> UploadError {
    // In Windows-1251, Cyrillic letters are 0xC0 and above, and whole words consist of them. In the
    // Western encodings such letters are rare among ASCII ones.
    let cyrillic = bytes
        .windows(3)
        .any(|run| run.iter().all(|byte| *byte >= 0xC0));
    UploadError::NotUtf8 {
        line,
        looks_like: cyrillic.then_some("Windows-1251"),
    }
}
