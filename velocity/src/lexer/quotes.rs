//! Quoted texts, including typographic quotes.
//!
//! Velocity only knows `'` and `"`. Authors paste `‘’`, `“”`, `„“` from documentation and `&#39;`
//! from HTML; here they are equivalent to the plain ones.

/// The plain quote that a quote is equivalent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Single,
    Double,
}

/// Spaces that are equivalent to plain ones inside parentheses.
pub(crate) const WIDE_SPACES: [char; 3] = ['\u{a0}', '\u{202f}', '\u{2007}'];

const ENTITY: &str = "&#39;";

/// A quoted text: its content as written, and whether references in it are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quoted<'s> {
    pub(crate) content: &'s str,
    pub(crate) interpolated: bool,
    /// The quote that is escaped by doubling; `None` in typographic quotes.
    pub(crate) doubled: Option<char>,
    /// Length of the opening quote in bytes.
    pub(crate) opening: usize,
}

impl<'s> Quoted<'s> {
    /// Splits the token `image`.
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

/// Returns the quote at the start of `text` and its length in bytes.
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

/// Returns the length of the quoted text at the start of `text`, if there is one.
pub(super) fn quoted_length(text: &str) -> Option<usize> {
    match text.as_bytes().first()? {
        quote @ (b'\'' | b'"') => {
            let plain = plain_length(text, *quote);
            // The typographic quote closes `get('name’) if it's`: an argument never ends inside a
            // word.
            let in_word = plain
                .and_then(|length| text.get(length..)?.chars().next())
                .is_some_and(char::is_alphanumeric);
            if plain.is_none() || in_word {
                typographic_length(text).or(plain)
            } else {
                plain
            }
        }
        b'&' | 0xe2 => typographic_length(text),
        _ => None,
    }
}

/// Returns the length of the longest text between `quote`s, where a doubled quote is an escaped
/// one.
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

/// Returns the length of a text in typographic quotes. It ends at the first quote of the same
/// family that is followed by the end of an argument, so the apostrophe in `‘ім’я’` is part of the
/// text, and it must be on one line. Only a typographic quote closes a plain one here: plain pairs
/// are read as in Velocity.
fn typographic_length(text: &str) -> Option<usize> {
    let (family, opening) = quote_at(text)?;
    let starts_plain = text.chars().next().is_some_and(is_plain);
    let mut at = opening;
    while let Some(rest) = text.get(at..) {
        let next = rest.chars().next()?;
        if matches!(next, '\n' | '\r' | super::END_MARK) {
            return None;
        }
        match quote_at(rest) {
            Some((found, length)) if found == family && !(starts_plain && is_plain(next)) => {
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
