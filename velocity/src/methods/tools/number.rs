//! `$number`: numbers as text.

use super::super::Answer;
use super::super::numeric_pattern::{NumericPattern, Symbols};
use crate::error::Pos;
use crate::eval::Renderer;
use crate::locale::Locale;
use crate::runtime::Val;

/// Work for printing a number, which may have hundreds of digits.
const DIGITS_WORK: usize = 4_000;

/// A predefined number format of a language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumberStyle {
    Number,
    Integer,
    Percent,
    Currency,
}

impl NumberStyle {
    /// Returns the style with this name, ignoring case.
    pub(super) fn named(name: &str) -> Option<NumberStyle> {
        Some(match name.to_ascii_lowercase().as_str() {
            "number" | "default" => NumberStyle::Number,
            "integer" => NumberStyle::Integer,
            "percent" => NumberStyle::Percent,
            "currency" => NumberStyle::Currency,
            _ => return None,
        })
    }

    fn format(self, value: f64, locale: Locale) -> Option<String> {
        let names = locale.names();
        let (pattern, value) = match self {
            NumberStyle::Number => (names.number, value),
            // The manuals say that it does not round.
            NumberStyle::Integer => (names.number, value.trunc()),
            NumberStyle::Percent => (names.percent, value),
            NumberStyle::Currency => (names.money, value),
        };
        let pattern = NumericPattern::read(pattern).ok()?;
        let pattern = match self {
            NumberStyle::Currency => pattern.with_fraction(locale.currency().digits),
            _ => pattern,
        };
        Some(pattern.format(value, &Symbols::of(locale)))
    }
}

/// Checks a style or pattern independently of a number.
pub(super) fn checked(pattern: &str) -> Result<(), String> {
    match NumberStyle::named(pattern) {
        Some(_) => Ok(()),
        None => NumericPattern::read(pattern).map(|_| ()),
    }
}

/// Returns true if a pattern has a comma where the author probably means a point.
pub(super) fn has_unusual_grouping(pattern: &str) -> bool {
    NumberStyle::named(pattern).is_none()
        && NumericPattern::read(pattern).is_ok_and(|pattern| pattern.has_unusual_grouping())
}

impl<'c> Renderer<'c> {
    pub(super) fn number_tool(
        &mut self,
        name: &str,
        arguments: &[Val<'c>],
        pos: Pos,
    ) -> Answer<'c> {
        let mut locale = self.locale;
        let (pattern, value) = match (name, arguments) {
            ("toNumber", [value]) => {
                let numbers = self.numbers(std::slice::from_ref(value), pos)?;
                let number = numbers.and_then(|numbers| numbers.first().copied());
                return Ok(number.map(Val::Number));
            }
            ("format", [pattern, value]) => (self.text(pattern, pos)?.to_string(), value),
            ("format", [pattern, value, language]) => {
                let Some(named) = Locale::of(&self.text(language, pos)?) else {
                    return Ok(None);
                };
                locale = named;
                (self.text(pattern, pos)?.to_string(), value)
            }
            ("format", [value]) => ("number".to_owned(), value),
            (style, [value]) => (style.to_owned(), value),
            _ => return Ok(None),
        };
        let numbers = self.numbers(std::slice::from_ref(value), pos)?;
        let Some([number]) = numbers.as_deref() else {
            return Ok(None);
        };
        let number = number.to_f64();
        if !number.is_finite() {
            return Ok(None);
        }
        self.charge_text(pattern.len().saturating_add(DIGITS_WORK), pos)?;
        let text = match NumberStyle::named(&pattern) {
            Some(style) => style.format(number, locale),
            None => {
                let pattern = NumericPattern::read(&pattern).ok();
                pattern.map(|pattern| pattern.format(number, &Symbols::plain(locale)))
            }
        };
        Ok(text.map(Val::text))
    }
}
