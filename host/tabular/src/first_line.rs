//! Decides whether the first line of a list without a known heading is a row like the others.
//!
//! A heading that is taken for a code reaches a customer, so anything that is not clearly a row is
//! rejected and the author has to say what it is. The rules apply in this order; "others" are the
//! rows below, as far as the first block of the file holds them:
//!
//! 1. A line is not a row if it starts like a comment, a list item or markup, or contains a column
//!    separator or a character of documents (quotes, brackets, `@`, `:`, a `=` after the first
//!    character).
//! 2. A line with a space is not a row, unless it has a digit and another row has the same outline.
//! 3. A date is not a row, nor is a line with letters of a script that no other row uses.
//! 4. A line made of words for codes, or with one of their stems (`Rabattkod`, `Vaucheris`), is not
//!    a row if it has no digit; with digits (`Coupons2027`), if no other row has the same outline
//!    or the same case and sequence of letters and digits.
//! 5. A line with a digit is a row, unless there are at least two others, all with one outline, and
//!    the line has neither that outline nor the same sequence of letters and digits (`A9` above
//!    `A10`).
//! 6. A line without a digit is a row if another row has no digit either and the same case, if
//!    another row has its length and case, or, alone in the file, if it is in capital letters.
//!
//! Rows below such a first line are classified on their own ([`check_later_line`]).

use super::text::is_list_item;

/// The features of a row that are compared.
struct Shape {
    chars: usize,
    /// Positions of characters that are neither letters nor digits.
    marks: Vec<(usize, char)>,
    /// The sequence of letters, digits and other characters, with repeats collapsed: `a9-a`.
    turns: String,
    digit: bool,
    space: bool,
    case: Case,
    /// The row has letters beyond ASCII.
    is_non_ascii: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    None,
    Upper,
    Lower,
    Mixed,
}

impl Shape {
    fn of(text: &str) -> Shape {
        let marks = text.chars().enumerate();
        let (upper, lower) = (
            text.chars().any(char::is_uppercase),
            text.chars().any(char::is_lowercase),
        );
        let mut turns = String::new();
        for c in text.chars() {
            let class = match c {
                c if c.is_numeric() => '9',
                c if c.is_alphabetic() => 'a',
                mark => mark,
            };
            if !turns.ends_with(class) {
                turns.push(class);
            }
        }
        Shape {
            turns,
            chars: text.chars().count(),
            marks: marks.filter(|(_, c)| !c.is_alphanumeric()).collect(),
            digit: text.chars().any(char::is_numeric),
            space: text.contains(char::is_whitespace),
            case: match (upper, lower) {
                (true, true) => Case::Mixed,
                (true, false) => Case::Upper,
                (false, true) => Case::Lower,
                (false, false) => Case::None,
            },
            is_non_ascii: text.chars().any(|c| c.is_alphabetic() && !c.is_ascii()),
        }
    }

    /// Returns true if both have the same length and the same marks in the same places.
    fn has_same_outline(&self, other: &Shape) -> bool {
        self.chars == other.chars && self.marks == other.marks
    }
}

/// Classifies a first line with a single cell by the rows below. The error says why it is not a
/// row.
pub(super) fn check_first_line(
    first: &str,
    others: &[String],
    is_made_of_words: impl Fn(&str) -> bool,
) -> Result<(), &'static str> {
    check_characters(first)?;
    let shape = Shape::of(first);
    let below: Vec<Shape> = others.iter().map(|other| Shape::of(other)).collect();
    let outlined = below.iter().any(|other| other.has_same_outline(&shape));
    if shape.space && !(shape.digit && outlined) {
        return Err("it contains spaces");
    }
    if is_date(first) && !others.iter().any(|other| is_date(other)) {
        return Err("it is a date");
    }
    if shape.is_non_ascii && !below.is_empty() && !below.iter().any(|other| other.is_non_ascii) {
        return Err("its script differs from the rows below");
    }
    let letters: String = first.chars().filter(|c| !c.is_numeric()).collect();
    if is_made_of_words(&letters) {
        let is_like = |other: &Shape| other.turns == shape.turns && other.case == shape.case;
        let is_one_of = below.is_empty() || outlined || below.iter().any(is_like);
        if !shape.digit || !is_one_of {
            return Err("it consists of words that headings use");
        }
    }
    if shape.digit {
        let [one, more @ ..] = &below[..] else {
            return Ok(());
        };
        let alike = !more.is_empty() && more.iter().all(|other| other.has_same_outline(one));
        return match alike && !outlined && one.turns != shape.turns {
            true => Err("all the rows below have another shape"),
            false => Ok(()),
        };
    }
    let is_like =
        |other: &Shape| other.case == shape.case && (!other.digit || other.chars == shape.chars);
    match below.is_empty() {
        true if shape.case == Case::Upper => Ok(()),
        true => Err("it has no digit, and there is no row below it"),
        false if below.iter().any(is_like) => Ok(()),
        false => Err("it has no digit, and the rows below look different"),
    }
}

/// Checks that a row below a first line that is a code looks like a code on its own.
pub(super) fn check_later_line(
    row: &str,
    is_made_of_words: impl Fn(&str) -> bool,
) -> Result<(), &'static str> {
    check_characters(row)?;
    if row.contains(char::is_numeric) {
        return Ok(());
    }
    match row.contains(char::is_whitespace) || is_made_of_words(row) {
        true => Err("it looks like a heading or a title"),
        false => Ok(()),
    }
}

