//! Texts that a spreadsheet would take for formulas.
//!
//! A guarded text has a quote (`'`) before it, as OWASP recommends against CSV injection. To take
//! the guard off for certain, a text that looks guarded by itself is guarded as well.

use std::borrow::Cow;

/// What a formula begins with, in spreadsheets of any language.
const BEGINNINGS: [char; 11] = [
    '=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
];

/// Whether a text is a formula, and whether it is one behind quotes.
fn formula(text: &str) -> (bool, bool) {
    let behind = text.trim_start_matches('\'');
    let is_formula = behind.starts_with(BEGINNINGS);
    (is_formula, is_formula && behind.len() < text.len())
}

/// The text so that [`unguarded`] gives it back. For a spreadsheet, a formula is guarded.
pub fn guarded(text: &str, for_spreadsheet: bool) -> Cow<'_, str> {
    match formula(text) {
        (_, true) => Cow::Owned(format!("'{text}")),
        (true, false) if for_spreadsheet => Cow::Owned(format!("'{text}")),
        _ => Cow::Borrowed(text),
    }
}

/// The text without its guard.
pub fn unguarded(text: &str) -> &str {
    match formula(text) {
        (_, true) => &text[1..],
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_guarded_comes_back_and_is_no_formula(text in "['=+@a-]{0,6}", any in any::<String>()) {
            for text in [text, any] {
                let guarded_too = guarded(&text, false);
                prop_assert_eq!(unguarded(&guarded_too), &text);
                let guarded = guarded(&text, true);
                prop_assert_eq!(unguarded(&guarded), &text);
                prop_assert!(!guarded.starts_with(BEGINNINGS), "{guarded:?}");
            }
        }
    }

    #[test]
    fn a_quote_before_anything_else_stays() {
        for text in ["'A", "'", "''", "A'=1", ""] {
            assert_eq!((guarded(text, true), unguarded(text)), (text.into(), text));
        }
        assert_eq!(unguarded("'=1+1"), "=1+1");
    }
}
