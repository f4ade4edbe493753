//! Java regular expressions for `replaceAll`, `replaceFirst`, `matches` and `split`.
//!
//! The underlying engine matches in linear time, so it has no look-around and no back references; a
//! pattern with them is an error. Other differences are translated.

use std::collections::HashMap;

use regex::{Regex, RegexBuilder};

use super::pattern_syntax::translate;
use super::{Error, Pos, Renderer, Result, excerpt};
use crate::eval::ELEMENT_WORK;
use crate::limits::Budget;

/// Maximum size of a compiled pattern in bytes. It limits the time per byte of text.
const MAX_PATTERN_BYTES: usize = 256 << 10;

/// Work for looking up a pattern and starting to match.
const CALL_WORK: usize = 200;

/// Maximum length of a pattern. Each `\p{L}` expands to hundreds of ranges before the size is
/// known.
const MAX_LENGTH: usize = 2_000;

/// Maximum cache size for matching, in bytes; without the cache, matching is slower.
const MAX_CACHE_BYTES: usize = 256 << 10;

/// Number of compiled patterns that a rendering keeps.
const MAX_CACHED_PATTERNS: usize = 16;

/// The compiled patterns of one rendering.
#[derive(Default)]
pub(crate) struct Patterns(HashMap<String, Regex>);

/// Returns the error in a pattern, if the budget allows compiling it.
pub(crate) fn check(pattern: &str, budget: &mut Budget) -> Option<String> {
    if let Some(why) = too_long(pattern) {
        return Some(why);
    }
    let price = compiling(cost(pattern));
    budget.work(price, Pos::START).ok()?;
    compile(pattern, &translate(pattern)).err()
}

fn too_long(pattern: &str) -> Option<String> {
    let long = pattern.len() > MAX_LENGTH;
    long.then(|| format!("a regular expression is longer than {MAX_LENGTH} bytes"))
}

/// Returns the relative cost of matching a byte: it grows with the length of the pattern and with
/// its repetition counts.
fn cost(pattern: &str) -> usize {
    let mut cost = pattern.len();
    for count in pattern
        .split(['{', ',', '}'])
        .filter_map(|n| n.parse::<usize>().ok())
    {
        cost = cost.saturating_mul(count.max(1)).min(4096);
    }
    cost
}

/// Work for compiling a pattern.
fn compiling(cost: usize) -> usize {
    1000 + cost * 100
}

fn compile(pattern: &str, translated: &str) -> std::result::Result<Regex, String> {
    RegexBuilder::new(translated)
        .size_limit(MAX_PATTERN_BYTES)
        .dfa_size_limit(MAX_CACHE_BYTES)
        .nest_limit(50)
        .build()
        .map_err(|error| {
            // Lines before the last one show the translated pattern, which the author has not
            // written.
            let error = error.to_string();
            let why = error.lines().last().unwrap_or_default();
            let why = why.strip_prefix("error: ").unwrap_or(why);
            let pattern = excerpt(pattern);
            format!("'{pattern}' is not a supported regular expression: {why}")
        })
}

impl<'c> Renderer<'c> {
    /// Compiles a pattern and pays for searching `text` with it.
    ///
    /// If `whole`, the pattern must match all of the text.
    fn pattern(&mut self, pattern: &str, whole: bool, text: &str, pos: Pos) -> Result<Regex> {
        self.budget.work(CALL_WORK + pattern.len(), pos)?;
        if let Some(why) = too_long(pattern) {
            return Err(Error::new(pos, why));
        }
        let cost = cost(pattern);
        self.budget
            .work(text.len().saturating_mul(1 + cost / 2), pos)?;
        let translated = translate(pattern);
        let translated = if whole {
            format!("^(?:{translated})\\z")
        } else {
            translated
        };
        if let Some(found) = self.patterns.0.get(&translated) {
            return Ok(found.clone());
        }
        self.budget.work(compiling(cost), pos)?;
        let compiled = compile(pattern, &translated).map_err(|why| Error::new(pos, why))?;
        if self.patterns.0.len() >= MAX_CACHED_PATTERNS {
            self.patterns.0.clear();
        }
        self.patterns.0.insert(translated, compiled.clone());
        Ok(compiled)
    }

    /// `String.matches`: the pattern must match all of the text.
    pub(super) fn matches(&mut self, pattern: &str, text: &str, pos: Pos) -> Result<bool> {
        Ok(self.pattern(pattern, true, text, pos)?.is_match(text))
    }

