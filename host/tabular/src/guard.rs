//! Protects texts that a spreadsheet would take for formulas.
//!
//! A guarded text has a quote (`'`) in front, as OWASP recommends against CSV injection. A text
//! that already looks guarded is guarded as well, so that removing the guard is unambiguous.

use std::borrow::Cow;

/// Characters that start a formula, in spreadsheets of any language.
const FORMULA_STARTS: [char; 11] = [
    '=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
];

/// Returns whether the text is a formula, and whether quotes precede it.
fn formula(text: &str) -> (bool, bool) {
    let behind = text.trim_start_matches('\'');
    let is_formula = behind.starts_with(FORMULA_STARTS);
    (is_formula, is_formula && behind.len() < text.len())
}

/// Returns the text in a form that `unguarded` reverses. For a spreadsheet, formulas are guarded.
pub fn guarded(text: &str, for_spreadsheet: bool) -> Cow<'_, str> {
    match formula(text) {
        (_, true) => Cow::Owned(format!("'{text}")),
        (true, false) if for_spreadsheet => Cow::Owned(format!("'{text}")),
        _ => Cow::Borrowed(text),
    }
}

/// Returns the text without its guard.
pub(crate) fn unguarded(text: &str) -> &str {
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
        fn guarded_text_round_trips_and_is_no_formula(text in "['=+@a-]{0,6}", any in any::<String>()) {
            for text in [text, any] {
                let guarded_too = guarded(&text, false);
                prop_assert_eq!(unguarded(&guarded_too), &text);
                let guarded = guarded(&text, true);
                prop_assert_eq!(unguarded(&guarded), &text);
                prop_assert!(!guarded.starts_with(FORMULA_STARTS), "{guarded:?}");
            }
        }
    }

    #[test]
    fn keeps_a_quote_that_guards_no_formula() {
        for text in ["'A", "'", "''", "A'=1", ""] {
            assert_eq!((guarded(text, true), unguarded(text)), (text.into(), text));
        }
        assert_eq!(unguarded("'=1+1"), "=1+1");
    }
}
