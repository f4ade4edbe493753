//! Cleans the text of a value: removes invisible characters and the decoration of spreadsheets.

use std::borrow::Cow;

use super::shorten;

/// Texts that spreadsheets write for a failed formula, and programs for a missing value.
const PLACEHOLDERS: [&str; 20] = [
    "#n/a",
    "#name?",
    "#ref!",
    "#value!",
    "#div/0!",
    "#num!",
    "#null!",
    "#spill!",
    "#calc!",
    "null",
    "(null)",
    "<null>",
    "[null]",
    "\\n",
    "nil",
    "none",
    "undefined",
    "nan",
    "n/a",
    "[object object]",
];

/// Returns true if a text stands for a missing value, in any case: `null`, `N/A`.
pub fn is_placeholder(text: &str) -> bool {
    let mut placeholders = PLACEHOLDERS.iter();
    placeholders.any(|placeholder| placeholder.eq_ignore_ascii_case(text))
}

/// Parses `true`, `false`, `1`, `0`, `yes` or `no`, in any case.
///
/// # Errors
///
/// Returns what is wrong and what is expected.
pub fn parse_bool(text: &str) -> Result<bool, String> {
    let is = |words: [&str; 3]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    if is(["true", "1", "yes"]) {
        Ok(true)
    } else if is(["false", "0", "no"]) {
        Ok(false)
    } else {
        Err(format!(
            "`{}` is neither true nor false; expected true, false, 1, 0, yes or no",
            shorten(text)
        ))
    }
}

/// Returns true for invisible characters: Unicode's default ignorables and format characters.
pub fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{AD}'
            | '\u{34F}'
            | '\u{61C}'
            | '\u{115F}'..='\u{1160}'
            | '\u{17B4}'..='\u{17B5}'
            | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}'
            | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{3164}'
            | '\u{FE00}'..='\u{FE0F}'
            | '\u{FEFF}'
            | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFFB}'
            | '\u{1BCA0}'..='\u{1BCA3}'
            | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E0FFF}'
    )
}

/// Returns true if an invisible character modifies the one before it, as in emoji and in
/// Persian.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200C}'..='\u{200D}' | '\u{FE00}'..='\u{FE0F}')
}

/// Returns the text without surrounding whitespace and invisible characters, and without the
/// wrapper `="…"` that keeps spreadsheets from reading a text as a number.
pub fn trim(text: &str) -> &str {
    let around = |c: char| c.is_whitespace() || is_invisible(c);
    let trimmed = text.trim_matches(around);
    let inner = trimmed
        .strip_prefix("=\"")
        .and_then(|rest| rest.strip_suffix('"'));
    match inner {
        Some(inner) if !inner.contains('"') => inner.trim_matches(around),
        _ => trimmed,
    }
}

/// Cleans a value that is compared exactly, such as a code: removes all invisible characters and
/// converts all spaces to plain ones.
pub fn clean_exact(text: &str) -> Cow<'_, str> {
    remove_characters(text, |_, c| is_invisible(c))
}

/// Cleans a value that people read, such as a type. Characters that join letters or emoji are kept.
pub fn clean_readable(text: &str) -> Cow<'_, str> {
    remove_characters(text, |before, c| {
        is_invisible(c) && !(is_joiner(c) && before.is_some_and(|before| !before.is_ascii()))
    })
}

/// Pairs of quotes around a text.
const QUOTES: [(char, char); 9] = [
    ('"', '"'),
    ('\'', '\''),
    ('`', '`'),
    ('“', '”'),
    ('„', '“'),
    ('„', '”'),
    ('‘', '’'),
    ('«', '»'),
    ('»', '«'),
];

/// Returns the text without surrounding quotes, or without the leading apostrophe of a spreadsheet.
fn strip_quotes(text: &str) -> &str {
    let quoted = QUOTES.iter().find_map(|(open, close)| {
        let inner = text.strip_prefix(*open)?.strip_suffix(*close)?;
        (!inner.contains([*open, *close])).then_some(inner)
    });
    let marked = || text.strip_prefix('\'').filter(|rest| !rest.contains('\''));
    quoted.or_else(marked).map_or(text, trim)
}

