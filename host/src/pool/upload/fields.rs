//! What a value must look like, whichever format it came in.

use std::collections::HashMap;

use super::UploadOptions;
use super::header::{Column, HEADER, hint};
use crate::clock::Timestamp;
use crate::pool::{Calendar, DEFAULT_TYPE, MAX_CODE_CHARS, MAX_DISCOUNT, MAX_TYPE_CHARS, NewCode};
use crate::upload::{Table, UploadError, Value, shorten};

/// Dates repeat from row to row and cost more to read than the rest of the row. So many
/// different ones are remembered; beyond, the memory is emptied.
const DATES: usize = 1024;

/// The longest date that is remembered: to the nanosecond and with an offset.
const DATE_BYTES: usize = 40;

/// What is stated: by a row, by the call around it, or by the options.
#[derive(Clone, Debug, Default)]
pub(in crate::pool) struct Stated {
    code: Option<String>,
    code_type: Option<String>,
    discount: Option<u8>,
    expires: Option<Timestamp>,
    in_use: Option<bool>,
}

/// Reads values, and knows what the options fill in.
pub(in crate::pool) struct Judge {
    calendar: Calendar,
    dates: HashMap<String, Timestamp>,
    fill: Stated,
}

impl Judge {
    /// Fails where a fill is out of bounds.
    pub(super) fn new(options: UploadOptions, calendar: Calendar) -> Result<Judge, UploadError> {
        let fault = |field: Column| {
            move |message| UploadError::Fill {
                field: field.name(),
                message,
            }
        };
        let fill_type = options.code_type.as_deref().map(read_type).transpose();
        if let Some(discount) = options.discount {
            read_discount(&discount.to_string()).map_err(fault(Column::Discount))?;
        }
        let fill = Stated {
            code: None,
            code_type: fill_type.map_err(fault(Column::Type))?,
            discount: options.discount,
            expires: options.expires,
            in_use: options.in_use,
        };
        Ok(Judge {
            calendar,
            dates: HashMap::new(),
            fill,
        })
    }

    fn read_date(&mut self, text: &str) -> Result<Timestamp, String> {
        if text.is_empty() {
            return Ok(Timestamp::NEVER);
        }
        if let Some(known) = self.dates.get(text) {
            return Ok(*known);
        }
        // Years of six digits lie where adding a day leaves the range that chrono can tell.
        let digits = text.trim_start_matches(['+', '-']).bytes();
        if digits.take_while(u8::is_ascii_digit).count() > 5 {
            return Err(format!(
                "`{}` is not a date; expected one like 2026-12-31 or 2026-12-31T23:59",
                shorten(text)
            ));
        }
        let date = self
            .calendar
            .parse_expiry(text)
            .map_err(|error| error.to_string())?;
        // A fraction of a second may have any number of digits; such a date is not worth keeping.
        if text.len() <= DATE_BYTES {
            if self.dates.len() == DATES {
                self.dates.clear();
            }
            self.dates.insert(text.to_owned(), date);
        }
        Ok(date)
    }
}

impl Table for Judge {
    type Column = Column;
    type Stated = Stated;
    type Row = NewCode;

    const ROWS: &'static str = "promocodes";
    const HEADER: &'static str = HEADER;
    const OR_ELSE: &'static str = ", or codes alone, one a line";
    const ITEM: &'static str = "a code; expected a text in quotes or an object";

    fn column(&self, name: &str) -> Option<Column> {
        Column::named(name)
    }

    fn heading(&self, text: &str) -> Option<Column> {
        Column::heading(text)
    }