    /// `String.replaceAll` and `replaceFirst`.
    pub(super) fn replace_pattern(
        &mut self,
        pattern: &str,
        text: &str,
        replacement: &str,
        all: bool,
        pos: Pos,
    ) -> Result<String> {
        let regex = self.pattern(pattern, false, text, pos)?;
        let mut out = String::new();
        let mut last = 0;
        for found in Matches::new(&regex, text) {
            let Some(whole) = found.get(0) else {
                continue;
            };
            self.charge_text(text.len().min(64) + replacement.len(), pos)?;
            out.push_str(text.get(last..whole.start()).unwrap_or(""));
            last = whole.end();
            let before = out.len();
            expand(replacement, &found, &mut out).map_err(|message| Error::new(pos, message))?;
            self.charge_text(out.len() - before, pos)?;
            self.budget.output(out.len(), pos)?;
            if !all {
                break;
            }
        }
        out.push_str(text.get(last..).unwrap_or(""));
        Ok(out)
    }

    /// `String.split`: with a limit of 0, trailing empty parts are dropped.
    pub(super) fn split(
        &mut self,
        pattern: &str,
        text: &str,
        limit: i64,
        pos: Pos,
    ) -> Result<Vec<String>> {
        let regex = self.pattern(pattern, false, text, pos)?;
        let mut parts = Vec::new();
        let mut last = 0;
        for found in Matches::new(&regex, text).filter_map(|found| found.get(0)) {
            if limit > 0 && i64::try_from(parts.len()).is_ok_and(|count| count + 1 >= limit) {
                break;
            }
            if found.end() == 0 {
                continue;
            }
            self.charge_text(found.start() - last + ELEMENT_WORK, pos)?;
            parts.push(text.get(last..found.start()).unwrap_or("").to_owned());
            last = found.end();
        }
        if parts.is_empty() {
            return Ok(vec![text.to_owned()]);
        }
        parts.push(text.get(last..).unwrap_or("").to_owned());
        if limit == 0 {
            while parts.last().is_some_and(String::is_empty) {
                parts.pop();
            }
        }
        Ok(parts)
    }
}

/// The matches in a text as `Matcher.find` returns them: an empty match may directly follow another
/// one.
struct Matches<'r, 't> {
    regex: &'r Regex,
    text: &'t str,
    next: Option<usize>,
}

impl<'r, 't> Matches<'r, 't> {
    fn new(regex: &'r Regex, text: &'t str) -> Self {
        Matches {
            regex,
            text,
            next: Some(0),
        }
    }
}

impl<'t> Iterator for Matches<'_, 't> {
    type Item = regex::Captures<'t>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.regex.captures_at(self.text, self.next?)?;
        let whole = found.get(0)?;
        self.next = if whole.is_empty() {
            let skipped = self.text.get(whole.end()..)?.chars().next();
            skipped.map(|c| whole.end() + c.len_utf8())
        } else {
            Some(whole.end())
        };
        Some(found)
    }
}

/// Appends a replacement: `$1` and `${name}` are groups, a backslash escapes the next character.
fn expand(
    replacement: &str,
    found: &regex::Captures<'_>,
    out: &mut String,
) -> std::result::Result<(), String> {
    let mut chars = replacement.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(next) => out.push(next),
                None => return Err("a replacement ends with a backslash".to_owned()),
            },
            '$' if chars.peek() == Some(&'{') => {
                let name: String = chars.by_ref().take_while(|c| *c != '}').skip(1).collect();
                match found.name(&name) {
                    Some(group) => out.push_str(group.as_str()),
                    None => return Err(format!("there is no group named '{}'", excerpt(&name))),
                }
            }
            '$' => {
                let first = chars.next().and_then(|digit| digit.to_digit(10));
                let Some(mut group) = first.map(|digit| digit as usize) else {
                    return Err("expected a group number after '$'".to_owned());
                };
                if group >= found.len() {
                    return Err(format!("there is no group {group}"));
                }
                // The longest run of digits that names a group.
                while let Some(digit) = chars.peek().and_then(|next| next.to_digit(10)) {
                    let longer = group * 10 + digit as usize;
                    if longer >= found.len() {
                        break;
                    }
                    group = longer;
                    chars.next();
                }
                out.push_str(found.get(group).map_or("", |group| group.as_str()));
            }
            _ => out.push(c),
        }
    }
    Ok(())
}
