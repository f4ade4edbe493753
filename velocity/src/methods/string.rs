//! Methods of `String`.

use super::{Answer, format};
use crate::error::{Error, Pos};
use crate::eval::Renderer;
use crate::runtime::{List, ListKind, Text, Val, text};

/// `Character.isWhitespace`: Unicode spaces that allow a line break, and the ASCII separators.
fn is_java_space(c: char) -> bool {
    matches!(c, '\u{1c}'..='\u{1f}')
        || (c.is_whitespace() && !matches!(c, '\u{a0}' | '\u{2007}' | '\u{202f}' | '\u{85}'))
}

impl<'c> Renderer<'c> {
    /// Calls a method of a text.
    pub(super) fn string_method(
        &mut self,
        target: &Text<'c>,
        name: &str,
        arguments: &[Val<'c>],
        pos: Pos,
    ) -> Answer<'c> {
        self.budget.work(target.len() / 4, pos)?;
        let text: &str = target;
        let answer = match (name, arguments) {
            ("length", []) => Val::int(text::length(text)),
            ("isEmpty", []) => Val::Bool(text.is_empty()),
            ("isBlank", []) => Val::Bool(text.chars().all(is_java_space)),
            ("toUpperCase", []) => Val::text(text.to_uppercase()),
            ("toLowerCase", []) => Val::text(text.to_lowercase()),
            ("trim", []) => Val::text(text.trim_matches(|c| c <= ' ')),
            ("strip", []) => Val::text(text.trim_matches(is_java_space)),
            ("stripLeading", []) => Val::text(text.trim_start_matches(is_java_space)),
            ("stripTrailing", []) => Val::text(text.trim_end_matches(is_java_space)),
            ("intern", []) => Val::Text(target.clone()),
            ("concat", [other]) => {
                let other = self.string_argument(other, pos)?;
                self.charge_text(text.len() + other.len(), pos)?;
                Val::text(format!("{text}{}", &*other))
            }
            ("substring", [begin]) => {
                let end = i64::try_from(text::length(text)).unwrap_or(i64::MAX);
                return self.substring(text, begin, end, pos);
            }
            ("substring" | "subSequence", [begin, end]) => {
                let Some(end) = self.int_argument(end, pos)? else {
                    return Ok(None);
                };
                return self.substring(text, begin, end, pos);
            }
            ("charAt" | "codePointAt", [index]) => {
                let Some(index) = self.int_argument(index, pos)? else {
                    return Ok(None);
                };
                let Some(found) = text::substring(text, index, index + 1) else {
                    return Err(Error::new(pos, format!("there is no character at {index}")));
                };
                let found = found.chars().next().unwrap_or('?');
                if name == "charAt" {
                    Val::Char(found)
                } else {
                    Val::int(found as usize)
                }
            }
            ("indexOf" | "lastIndexOf", [..]) => return self.index_of(text, name, arguments, pos),
            ("contains", [part @ (Val::Text(_) | Val::Markup(_) | Val::Null)]) => {
                let part = self.string_argument(part, pos)?;
                Val::Bool(text.contains(&*part))
            }
            ("startsWith" | "endsWith", [part]) => {
                let part = self.string_argument(part, pos)?;
                Val::Bool(if name == "startsWith" {
                    text.starts_with(&*part)
                } else {
                    text.ends_with(&*part)
                })
            }
            ("startsWith", [part, from]) => {
                let part = self.string_argument(part, pos)?;
                let Some(from) = self.int_argument(from, pos)? else {
                    return Ok(None);
                };
                let end = i64::try_from(text::length(text)).unwrap_or(i64::MAX);
                let rest = text::substring(text, from, end);
                Val::Bool(rest.is_some_and(|rest| rest.starts_with(&*part)))
            }
            ("equalsIgnoreCase", [Val::Null]) => Val::Bool(false),
            ("equalsIgnoreCase", [other]) => {
                let other = self.string_argument(other, pos)?;
                self.budget.work(folding(text, &other), pos)?;
                Val::Bool(folded(text) == folded(&other))
            }
            ("contentEquals", [other @ (Val::Text(_) | Val::Markup(_))]) => {
                Val::Bool(*self.text(other, pos)? == *text)
            }
            ("compareTo", [other]) => {
                let other = self.string_argument(other, pos)?;
                Val::Number(crate::number::Number::Int(compare(text, &other)))
            }
            ("compareToIgnoreCase", [other]) => {
                let other = self.string_argument(other, pos)?;
                self.budget.work(folding(text, &other), pos)?;
                let order = compare(&folded(text), &folded(&other));
                Val::Number(crate::number::Number::Int(order))
            }
            (
                "replace",
                [
                    from @ (Val::Text(_) | Val::Markup(_)),
                    to @ (Val::Text(_) | Val::Markup(_)),
                ],
            )
            | ("replace", [from @ Val::Char(_), to @ Val::Char(_)]) => {
                let (from, to) = (self.text(from, pos)?, self.text(to, pos)?);
                let count = text.matches(&*from).count();
                let bytes = text.len() + count.saturating_mul(to.len());
                self.charge_text(bytes, pos)?;
                Val::text(text.replace(&*from, &to))
            }
            ("repeat", [count]) => {
                let Some(count) = self.int_argument(count, pos)? else {
                    return Ok(None);
                };
                let Ok(count) = usize::try_from(count) else {
                    return Err(Error::new(
                        pos,
                        "a text cannot be repeated a negative number of times",
                    ));
                };
                self.charge_text(text.len().saturating_mul(count), pos)?;
                Val::text(text.repeat(count))
            }
            ("matches", [pattern]) => {
                let pattern = self.string_argument(pattern, pos)?;
                Val::Bool(self.matches(&pattern, text, pos)?)
            }
            ("replaceAll" | "replaceFirst", [pattern, replacement]) => {
                let pattern = self.string_argument(pattern, pos)?;
                let replacement = self.string_argument(replacement, pos)?;
                let all = name == "replaceAll";
                Val::text(self.replace_pattern(&pattern, text, &replacement, all, pos)?)
            }
            ("split", [pattern]) => {
                let pattern = self.string_argument(pattern, pos)?;
                array(self.split(&pattern, text, 0, pos)?)
            }
            ("split", [pattern, limit]) => {
                let pattern = self.string_argument(pattern, pos)?;
                let Some(limit) = self.int_argument(limit, pos)? else {
                    return Ok(None);
                };
                array(self.split(&pattern, text, limit, pos)?)
            }
            ("format", [pattern, values @ ..]) => {
                let pattern = self.string_argument(pattern, pos)?;
                Val::text(format::format(self, &pattern, values, pos)?)
            }
            ("formatted", values) => Val::text(format::format(self, text, values, pos)?),
            ("join", [separator, rest @ ..]) => return self.join_all(separator, rest, pos),
            ("valueOf" | "copyValueOf", [value]) => Val::Text(self.text(value, pos)?),
            _ => return Ok(None),
        };
        if let Val::Text(text) = &answer {
            self.charge_text(text.len(), pos)?;
        }
        Ok(Some(answer))
    }

