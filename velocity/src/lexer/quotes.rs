//! Quoted texts, with the quotes that word processors make of plain ones.
//!
//! Velocity knows `'` and `"`. Authors paste `‘’`, `“”`, `„“` from documentation and `&#39;`
//! from HTML, and mean the same; here they count as plain.

/// Which plain quote a quote stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Single,
    Double,
}

/// Spaces that count as plain ones within parentheses.
pub(crate) const WIDE_SPACES: [char; 3] = ['\u{a0}', '\u{202f}', '\u{2007}'];

const ENTITY: &str = "&#39;";

/// A quoted text: its content as written, and whether references within are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quoted<'s> {
    pub(crate) content: &'s str,
    pub(crate) interpolated: bool,
    /// The quote that is doubled to stand for itself; none in typographic quotes.
    pub(crate) doubled: Option<char>,
    /// Bytes of the opening quote.
    pub(crate) opening: usize,
}

impl<'s> Quoted<'s> {
    /// Takes the token `image` apart.
    pub(crate) fn new(image: &'s str) -> Quoted<'s> {
        let (family, opening) = quote_at(image).unwrap_or((Family::Double, 0));
        let closing = closing_length(image);
        let content = image
            .get(opening..image.len().saturating_sub(closing))
            .unwrap_or("");
        Quoted {
            content,
            interpolated: family == Family::Double,
            doubled: image.chars().next().filter(|c| matches!(c, '\'' | '"')),
            opening,
        }
    }
}

/// The quote that `text` starts with, and its bytes.
fn quote_at(text: &str) -> Option<(Family, usize)> {
    let first = text.chars().next()?;
    let family = match first {
        '\'' | '‘' | '’' | '‚' | '‛' => Family::Single,
        '"' | '“' | '”' | '„' | '‟' => Family::Double,
        '&' if text.starts_with(ENTITY) => return Some((Family::Single, ENTITY.len())),
        _ => return None,
    };
    Some((family, first.len_utf8()))
}

fn closing_length(image: &str) -> usize {
    if image.ends_with(ENTITY) {
        return ENTITY.len();
    }
    image.chars().next_back().map_or(0, char::len_utf8)
}

/// Length of the quoted text at the start of `text`, if it is one.
pub(super) fn quoted_length(text: &str) -> Option<usize> {
    match text.as_bytes().first()? {
        quote @ (b'\'' | b'"') => {
            let plain = plain_length(text, *quote);
            // `get('name’) if it's` is closed by the pasted quote: no argument ends within a word.
            let in_word = plain
                .and_then(|length| text.get(length..)?.chars().next())
                .is_some_and(char::is_alphanumeric);
            if plain.is_none() || in_word {
                pasted_length(text).or(plain)
            } else {
                plain
            }
        }
        b'&' | 0xe2 => pasted_length(text),
        _ => None,
    }
}

/// The longest text between `quote`s, in which two in a row stand for one.
fn plain_length(text: &str, quote: u8) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut accepted = None;
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        if byte == 0x1c {
            break;
        }
        at += 1;
        if byte == quote {
            accepted = Some(at);
            if bytes.get(at) != Some(&quote) {
                break;
            }
            at += 1;
        }
    }
    accepted
}

/// A text between pasted quotes ends at the first quote of its family that an argument may end
/// with, so that the apostrophe of `‘ім’я’` stays inside; it stays in one line. Only a pasted
/// quote closes a plain one here: the plain pair is read as Velocity reads it.
fn pasted_length(text: &str) -> Option<usize> {
    let (family, opening) = quote_at(text)?;
    let opened_plain = text.chars().next().is_some_and(is_plain);
    let mut at = opening;
    while let Some(rest) = text.get(at..) {
        let next = rest.chars().next()?;
        if matches!(next, '\n' | '\r' | super::END_MARK) {
            return None;
        }
        match quote_at(rest) {
            Some((found, length)) if found == family && !(opened_plain && is_plain(next)) => {
                at += length;
                if ends_argument(text.get(at..).unwrap_or("")) {
                    return Some(at);
                }
            }
            _ => at += next.len_utf8(),
        }
    }
    None
}

fn is_plain(quote: char) -> bool {
    matches!(quote, '\'' | '"')
}

fn ends_argument(rest: &str) -> bool {
    let blank = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r') || WIDE_SPACES.contains(&c);
    let trimmed = rest.trim_start_matches(blank);
    match trimmed.chars().next() {
        None => true,
        Some(c) => {
            c == super::END_MARK
                || ")],}:=!<>+-*/%|&".contains(c)
                || (trimmed.len() < rest.len()
                    && ["and", "or", "eq", "ne", "lt", "le", "gt", "ge"]
                        .iter()
                        .any(|word| trimmed.starts_with(word)))
        }
    }
}
