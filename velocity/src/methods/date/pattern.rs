//! The patterns of `java.text.SimpleDateFormat`, and named styles.

use crate::locale::Names;

/// Letters with a meaning.
const LETTERS: &str = "GyYMLwWDdFEuaHkKhmsSzZX";
/// Additional letters in CLDR patterns: part of the day, and day of the week.
const CLDR_LETTERS: &str = "Bc";
/// Maximum length of a pattern, in bytes.
pub(crate) const MAX_PATTERN_BYTES: usize = 500;

/// A piece of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    Literal(String),
    /// A letter and its number of repetitions.
    Field(char, usize),
}

/// Parses a pattern; the error describes the problem.
pub(crate) fn tokens(pattern: &str) -> Result<Vec<Token>, String> {
    read(pattern, "")
}

fn read(pattern: &str, more: &str) -> Result<Vec<Token>, String> {
    if pattern.len() > MAX_PATTERN_BYTES {
        return Err(format!(
            "the date pattern is longer than {MAX_PATTERN_BYTES} bytes"
        ));
    }
    let mut tokens = Vec::new();
    let mut literal = String::new();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\'' {
            quoted(&mut chars, &mut literal).ok_or_else(|| {
                format!("'{pattern}' has an unclosed quote; write a literal quote as ''")
            })?;
        } else if c.is_ascii_alphabetic() {
            if !LETTERS.contains(c) && !more.contains(c) {
                return Err(format!(
                    "'{pattern}' is not a date pattern: '{c}' has no meaning"
                ));
            }
            if !literal.is_empty() {
                tokens.push(Token::Literal(std::mem::take(&mut literal)));
            }
            let mut count = 1;
            while chars.next_if_eq(&c).is_some() {
                count += 1;
            }
            tokens.push(Token::Field(c, count));
        } else {
            literal.push(c);
        }
    }
    if !literal.is_empty() {
        tokens.push(Token::Literal(literal));
    }
    Ok(tokens)
}

/// Reads the text after an opening quote; `''` is a literal quote, also inside quoted text.
fn quoted(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    literal: &mut String,
) -> Option<()> {
    if chars.next_if_eq(&'\'').is_some() {
        literal.push('\'');
        return Some(());
    }
    loop {
        match chars.next()? {
            '\'' if chars.next_if_eq(&'\'').is_some() => literal.push('\''),
            '\'' => return Some(()),
            other => literal.push(other),
        }
    }
}

/// A date, a time or both in the format of a language, such as `medium_date`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    /// The index into the lists of patterns.
    length: usize,
    date: bool,
    time: bool,
}

impl Style {
    /// The default style of dates.
    pub(crate) const MEDIUM: Style = Style {
        length: 2,
        date: true,
        time: true,
    };

    /// Returns the style with this name, ignoring case.
    pub(crate) fn named(name: &str) -> Option<Style> {
        let name = name.to_ascii_lowercase();
        let (length, part) = match name.split_once('_') {
            Some((length, part)) => (length, Some(part)),
            None => (name.as_str(), None),
        };
        let length = match length {
            "full" => 0,
            "long" => 1,
            "medium" | "default" => 2,
            "short" => 3,
            _ => return None,
        };
        let (date, time) = match part {
            None => (true, true),
            Some("date") => (true, false),
            Some("time") => (false, true),
            Some(_) => return None,
        };
        Some(Style { length, date, time })
    }

    /// Returns the tokens in a language. A date without a time of day prints none.
    pub(super) fn tokens(self, has_time: bool, names: &Names) -> Vec<Token> {
        match (self.date, self.time && (has_time || !self.date)) {
            (true, true) => Style::both(self, self, names),
            (true, false) => of_cldr(names.dates.get(self.length).unwrap_or(&"")),
            _ => of_cldr(names.times.get(self.length).unwrap_or(&"")),
        }
    }

    /// Returns the tokens of the date in one style and the time in another.
    pub(super) fn both(date: Style, time: Style, names: &Names) -> Vec<Token> {
        let of = |list: [&'static str; 4], style: Style| *list.get(style.length).unwrap_or(&"");
        let join = of(names.joins, date);
        let (before, after) = join.split_once("{1}").unwrap_or(("", ", {0}"));
        let (between, end) = after.split_once("{0}").unwrap_or((", ", ""));
        [
            of_cldr(before),
            of_cldr(of(names.dates, date)),
            of_cldr(between),
            of_cldr(of(names.times, time)),
            of_cldr(end),
        ]
        .concat()
    }
}

fn of_cldr(pattern: &str) -> Vec<Token> {
    read(pattern, CLDR_LETTERS).unwrap_or_default()
}

/// Checks a style or pattern independently of a date.
pub(crate) fn checked(pattern: &str) -> Result<(), String> {
    if Style::named(pattern).is_some() {
        return Ok(());
    }
    tokens(pattern).map(|_| ())
}

/// Returns a likely mistake in a valid pattern, and a hint.
pub(crate) fn find_likely_mistake(pattern: &str) -> Option<(&'static str, &'static str)> {
    if Style::named(pattern).is_some() {
        return None;
    }
    let tokens = tokens(pattern).ok()?;
    let has = |letters: &str| {
        let mut tokens = tokens.iter();
        tokens.any(|token| matches!(token, Token::Field(letter, _) if letters.contains(*letter)))
    };
    if has("Y") && !has("w") {
        return Some((
            "YYYY is the year of the week, which differs from yyyy around New Year",
            "write yyyy",
        ));
    }
    if has("D") && has("M") {
        return Some(("DD is the day of the year, up to 366", "write dd"));
    }
    if has("m") && has("dy") && !has("HkKhM") {
        return Some(("mm is minutes, not months", "write MM"));
    }
    None
}
