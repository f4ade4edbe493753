//! Comments and raw blocks, whose content is not tokenised.

use super::{END_MARK, Kind, Lexer, State};
use crate::error::Result;

impl Lexer {
    /// Reads up to the end of the comment or raw block, or the end of the source.
    ///
    /// Returns `None` if the comment is not closed: Velocity treats the rest of the source as the
    /// comment.
    pub(super) fn skip_hidden(&mut self, start: &mut usize) -> Result<Option<Kind>> {
        loop {
            let bytes = self.source.as_bytes().get(self.at..).unwrap_or(&[]);
            let Some(&first) = bytes.first() else {
                return Ok(None);
            };
            let end = match self.state {
                State::LineComment => match bytes {
                    [b'\r', b'\n', ..] => Some((Kind::LineCommentEnd, 2)),
                    [b'\r' | b'\n', ..] => Some((Kind::LineCommentEnd, 1)),
                    _ => None,
                },
                State::Raw => bytes.starts_with(b"]]#").then_some((Kind::Raw, 3)),
                _ => bytes.starts_with(b"*#").then_some((Kind::BlockComment, 2)),
            };
            if let Some((kind, length)) = end {
                self.at += length;
                self.leave_hidden();
                return Ok(Some(kind));
            }
            if first == END_MARK as u8 {
                match self.state {
                    State::Raw => {
                        let at = *start;
                        return Err(self.error(at, "expected ']]#' to close this '#[['"));
                    }
                    State::BlockComment => {}
                    _ => {
                        *start = self.at;
                        self.at += 1;
                        return Ok(Some(Kind::EndMark));
                    }
                }
            }
            // A nested start is read as one unit, so `#*#` does not end a comment.
            self.at += match bytes {
                [b'#', b'[', b'[', ..] => 3,
                [b'#', b'*', b'*', c, ..] if !matches!(*c, b'#' | 0x1c) => 3 + char_length(*c),
                [b'#', b'*', ..] => 2,
                _ => char_length(first),
            };
        }
    }

    fn leave_hidden(&mut self) {
        let raw = self.state == State::Raw;
        self.hidden = false;
        self.pop();
        if !raw && matches!(self.state, State::Name | State::CallEnd) {
            self.pop();
        }
    }
}

/// Returns the length of the character that starts with the byte `first`.
pub(super) fn char_length(first: u8) -> usize {
    match first {
        0..=0x7f => 1,
        0x80..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    }
}