    fn substring(&mut self, text: &str, begin: &Val<'c>, end: i64, pos: Pos) -> Answer<'c> {
        let Some(begin) = self.int_argument(begin, pos)? else {
            return Ok(None);
        };
        match text::substring(text, begin, end) {
            Some(part) => {
                self.charge_text(part.len(), pos)?;
                Ok(Some(Val::text(part)))
            }
            None => {
                let length = text::length(text);
                let message =
                    format!("there is no part from {begin} to {end} in a text of length {length}");
                Err(Error::new(pos, message))
            }
        }
    }

    fn index_of(&mut self, text: &str, name: &str, arguments: &[Val<'c>], pos: Pos) -> Answer<'c> {
        let (part, from) = match arguments {
            [part] => (part, None),
            [part, from] => match self.int_argument(from, pos)? {
                Some(from) => (part, Some(usize::try_from(from).unwrap_or(0))),
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        let part = match part {
            // A number is the code of a character.
            Val::Number(number) => u32::try_from(number.to_i64())
                .ok()
                .and_then(char::from_u32)
                .map(String::from),
            other => Some(self.string_argument(other, pos)?.to_string()),
        };
        let found = part.and_then(|part| {
            if name == "indexOf" {
                let start = text::byte_at(text, from.unwrap_or(0));
                text.get(start..)?.find(&part).map(|at| at + start)
            } else {
                let last = from.map_or(text.len(), |from| text::byte_at(text, from));
                let end = (last + part.len()).min(text.len());
                let end = (end..=text.len()).find(|end| text.is_char_boundary(*end))?;
                text.get(..end)?.rfind(&part)
            }
        });
        Ok(Some(match found {
            Some(at) => Val::int(text::position(text, at)),
            None => Val::Number(crate::number::Number::Int(-1)),
        }))
    }

    /// `String.join(separator, list)` or `String.join(separator, a, b, ...)`.
    fn join_all(&mut self, separator: &Val<'c>, rest: &[Val<'c>], pos: Pos) -> Answer<'c> {
        let separator = self.string_argument(separator, pos)?;
        let mut out = String::new();
        let mut index = 0;
        loop {
            let item = match rest {
                [list @ (Val::List(_) | Val::Range(..))] => self.element(list, index),
                items => items.get(index).cloned(),
            };
            let Some(item) = item else {
                break;
            };
            let item = self.text(&item, pos)?;
            self.charge_text(out.len().min(1) + separator.len() + item.len(), pos)?;
            self.budget
                .output(out.len() + separator.len() + item.len(), pos)?;
            if index > 0 {
                out.push_str(&separator);
            }
            out.push_str(&item);
            index += 1;
        }
        Ok(Some(Val::text(out)))
    }

    /// Methods of `Character`, which have no arguments when called on a value.
    pub(super) fn char_method(
        &mut self,
        value: char,
        name: &str,
        arguments: &[Val<'c>],
        pos: Pos,
    ) -> Answer<'c> {
        let upper = |c: char| c.to_uppercase().next().unwrap_or(c);
        let lower = |c: char| c.to_lowercase().next().unwrap_or(c);
        Ok(match (name, arguments) {
            ("charValue", []) => Some(Val::Char(value)),
            ("compareTo", [Val::Char(other)]) => {
                let distance = i64::from(u32::from(value)) - i64::from(u32::from(*other));
                Some(Val::Number(crate::number::Number::Int(distance)))
            }
            ("toString" | "valueOf", [Val::Char(other)]) => {
                Some(Val::Text(self.text(&Val::Char(*other), pos)?))
            }
            ("isDigit", [Val::Char(c)]) => Some(Val::Bool(c.is_numeric())),
            ("isLetter", [Val::Char(c)]) => Some(Val::Bool(c.is_alphabetic())),
            ("isUpperCase", [Val::Char(c)]) => Some(Val::Bool(c.is_uppercase())),
            ("isLowerCase", [Val::Char(c)]) => Some(Val::Bool(c.is_lowercase())),
            ("toUpperCase", [Val::Char(c)]) => Some(Val::Char(upper(*c))),
            ("toLowerCase", [Val::Char(c)]) => Some(Val::Char(lower(*c))),
            _ => None,
        })
    }
}

/// Work for comparing two texts case-insensitively.
fn folding(a: &str, b: &str) -> usize {
    a.len().saturating_add(b.len()).saturating_mul(4)
}

/// Returns the text as Java compares it case-insensitively: each character to upper, then to lower
/// case.
fn folded(text: &str) -> String {
    text.chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect()
}

/// `compareTo`: the difference of the first distinct units, or of the lengths.
fn compare(a: &str, b: &str) -> i64 {
    let mut a_units = a.encode_utf16();
    let mut b_units = b.encode_utf16();
    loop {
        match (a_units.next(), b_units.next()) {
            (Some(x), Some(y)) if x == y => {}
            (Some(x), Some(y)) => return i64::from(x) - i64::from(y),
            (None, None) => return 0,
            (x, y) => {
                let rest = |first: Option<u16>, more: std::str::EncodeUtf16<'_>| {
                    i64::try_from(more.count()).unwrap_or(i64::MAX) + i64::from(first.is_some())
                };
                return rest(x, a_units) - rest(y, b_units);
            }
        }
    }
}

fn array<'c>(parts: Vec<String>) -> Val<'c> {
    let items = parts.into_iter().map(Val::text).collect();
    Val::List(std::rc::Rc::new(List::new(items, ListKind::Array)))
}
