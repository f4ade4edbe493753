//! The patterns of `java.text.SimpleDateFormat`, and the styles that stand in their place.

use crate::locale::Names;

/// Letters with a meaning.
const LETTERS: &str = "GyYMLwWDdFEuaHkKhmsSzZX";
/// Letters that patterns of the CLDR have beside them: a part of the day, and the day of the week.
const OF_CLDR: &str = "Bc";
/// Longest pattern that is read.
pub(crate) const MAX_PATTERN_BYTES: usize = 500;

/// A piece of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    Literal(String),
    /// A letter, and how often it stands there.
    Field(char, usize),
}

/// The pieces of a pattern, or what is wrong with it.
pub(crate) fn tokens(pattern: &str) -> Result<Vec<Token>, String> {
    read(pattern, "")
}

fn read(pattern: &str, more: &str) -> Result<Vec<Token>, String> {
    if pattern.len() > MAX_PATTERN_BYTES {
        return Err(format!(
            "the pattern of a date is longer than {MAX_PATTERN_BYTES} bytes"
        ));
    }
    let mut tokens = Vec::new();
    let mut literal = String::new();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\'' {
            quoted(&mut chars, &mut literal).ok_or_else(|| {
                format!("'{pattern}' has a quote that nothing closes; a quote itself is ''")
            })?;
        } else if c.is_ascii_alphabetic() {
            if !LETTERS.contains(c) && !more.contains(c) {
                return Err(format!(
                    "'{pattern}' is no pattern of a date: '{c}' means nothing in it"
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

/// Reads what follows an opening quote; `''` is a quote, within quoted text too.
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

/// A date, a time of day or both in the manner of a language, `medium_date` for instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    /// The place in the lists of patterns.
    length: usize,
    date: bool,
    time: bool,
}

impl Style {
    /// What a date without more is printed in.
    pub(crate) const MEDIUM: Style = Style {
        length: 2,
        date: true,
        time: true,
    };

    /// The style of that name, in whatever case.
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

    /// Its pieces in a language. A date without a time of day prints none.
    pub(super) fn tokens(self, timed: bool, names: &Names) -> Vec<Token> {
        match (self.date, self.time && (timed || !self.date)) {
            (true, true) => Style::both(self, self, names),
            (true, false) => of_cldr(names.dates.get(self.length).unwrap_or(&"")),
            _ => of_cldr(names.times.get(self.length).unwrap_or(&"")),
        }
    }

    /// The pieces of the date in one style and the time in another.
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
    read(pattern, OF_CLDR).unwrap_or_default()
}

/// What is wrong with a style or pattern, whatever date it gets.
pub(crate) fn checked(pattern: &str) -> Result<(), String> {
    if Style::named(pattern).is_some() {
        return Ok(());
    }
    tokens(pattern).map(|_| ())
}

/// What an author most likely did not mean with a pattern that can be read, and what they did.
pub(crate) fn doubtful(pattern: &str) -> Option<(&'static str, &'static str)> {
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
            "YYYY is the year to which the week belongs: around New Year it is another one",
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