/// Removes all decoration around the text, repeatedly, so that the result is stable.
fn strip_decoration(text: &str) -> &str {
    let mut text = trim(text);
    loop {
        let inner = strip_quotes(text);
        if inner.len() == text.len() {
            return text;
        }
        text = inner;
    }
}

fn remove_characters(text: &str, drops: impl Fn(Option<char>, char) -> bool) -> Cow<'_, str> {
    let text = strip_decoration(text);
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let mut seen = String::with_capacity(text.len());
    for c in text.chars() {
        if drops(seen.chars().next_back(), c) {
            continue;
        }
        seen.push(match c.is_whitespace() && !c.is_control() {
            true => ' ',
            false => c,
        });
    }
    match seen == text {
        true => Cow::Borrowed(text),
        false => Cow::Owned(strip_decoration(&seen).to_owned()),
    }
}

/// Returns true if a spreadsheet rounded a long number to this: `1.23457E+11`.
pub fn is_scientific(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.split_once(['E', 'e']) else {
        return false;
    };
    let mantissa = mantissa.strip_prefix('-').unwrap_or(mantissa);
    let (whole, fraction) = match mantissa.split_once(['.', ',']) {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // `4E5` may be a code; with a sign or a fraction it is a number.
    let sign = exponent.strip_prefix(['+', '-']);
    whole.len() == 1
        && digits(whole)
        && fraction.is_none_or(digits)
        && digits(sign.unwrap_or(exponent))
        && (sign.is_some() || fraction.is_some())
}

/// Describes a text that is not a value. Returns `None` if it may be one.
pub fn describe_non_value(text: &str) -> Option<&'static str> {
    if is_scientific(text) {
        return Some(
            "a number that a spreadsheet has rounded, so digits are lost; format the column as \
             text and export it again",
        );
    }
    if is_placeholder(text) {
        return Some("a placeholder for no value; expected a value");
    }
    if text.starts_with('<') && text.ends_with('>') {
        return Some("markup; expected a text");
    }
    if is_comment(text) {
        return Some("a comment; remove the line");
    }
    if is_list_item(text) {
        return Some("a list item; remove the bullet or number before it");
    }
    if is_row_count(text) || is_total(text) {
        return Some("a count of rows; remove the line");
    }
    let is_line = |c: char| {
        c.is_ascii_punctuation()
            || c == ' '
            || matches!(c, '\u{2010}'..='\u{2027}' | '\u{2500}'..='\u{259F}')
    };
    if text.chars().all(is_line) {
        return Some("without a letter or digit; expected at least one");
    }
    None
}

/// Returns true if the text starts like a comment.
pub(super) fn is_comment(text: &str) -> bool {
    let marks = ["# ", "// ", "-- ", "/*", "<!--", "rem "];
    let begins = |mark: &&str| {
        text.get(..mark.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(mark))
    };
    marks.iter().any(begins)
}

/// Returns true if the text starts with a bullet or an item number: `- A1`, `1. A1`.
pub(super) fn is_list_item(text: &str) -> bool {
    let number = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let marks: &[char] = match number.len() == text.len() {
        true => &['-', '*', '+', '•', '–', '·', '▪'],
        false => &['.', ')'],
    };
    let rest = number.strip_prefix(marks);
    rest.is_some_and(|rest| rest.starts_with(char::is_whitespace))
}

/// Returns true for `(3 rows)`, `3 codes` and `3 rows in set`, which programs print below a table.
fn is_row_count(text: &str) -> bool {
    let inner = text
        .strip_prefix('(')
        .and_then(|text| text.strip_suffix(')'));
    let mut words = inner.unwrap_or(text).split(' ');
    let number = words.next().unwrap_or_default();
    let what = words.next().unwrap_or_default().to_lowercase();
    let counted = [
        "row", "code", "record", "line", "entr", "coupon", "voucher", "item", "result",
    ];
    !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && counted.iter().any(|word| what.starts_with(word))
}