    fn hint(&self, name: &str, others: &[&'static str]) -> String {
        hint(name, others)
    }

    fn name(column: &Column) -> &str {
        column.name()
    }

    /// A lone cell is a code already.
    fn headless(&self, cells: &[&str]) -> Option<Vec<Option<Column>>> {
        let mut columns = vec![None; cells.len()];
        let mut values = (0..cells.len()).filter(|at| !cells[*at].is_empty());
        let (Some(only), None) = (values.next(), values.next()) else {
            return None;
        };
        columns[only] = Some(Column::Code);
        Some(columns)
    }

    fn lacks(&self, columns: &[Option<Column>], header: &str) -> Option<(String, String)> {
        let message = || {
            format!("there is no `code` column in `{header}`; expected a header such as {HEADER}")
        };
        (!columns.contains(&Some(Column::Code))).then(|| ("code".to_owned(), message()))
    }

    fn alone(&self) -> Option<Column> {
        Some(Column::Code)
    }

    fn is_common(column: &Column) -> bool {
        *column != Column::Code
    }

    fn is_complete(stated: &Stated) -> bool {
        stated.code_type.is_some()
            && stated.discount.is_some()
            && stated.expires.is_some()
            && stated.in_use.is_some()
    }

    fn fill(&self) -> &Stated {
        &self.fill
    }

    fn or(stated: Stated, other: &Stated) -> Stated {
        Stated {
            code: stated.code,
            code_type: stated.code_type.or_else(|| other.code_type.clone()),
            discount: stated.discount.or(other.discount),
            expires: stated.expires.or(other.expires),
            in_use: stated.in_use.or(other.in_use),
        }
    }

    /// An empty text states the default.
    fn read(&mut self, stated: &mut Stated, column: &Column, text: &str) -> Result<(), String> {
        match column {
            Column::Code => stated.code = Some(read_code(text)?),
            Column::ExpirationDate => stated.expires = Some(self.read_date(text)?),
            Column::Discount => stated.discount = Some(read_discount(text)?),
            Column::Type => stated.code_type = Some(read_type(text)?),
            Column::InUse => stated.in_use = Some(read_in_use(text)?),
        }
        Ok(())
    }

    fn read_value(
        &mut self,
        stated: &mut Stated,
        column: &Column,
        value: &Value<'_>,
    ) -> Result<(), String> {
        let is_text = matches!(column, Column::Code | Column::Type);
        match value {
            Value::Text(text) => self.read(stated, column, text.trim()),
            Value::Word(word) if !is_text => self.read(stated, column, word),
            other => {
                let found = other.described();
                let expected = if is_text {
                    "a text in quotes"
                } else {
                    "a single value"
                };
                Err(format!("found {found}; expected {expected}"))
            }
        }
    }

    fn finish(
        &self,
        line: u64,
        stated: Stated,
        fill: &Stated,
    ) -> Result<NewCode, (&'static str, String)> {
        let stated = Judge::or(stated, fill);
        match stated.code {
            Some(code) => Ok(NewCode {
                line,
                code,
                code_type: stated.code_type,
                discount: stated.discount,
                expires: stated.expires,
                in_use: stated.in_use,
            }),
            None => Err((
                Column::Code.name(),
                "there is no code; expected one".to_owned(),
            )),
        }
    }
}

fn read_code(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("the code is empty; expected one".to_owned());
    }
    read_text(text, "code", MAX_CODE_CHARS)
}

fn read_type(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(DEFAULT_TYPE.to_owned());
    }
    read_text(text, "type", MAX_TYPE_CHARS)
}

fn read_text(text: &str, what: &str, most: usize) -> Result<String, String> {
    // A character takes a byte at least.
    if text.len() > most && text.chars().count() > most {
        let found = text.chars().count();
        let short = shorten(text);
        return Err(format!(
            "`{short}` has {found} characters; a {what} has at most {most}"
        ));
    }
    if let Some(control) = text.chars().find(|c| c.is_control()) {
        let shown = shorten(text).escape_default().to_string();
        let found = control.escape_default();
        return Err(format!(
            "`{shown}` holds the control character {found}; expected a {what} without"
        ));
    }
    Ok(text.to_owned())
}

fn read_discount(text: &str) -> Result<u8, String> {
    if text.is_empty() {
        return Ok(0);
    }
    let number = text
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok());
    match number.flatten() {
        Some(discount) if discount <= MAX_DISCOUNT => Ok(discount),
        _ => Err(format!(
            "`{}` is not a discount; expected a whole number from 0 to {MAX_DISCOUNT}",
            shorten(text)
        )),
    }
}

fn read_in_use(text: &str) -> Result<bool, String> {
    let is = |words: [&str; 3]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    if text.is_empty() || is(["false", "0", "no"]) {
        Ok(false)
    } else if is(["true", "1", "yes"]) {
        Ok(true)
    } else {
        let short = shorten(text);
        Err(format!(
            "`{short}` is neither true nor false; expected true, false, 1, 0, yes or no"
        ))
    }
}
