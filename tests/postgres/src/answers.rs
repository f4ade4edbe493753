//! The messages of a server, among which a proxy looks for the answer to a COMMIT.

/// The text of the message that completes a COMMIT.
const COMMIT: &[u8] = b"COMMIT\0";
/// The type of that message.
const COMPLETE: u8 = b'C';
/// The bytes of the type, and of the length of everything after it.
const HEADER: usize = 5;

/// The messages of one connection. Data may end within a message.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// The present message as far as it has arrived, if it is short or its length is not known yet.
    message: Vec<u8>,
    /// How many bytes of a longer message are still to come.
    to_skip: usize,
}

impl Answers {
    /// Reads what a server has sent. Returns true if it completes a COMMIT.
    pub(crate) fn has_commit(&mut self, data: &[u8]) -> bool {
        let mut found = false;
        let mut rest = data;
        while !rest.is_empty() {
            let wanted = match self.to_skip {
                0 => self.missing(),
                count => count,
            };
            let (part, others) = rest.split_at(wanted.min(rest.len()));
            rest = others;
            if self.to_skip > 0 {
                self.to_skip -= part.len();
                continue;
            }
            self.message.extend_from_slice(part);
            let missing = self.missing();
            if missing > COMMIT.len() {
                self.to_skip = missing;
            }
            if missing == 0 {
                found |= self.message[0] == COMPLETE && self.message[HEADER..] == *COMMIT;
            }
            if missing == 0 || self.to_skip > 0 {
                self.message.clear();
            }
        }
        found
    }

    /// Returns how many bytes of the present message, or of its header, are missing.
    fn missing(&self) -> usize {
        let length = match self.message[..] {
            [_, a, b, c, d, ..] => 1 + u32::from_be_bytes([a, b, c, d]) as usize,
            _ => HEADER,
        };
        length - self.message.len().min(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row, a COMMIT, and that the server is ready; a ROLLBACK before them.
    const SENT: &[u8] =
        b"C\0\0\0\x0dROLLBACK\0D\0\0\0\x12 C\0\0\0\x0bCOMMIT\0 C\0\0\0\x0bCOMMIT\0Z\0\0\0\x05I";

    #[test]
    fn a_commit_is_found_wherever_data_end() {
        for size in 1..SENT.len() {
            let mut answers = Answers::default();
            let found = SENT.chunks(size).map(|data| answers.has_commit(data));
            assert_eq!(found.filter(|found| *found).count(), 1, "{size}");
        }
    }
}