/// Returns true for `Total: 3`, which spreadsheets and reports print below a table.
fn is_total(text: &str) -> bool {
    let word = text.split([':', ' ', '=']).next().unwrap_or_default();
    let rest = text[word.len()..].trim_start_matches([':', ' ', '=']);
    let totals = [
        "total",
        "sum",
        "итого",
        "всего",
        "всього",
        "разом",
        "усього",
        "razem",
        "suma",
        "gesamt",
        "summe",
        "insgesamt",
        "totale",
        "totaal",
    ];
    totals.contains(&word.to_lowercase().as_str())
        && match rest {
            // A code may be such a word in capital letters.
            "" => text.ends_with(':') || text.contains(char::is_lowercase),
            rest => rest
                .bytes()
                .all(|byte| byte.is_ascii_digit() || matches!(byte, b' ' | b',' | b'.')),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_invisible_characters_from_codes() {
        for text in [
            "\u{200B}A-1",
            "A-1\u{200B}",
            "\u{FEFF}A-1\u{FEFF}",
            "A\u{2060}-1",
            "A\u{AD}-1",
            "\u{200E}A-1\u{200F}",
            "\u{202A}A-1\u{202C}",
            "\u{2066}A-1\u{2069}",
            "\u{A0}A-1\u{A0}\u{200D} ",
            "A-\u{FE0F}1",
            "A-\u{E0020}1",
            "\u{3000}A-1\u{3164}",
            "=\"A-1\"",
            " =\" A-1 \"\u{200B}",
            "“A-1”",
            "„A-1“",
            "«A-1»",
            "'A-1'",
            "'A-1",
            " \"A-1\" ",
        ] {
            assert_eq!(clean_exact(text), "A-1", "{text:?}");
            assert_eq!(clean_readable(text), "A-1", "{text:?}");
        }
        assert_eq!(clean_exact("B\u{A0}2"), "B 2");
        assert_eq!(clean_exact("=\"0012\""), "0012");
        assert_eq!(clean_exact("=A1"), "=A1");
        assert_eq!(clean_exact("=\"a\"&\"b\""), "=\"a\"&\"b\"");
    }

    #[test]
    fn keeps_emoji_joiners_in_types_but_not_in_codes() {
        let family = "\u{1F468}\u{200D}\u{1F469}";
        assert_eq!(clean_readable(family), family);
        assert_eq!(
            clean_readable("\u{2764}\u{FE0F} VIP"),
            "\u{2764}\u{FE0F} VIP"
        );
        assert_eq!(clean_exact("\u{416}\u{200D}1"), "\u{416}1");
    }

    #[test]
    fn distinguishes_rounded_numbers_from_codes() {
        for text in [
            "1.23457E+11",
            "1,23457E+11",
            "1.23E+15",
            "4E+05",
            "1.2e-7",
            "-1.5E+3",
            "1.23457E11",
        ] {
            assert!(is_scientific(text), "{text}");
        }
        for text in [
            "4E5", "8E8", "12E34", "1E", "E+5", "A1E+5", "12.5E+3x", "1.5", "1E+", "ABE+1", "12E+3",
        ] {
            assert!(!is_scientific(text), "{text}");
        }
    }

    #[test]
    fn describes_texts_that_are_not_values() {
        for text in [
            "#N/A",
            "#REF!",
            "NULL",
            "null",
            "undefined",
            "NaN",
            "\\N",
            "[object Object]",
            "----",
            "***",
            "+-----+",
            "\u{2500}\u{2500}",
            "# winter",
            "-- end",
            "(3 rows)",
            "(1 row affected)",
            "</html>",
            "...",
            "- A1",
            "1. A1",
            "2) A2",
            "Total: 3",
            "Total",
            "Всього 12",
            "3 codes",
            "2 rows in set",
        ] {
            assert!(describe_non_value(text).is_some(), "{text}");
        }
        for text in [
            "#SALE",
            "A-1",
            "-A",
            "NONE1",
            "\u{1F389}",
            "\u{441}",
            "=B2",
            "(VIP)",
            "$5",
            "REM1",
            "TOTAL",
            "TOTAL10",
            "Total fun",
            "3 MUSKETEERS",
            "1.5",
            "-10",
        ] {
            assert!(describe_non_value(text).is_none(), "{text}");
        }
    }
}
