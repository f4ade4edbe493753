//! Lengths of names, numbers and line endings at the start of a text; 0 if there is none.

fn name_length(text: &str, first: impl Fn(u8) -> bool) -> usize {
    let bytes = text.as_bytes();
    match bytes.first() {
        Some(b) if first(*b) => bytes
            .iter()
            .skip(1)
            .take_while(|b| b.is_ascii_alphanumeric() || **b == b'_')
            .count()
            .saturating_add(1),
        _ => 0,
    }
}

pub(super) fn identifier(text: &str) -> usize {
    name_length(text, |b| b.is_ascii_alphabetic() || b == b'_')
}

/// Returns the length of a directive name; `@` starts a macro call with a body.
pub(super) fn word(text: &str) -> usize {
    name_length(text, |b| b.is_ascii_alphabetic() || b == b'_' || b == b'@')
}

pub(super) fn braced_word(text: &str) -> usize {
    let Some(inner) = text.strip_prefix('{') else {
        return 0;
    };
    let length = word(inner);
    if length > 0 && inner.as_bytes().get(length) == Some(&b'}') {
        length + 2
    } else {
        0
    }
}

fn digits(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|b| b.is_ascii_digit()).count()
}

/// Returns the length of an integer including a following `..`, so that `1..3` is not read as a
/// decimal.
pub(super) fn integer(text: &str) -> usize {
    let bytes = text.as_bytes();
    let sign = usize::from(bytes.first() == Some(&b'-'));
    let count = digits(bytes.get(sign..).unwrap_or(&[]));
    match count {
        0 => 0,
        _ if text
            .get(sign + count..)
            .is_some_and(|t| t.starts_with("..")) =>
        {
            sign + count + 2
        }
        _ => sign + count,
    }
}

pub(super) fn float(text: &str) -> usize {
    let bytes = text.as_bytes();
    let sign = usize::from(bytes.first() == Some(&b'-'));
    let whole = digits(bytes.get(sign..).unwrap_or(&[]));
    let mut end = sign + whole;
    let mut point = false;
    if bytes.get(end) == Some(&b'.') {
        let fraction = digits(bytes.get(end + 1..).unwrap_or(&[]));
        if whole > 0 || fraction > 0 {
            point = true;
            end += 1 + fraction;
        }
    }
    if whole == 0 && !point {
        return 0;
    }
    let exponent = exponent(bytes.get(end..).unwrap_or(&[]));
    if point || exponent > 0 {
        end + exponent
    } else {
        0
    }
}

fn exponent(bytes: &[u8]) -> usize {
    let [b'e' | b'E', rest @ ..] = bytes else {
        return 0;
    };
    let sign = usize::from(matches!(rest.first(), Some(b'+' | b'-')));
    match digits(rest.get(sign..).unwrap_or(&[])) {
        0 => 0,
        count => 1 + sign + count,
    }
}

/// Returns the length of the line ending at the start of `bytes`, or 0.
pub(super) fn newline(bytes: &[u8]) -> usize {
    match bytes {
        [b'\r', b'\n', ..] => 2,
        [b'\r' | b'\n', ..] => 1,
        _ => 0,
    }
}
