//! Checks constant arguments of calls: patterns, styles, units, dates.

use super::super::super::date::{Date, Style, Unit, checked, find_likely_mistake, zone};
use super::super::number::{self, NumberStyle};
use super::{Call, Search};
use crate::error::excerpt;
use crate::locale::Locale;
use crate::number::Number;

impl Search {
    pub(super) fn number_call(&mut self, call: Call<'_>) {
        let style = match call.method {
            "format" if call.arguments.len() > 1 => {
                let pattern = call.text(0);
                if let Some(Err(why)) = pattern.map(number::checked) {
                    let hint = "a style is number, integer, percent or currency, and a pattern such \
                                as '#,##0.00' has # or 0 for the digits";
                    self.error(call.pos, why, hint.to_owned());
                }
                if pattern.is_some_and(number::has_unusual_grouping) {
                    let shown = excerpt(pattern.unwrap_or_default());
                    let message = format!("'{shown}': the comma separates groups of digits");
                    self.warn(call.pos, message, "use a point for decimals: '0.00'");
                }
                self.language(call, 2);
                pattern.and_then(NumberStyle::named)
            }
            "format" => Some(NumberStyle::Number),
            other => NumberStyle::named(other),
        };
        let value = usize::from(call.method == "format" && call.arguments.len() > 1);
        if call.method == "format" && call.arguments.len() == 1 && call.text(0).is_some() {
            let message = format!("${}.format got no number to print", call.name);
            self.warn(
                call.pos,
                message,
                "it takes a style or pattern, and a number: ('0.00', $price)",
            );
        } else {
            self.numbers(
                Call {
                    arguments: call.arguments.get(..=value).unwrap_or(&[]),
                    ..call
                },
                value,
            );
        }
        if style == Some(NumberStyle::Currency) && !self.locale.has_country() {
            let code = self.locale.currency_code();
            let message = format!(
                "the amount prints in {code}: the language of the message names no country"
            );
            let hint = "name it in `language`, as in uk-UA or en-GB, or write the sign yourself: \
                        $number.format('#,##0.00', $price) €";
            self.warn(call.pos, message, hint);
        }
    }

    /// Checks that the constant arguments from this index on are numbers.
    pub(super) fn numbers(&mut self, call: Call<'_>, from: usize) {
        for index in from..call.arguments.len() {
            if let Some(text) = call.text(index)
                && Number::from_text(text).is_none()
            {
                let message = format!(
                    "${}.{} prints nothing for '{}': it is not a number",
                    call.name,
                    call.method,
                    excerpt(text)
                );
                return self.warn(call.pos, message, "write numbers with a point: 12.50");
            }
        }
    }

    pub(super) fn date_call(&mut self, call: Call<'_>) {
        let count = call.arguments.len();
        match call.method {
            "format" if count == 1 && call.text(0).is_some_and(|text| !is_date(text)) => {
                let message = format!("${}.format got no date to print", call.name);
                let hint = format!("for today's date write ${}.get('yyyy')", call.name);
                self.warn(call.pos, message, hint);
            }
            "format" | "formatDate" | "formatInContactTimezone" if count == 2 => {
                self.pattern(call, 0);
                self.date(call, 1);
            }
            // Two styles, or a language.
            "format" | "get" if count > 1 => {
                let styles = call.text(0).zip(call.text(1));
                let styles = styles.filter(|(_, second)| !is_date(second));
                match styles {
                    Some(styles) => self.styles(call, styles),
                    None => {
                        self.pattern(call, 0);
                        self.language(call, 2);
                    }
                }
            }
            "get" => self.pattern(call, 0),
            "currentDate" => {
                self.pattern(call, 0);
                if let Some(name) = call.text(1)
                    && zone(name).is_none()
                {
                    let message = format!("'{}' is not a time zone", excerpt(name));
                    let hint = "write GMT+3, or a name such as Europe/Kyiv";
                    self.error(call.pos, message, hint.to_owned());
                }
            }
            "toDate" | "parse" if count == 2 => self.pattern(call, 0),
            "getMonth" => {
                let message = format!("${}.getMonth counts from 0, as in Java", call.name);
                self.warn(
                    call.pos,
                    message,
                    format!("write ${}.format('M', …)", call.name),
                );
            }
            "diff" => self.units(call),
            method if method.starts_with("add") => {
                self.pattern(call, 2);
                self.pattern(call, 3);
                if count == 2 {
                    self.date(call, 0);
                }
                if let Some(text) = call.text(1)
                    && Number::from_text(text).is_none()
                {
                    let message = format!(
                        "${}.{method} prints nothing for '{}': it is not a number",
                        call.name,
                        excerpt(text)
                    );
                    self.warn(call.pos, message, "it takes a date and an amount");
                }
            }
            _ => {}
        }
    }