/// Rejects characters that occur in texts and documents rather than in codes.
fn check_characters(text: &str) -> Result<(), &'static str> {
    let separates = |c: char| matches!(c, '|' | '¦' | '^' | '~' | ';' | '；' | '，' | '\t');
    if text.contains(separates) {
        return Err("it contains a character that may separate columns");
    }
    let begins = text.starts_with(['#', '<', '%', '!', '?', '>'])
        || ["//", "--", "/*", "==", "**"]
            .iter()
            .any(|mark| text.starts_with(mark));
    let belongs_to_text = |c: char| {
        matches!(
            c,
            '{' | '}' | '[' | ']' | '(' | ')' | '"' | '`' | '@' | ':' | '“' | '”' | '«' | '»'
        )
    };
    let assigns = text.char_indices().any(|(at, c)| c == '=' && at > 0);
    match begins || assigns || text.contains(belongs_to_text) || is_list_item(text) {
        true => Err("it looks like a comment, a list item or part of a document"),
        false => Ok(()),
    }
}

/// Returns true if the text is a date, optionally with a time, and nothing else.
fn is_date(text: &str) -> bool {
    let numbers: Vec<&str> = text
        .split(['-', '.', '/', ':', ' ', 'T', 'Z', '+'])
        .filter(|part| !part.is_empty())
        .collect();
    let is_number = |part: &&str| part.len() <= 4 && part.bytes().all(|byte| byte.is_ascii_digit());
    let [one, two, three, ..] = &numbers[..] else {
        return false;
    };
    let small = |part: &str| {
        part.parse()
            .is_ok_and(|number: u32| (1..=31).contains(&number))
    };
    let year = |part: &str| part.len() == 4 && (part.starts_with("19") || part.starts_with("20"));
    numbers.iter().all(is_number)
        && small(two)
        && (year(one) && small(three) || small(one) && year(three))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A word list for these tests.
    fn words(text: &str) -> bool {
        ["kupon", "promo", "coupons", "my codes", "coupon", "voucher"]
            .contains(&text.to_lowercase().trim_matches(['_', '-']))
    }

    fn checked(lines: &str) -> Result<(), &'static str> {
        let mut lines = lines.split('\n').map(str::to_owned);
        let first = lines.next().unwrap();
        check_first_line(&first, &lines.collect::<Vec<_>>(), words)
    }

    #[test]
    fn accepts_plain_codes_as_rows() {
        for lines in [
            "A1",
            "PROMO10\nSAVE20",
            "COUPON1\nCOUPON10",
            "A1\nA2",
            "A1\nB 2",
            "A9\nA10\nA11",
            "SAVE10\nsave10",
            "voucher123\nwinter2030",
            "winter2030\nvoucher123",
            "WELCOME\nSUMMER",
            "welcome\nsummer",
            "WELCOME",
            "SAVE10\nWELCOME\nSUMMER",
            "XKQWPLMZ\nA7KQ2LMZ\nB7KQ2LMY",
            "AB12-XY\nAB13-XY",
            "007123\n7123",
            "ЛІТО10\nЗИМА20",
            "-A1\n-A2",
            "=B2\n=B3",
            "P 10\nP 20",
            "1234567890\n1234567891",
            "Ab3xK\nmN9pQ",
            "550e8400-e29b-41d4-a716-446655440000\n123e4567-e89b-12d3-a456-426614174000",
        ] {
            assert_eq!(checked(lines), Ok(()), "{lines:?}");
        }
    }

    #[test]
    fn classifies_later_rows_on_their_own() {
        for row in ["A1", "B 2", "WELCOME", "=B2", "save-10"] {
            assert_eq!(check_later_line(row, words), Ok(()), "{row}");
        }
        for row in [
            "Summer codes",
            "# summer",
            "Kupon",
            "- A1",
            "code: A1",
            "<br>",
        ] {
            assert!(check_later_line(row, words).is_err(), "{row}");
        }
    }

    #[test]
    fn rejects_headings_titles_and_comments() {
        for lines in [
            "Kupong\nAB12\nAB13",
            "Kupon",
            "PROMO\nSUMMER",
            "promo\nsummer",
            "My codes\nAB12",
            "Coupons_2027\nAB12-XY\nAB13-XY",
            "Coupons2027\nAB12",
            "Angebot\nSUMMER\nWINTER",
            "ANGEBOT\nAB12\nAB13",
            "Unauthorized",
            "# codes\nA1",
            "#codes\n#A1",
            "// codes\nA1",
            "-- codes\nA1",
            "Codes for winter\nA1",
            "Exported 2026-12-01\nA1",
            "2026-12-01\nA1\nA2",
            "31.12.2026 10:00\nA1",
            "250\nAB12-XY\nAB13-XY",
            "code|type\nA1|x",
            "a|b",
            "- A1\n- A2",
            "1. A1\n2. A2",
            "* A1\n* A2",
            "Codes:\nA1",
            "优惠券\nA1",
            "Ваучери2027\nAB12-X\nAB13-XYZ",
            "<<<<<<< HEAD\nA1",
            "code: A1\ncode: A2",
            "code=A1\ncode=A2",
            "callback(1)",
            "INSERT INTO codes VALUES (1)\nINSERT INTO codes VALUES (2)",
            "a@example.com\nb@example.com",
            "https://shop.example/A1\nhttps://shop.example/A2",
            "Y29kZQpBMQpBMgo=",
            "BEGIN:VCARD\nEND:VCARD",
        ] {
            assert!(checked(lines).is_err(), "{lines:?}");
        }
    }
}
