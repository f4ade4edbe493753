//! `$date`: prints and calculates dates.

use std::sync::Arc;

use super::super::date::{Date, Style, Unit, tokens, zone};
use super::super::{Answer, Result};
use super::catalog;
use crate::error::Pos;
use crate::eval::Renderer;
use crate::locale::Locale;
use crate::number::Number;
use crate::runtime::{Tool, Val};

/// Work for parsing a date in all usual formats, or printing one.
const DATE_WORK: usize = 1_000;
/// Maximum length of the name of a month or day, in bytes: the expansion of a pattern letter.
const LETTER_WORK: usize = 48;

impl<'c> Renderer<'c> {
    pub(super) fn date_tool(&mut self, name: &str, arguments: &[Val<'c>], pos: Pos) -> Answer<'c> {
        self.budget.work(DATE_WORK, pos)?;
        match (name, arguments) {
            ("get" | "currentDate", [pattern]) => {
                let now = self.today();
                self.print_date(now, pattern, self.locale, pos)
            }
            ("get", [date, time]) => {
                let now = self.today();
                self.print_styles(now, date, time, self.locale, pos)
            }
            ("currentDate", []) => Ok(Some(Val::Date(self.today().without_time()))),
            ("currentDate", [pattern, zone_name]) => {
                let moment = self.now();
                let Some(zone) = zone(&self.text(zone_name, pos)?) else {
                    return Ok(None);
                };
                self.print_date(zone.date(moment), pattern, self.locale, pos)
            }
            ("getDate" | "getSystemDate", []) => Ok(Some(Val::Date(self.today()))),
            ("currentTimeStamp" | "getSystemTime", []) => {
                Ok(Some(int(self.now().timestamp_millis())))
            }
            ("getYear" | "getMonth" | "getDay", rest) => {
                let date = match rest {
                    [value] => self.date_of(value, pos)?,
                    _ => Some(self.today()),
                };
                Ok(date.map(|date| calendar_field(date, name)))
            }
            ("format", [value]) => {
                let date = self.date_of(value, pos)?;
                let names = self.locale.names();
                Ok(date.map(|date| Val::text(date.in_style(Style::MEDIUM, names))))
            }
            ("format" | "formatDate", [pattern, value]) => match self.date_of(value, pos)? {
                Some(date) => self.print_date(date, pattern, self.locale, pos),
                None => Ok(None),
            },
            ("format", [first, second, third]) => self.format_three(first, second, third, pos),
            ("formatInContactTimezone", [pattern, value]) => {
                let (here, there) = (self.now().timezone(), self.contact_zone());
                let date = self.date_of(value, pos)?;
                match date.and_then(|date| date.moment(here)) {
                    Some(moment) => {
                        let date = Date::at(moment.with_timezone(&there));
                        self.print_date(date, pattern, self.locale, pos)
                    }
                    None => Ok(None),
                }
            }
            ("toDate" | "parse", [value]) => Ok(self.date_of(value, pos)?.map(Val::Date)),
            ("toDate" | "parse", [pattern, value]) => {
                // A value that is a date already needs no pattern.
                if !matches!(value, Val::Text(_) | Val::Markup(_) | Val::Block(_)) {
                    return Ok(self.date_of(value, pos)?.map(Val::Date));
                }
                Ok(self.date_in(pattern, value, pos)?.map(Val::Date))
            }
            ("diff", [from, to, rest @ ..]) => self.difference(from, to, rest, pos),
            ("compare", [one, other]) => {
                let (one, other) = (self.date_of(one, pos)?, self.date_of(other, pos)?);
                let order = one.zip(other).map(|(one, other)| one.compare(other));
                Ok(order.map(|order| int(order as i64)))
            }
            (adding, [value, amount, patterns @ ..]) => {
                let unit = adding.strip_prefix("add").and_then(Unit::named);
                match unit {
                    Some(unit) => self.add_to_date(value, amount, unit, patterns, pos),
                    None => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }

    /// Returns a property: `$date.year`, `$date.long_date`, `$date.yyyy`.
    pub(super) fn date_property(&mut self, name: &str, pos: Pos) -> Result<Val<'c>> {
        let getter = match name {
            "year" | "Year" => "getYear",
            "month" | "Month" => "getMonth",
            "day" | "Day" => "getDay",
            "date" | "Date" => "getDate",
            "systemDate" => "getSystemDate",
            "systemTime" => "getSystemTime",
            _ if catalog::has_property(Tool::Date, name) => {
                let answer = self.date_tool("get", &[Val::text(name)], pos)?;
                return Ok(answer.unwrap_or(Val::Null));
            }
            _ => return Ok(Val::Null),
        };
        let answer = self.date_tool(getter, &[], pos)?;
        Ok(answer.unwrap_or(Val::Null))
    }

    /// Calls a method of a date that a tool has parsed.
    pub(crate) fn date_method(
        &mut self,
        date: Date,
        name: &str,
        arguments: &[Val<'c>],
        pos: Pos,
    ) -> Answer<'c> {
        use std::cmp::Ordering;
        match (name, arguments) {
            ("getTime", []) => {
                let moment = date.moment(self.now().timezone());
                Ok(moment.map(|moment| int(moment.timestamp_millis())))
            }
            ("before" | "after" | "compareTo", [other]) => {
                let Some(other) = self.date_of(other, pos)? else {
                    return Ok(Some(Val::Nothing));
                };
                let order = date.compare(other);
                Ok(Some(match name {
                    "before" => Val::Bool(order == Ordering::Less),
                    "after" => Val::Bool(order == Ordering::Greater),
                    _ => int(order as i64),
                }))
            }
            _ => Ok(None),
        }
    }

    /// Formats a date in the default style.
    pub(crate) fn date_text(&mut self, date: Date, pos: Pos) -> Result<String> {
        self.budget.work(DATE_WORK, pos)?;
        Ok(date.in_style(Style::MEDIUM, self.locale.names()))
    }

    /// Returns today's date in the installation's time zone.
    pub(crate) fn today(&mut self) -> Date {
        Date::at(self.now())
    }

    /// Converts a value to a date; `None` if it is not one.
    fn date_of(&mut self, value: &Val<'c>, pos: Pos) -> Result<Option<Date>> {
        Ok(self.guessed(value, pos)?.map(|(date, _)| date))
    }

    /// Converts a value to a date, and returns the pattern in which it was written, if any.
    fn guessed(
        &mut self,
        value: &Val<'c>,
        pos: Pos,
    ) -> Result<Option<(Date, Option<&'static str>)>> {
        self.budget.work(DATE_WORK, pos)?;
        let here = self.now().timezone();
        let with_pattern = |(date, pattern)| (date, Some(pattern));
        Ok(match value {
            Val::Date(date) => Some((*date, None)),
            Val::Tool(Tool::Date) => Some((self.today(), None)),
            Val::Number(Number::Double(number)) if !number.is_finite() => None,
            Val::Number(number) => Date::of_number(number.to_i64(), here).map(with_pattern),
            Val::Text(_) | Val::Markup(_) | Val::Block(_) => {
                let text = self.text(value, pos)?;
                Date::guess(&text, here).map(with_pattern)
            }
            _ => None,
        })
    }

    /// Parses a text as a date by a pattern.
    fn date_in(&mut self, pattern: &Val<'c>, value: &Val<'c>, pos: Pos) -> Result<Option<Date>> {
        self.budget.work(DATE_WORK, pos)?;
        let (pattern, text) = (self.text(pattern, pos)?, self.text(value, pos)?);
        let Ok(tokens) = tokens(&pattern) else {
            return Ok(None);
        };
        let date = Date::parse(text.trim(), &tokens, self.locale.names());
        Ok(date.map(|(date, _)| date))
    }

    /// Formats a date in a style or pattern; `None` if it is neither.
    fn print_date(
        &mut self,
        date: Date,
        pattern: &Val<'c>,
        locale: Locale,
        pos: Pos,
    ) -> Answer<'c> {
        let pattern = self.text(pattern, pos)?;
        self.charge_text(pattern.len().min(LETTER_WORK * 10) * LETTER_WORK, pos)?;
        let names = locale.names();
        if let Some(style) = Style::named(&pattern) {
            return Ok(Some(Val::text(date.in_style(style, names))));
        }
        let tokens = tokens(&pattern).ok();
        Ok(tokens.map(|tokens| Val::text(date.format(&tokens, names))))
    }

    fn print_styles(
        &mut self,
        shown: Date,
        date: &Val<'c>,
        time: &Val<'c>,
        locale: Locale,
        pos: Pos,
    ) -> Answer<'c> {
        let date = Style::named(&self.text(date, pos)?);
        let time = Style::named(&self.text(time, pos)?);
        let text = date
            .zip(time)
            .map(|(date, time)| shown.in_styles(date, time, locale.names()));
        Ok(text.map(Val::text))
    }

    /// `format` with styles of date and time, or with a language.
    fn format_three(
        &mut self,
        first: &Val<'c>,
        second: &Val<'c>,
        third: &Val<'c>,
        pos: Pos,
    ) -> Answer<'c> {
        if let Some(date) = self.date_of(second, pos)? {
            return match Locale::of(&self.text(third, pos)?) {
                Some(locale) => self.print_date(date, first, locale, pos),
                None => Ok(None),
            };
        }
        match self.date_of(third, pos)? {
            Some(date) => self.print_styles(date, first, second, self.locale, pos),
            None => Ok(None),
        }
    }

    /// `$dateTool.addDays(date, amount, pattern, pattern of the answer)`.
    fn add_to_date(
        &mut self,
        value: &Val<'c>,
        amount: &Val<'c>,
        unit: Unit,
        patterns: &[Val<'c>],
        pos: Pos,
    ) -> Answer<'c> {
        let amount = self.number(amount, pos)?;
        // A fraction of a month has no meaning.
        let whole = amount.filter(|amount| amount.to_f64().fract() == 0.0);
        let (came, printed) = match patterns {
            [] => (self.guessed(value, pos)?, None),
            [pattern, rest @ ..] => {
                let date = match value {
                    Val::Text(_) | Val::Markup(_) | Val::Block(_) => {
                        self.date_in(pattern, value, pos)?
                    }
                    other => self.date_of(other, pos)?,
                };
                let printed = rest.first().unwrap_or(pattern);
                (date.map(|date| (date, None)), Some(printed))
            }
        };
        let Some(((date, came_in), amount)) = came.zip(whole) else {
            return Ok(None);
        };
        let Some(date) = date.plus(amount.to_i64(), unit) else {
            return Ok(None);
        };
        match (printed, came_in) {
            (Some(pattern), _) => self.print_date(date, pattern, self.locale, pos),
            (None, Some(pattern)) => {
                let pattern: Arc<str> = pattern.into();
                self.print_date(date, &Val::text(pattern), self.locale, pos)
            }
            (None, None) => Ok(Some(Val::Date(date))),
        }
    }

    /// `$dateTool.diff(from, to, pattern, unit)`: the distance of two dates, in any order.
    fn difference(
        &mut self,
        from: &Val<'c>,
        to: &Val<'c>,
        rest: &[Val<'c>],
        pos: Pos,
    ) -> Answer<'c> {
        let mut unit = None;
        let mut pattern = None;
        for value in rest {
            match Unit::named(&self.text(value, pos)?) {
                Some(named) => unit = Some(named),
                None => pattern = Some(value),
            }
        }
        let (from, to) = match pattern {
            Some(pattern) => (
                self.date_in(pattern, from, pos)?,
                self.date_in(pattern, to, pos)?,
            ),
            None => (self.date_of(from, pos)?, self.date_of(to, pos)?),
        };
        let count = from
            .zip(to)
            .zip(unit)
            .map(|((from, to), unit)| from.until(to, unit).saturating_abs());
        Ok(count.map(int))
    }
}

fn int<'c>(value: i64) -> Val<'c> {
    Val::Number(Number::Int(value))
}

/// Returns a field of Java's `Calendar`, whose months count from 0.
fn calendar_field<'c>(date: Date, getter: &str) -> Val<'c> {
    let (year, month, day) = date.year_month_day();
    int(match getter {
        "getYear" => year,
        "getMonth" => month - 1,
        _ => day,
    })
}