    /// Checks a constant date style or pattern.
    fn pattern(&mut self, call: Call<'_>, index: usize) {
        let Some(pattern) = call.text(index) else {
            return;
        };
        if let Err(why) = checked(pattern) {
            let hint = if is_date(pattern) {
                format!("the pattern comes first, and then the date: ('dd.MM.yyyy', '{pattern}')")
            } else {
                "a style is short, medium, long or full, and a pattern such as 'dd.MM.yyyy HH:mm' \
                 has text in quotes: \"d 'of' MMMM\""
                    .to_owned()
            };
            self.error(call.pos, why, hint);
        } else if let Some((why, hint)) = find_likely_mistake(pattern) {
            self.warn(call.pos, format!("'{}': {why}", excerpt(pattern)), hint);
        }
    }

    /// Checks a constant date.
    fn date(&mut self, call: Call<'_>, index: usize) {
        if let Some(text) = call.text(index)
            && !is_date(text)
        {
            let message = format!(
                "${}.{} prints nothing for '{}': it is not a date",
                call.name,
                call.method,
                excerpt(text)
            );
            let hint = "write 2026-12-31, 2026-12-31T23:59 or 31/12/2026, or read it by its pattern: \
                        $date.toDate('MM/dd/yyyy', '12/31/2026')";
            self.warn(call.pos, message, hint);
        }
    }

    fn styles(&mut self, call: Call<'_>, (date, time): (&str, &str)) {
        for style in [date, time] {
            if Style::named(style).is_none() {
                let message = format!("'{}' is not a date style", excerpt(style));
                let hint = "a style is short, medium, long or full; the first is for the date, the \
                            second for the time";
                return self.error(call.pos, message, hint.to_owned());
            }
        }
    }

    fn language(&mut self, call: Call<'_>, index: usize) {
        if let Some(tag) = call.text(index)
            && Locale::of(tag).is_none()
        {
            let message = format!("'{}' is not a known language", excerpt(tag));
            self.error(
                call.pos,
                message,
                "write a tag such as uk or pt-BR".to_owned(),
            );
        }
    }

    /// Checks the unit of a difference, and the pattern of both dates.
    fn units(&mut self, call: Call<'_>) {
        let texts: Vec<_> = (2..call.arguments.len())
            .map(|index| call.text(index))
            .collect();
        let is_unit = |text: &Option<&str>| text.is_none_or(|text| Unit::named(text).is_some());
        if !texts.iter().any(is_unit) {
            let unit = texts.last().copied().flatten().unwrap_or_default();
            let message = format!("'{}' is not a unit of time", excerpt(unit));
            let hint = "a unit is YEARS, MONTHS, WEEKS, DAYS, HOURS, MINUTES or SECONDS";
            return self.error(call.pos, message, hint.to_owned());
        }
        for (index, text) in texts.iter().enumerate() {
            if !is_unit(text) {
                self.pattern(call, index + 2);
            }
        }
    }
}

fn is_date(text: &str) -> bool {
    Date::guess(text, chrono_tz::Tz::UTC).is_some()
}
