//! What a value must look like, whichever format it came in.

use std::collections::HashMap;

use super::header::{Column, shorten};
use super::{Row, UploadError, UploadOptions};
use crate::clock::Timestamp;
use crate::pool::{
    Calendar, DEFAULT_TYPE, MAX_CODE_CHARS, MAX_DISCOUNT, MAX_TYPE_CHARS, NewCode, RowError,
};

/// Dates repeat from row to row and cost more to read than the rest of the row. So many
/// different ones are remembered; beyond, the memory is emptied.
const DATES: usize = 1024;

/// The longest date that is remembered: to the nanosecond and with an offset.
const DATE_BYTES: usize = 40;

/// An object may hold any number of keys that are none, and the first few tell enough.
const MOST_ERRORS: usize = 20;

/// What is stated besides the code: by a row, by the call around it, or by the options.
#[derive(Clone, Debug, Default)]
pub(super) struct Stated {
    code_type: Option<String>,
    discount: Option<u8>,
    expires: Option<Timestamp>,
    in_use: Option<bool>,
}

impl Stated {
    /// Whether nothing is left to state.
    pub(super) fn is_complete(&self) -> bool {
        self.code_type.is_some()
            && self.discount.is_some()
            && self.expires.is_some()
            && self.in_use.is_some()
    }

    /// What this leaves open is taken from the other.
    pub(super) fn or(self, other: &Stated) -> Stated {
        Stated {
            code_type: self.code_type.or_else(|| other.code_type.clone()),
            discount: self.discount.or(other.discount),
            expires: self.expires.or(other.expires),
            in_use: self.in_use.or(other.in_use),
        }
    }
}

/// A row in the making.
#[derive(Debug)]
pub(super) struct Draft {
    line: u64,
    code: Option<String>,
    stated: Stated,
    errors: Vec<RowError>,
}

impl Draft {
    /// A row of which nothing is known but its line.
    pub(super) fn new(line: u64) -> Draft {
        Draft {
            line,
            code: None,
            stated: Stated::default(),
            errors: Vec::new(),
        }
    }

    /// Notes that a field, or the row where it is empty, is at fault.
    pub(super) fn reject(&mut self, field: &str, message: String) {
        if self.errors.len() < MOST_ERRORS {
            self.errors.push(RowError {
                line: self.line,
                field: field.to_owned(),
                message,
            });
        }
    }

    /// The row, with what it leaves open filled in.
    pub(super) fn finish(mut self, fill: &Stated) -> Row {
        if self.code.is_none() && self.errors.is_empty() {
            self.reject(
                Column::Code.name(),
                "there is no code; expected one".to_owned(),
            );
        }
        match self.code {
            Some(code) if self.errors.is_empty() => {
                let stated = self.stated.or(fill);
                Row::Accepted(NewCode {
                    line: self.line,
                    code,
                    code_type: stated.code_type,
                    discount: stated.discount,
                    expires: stated.expires,
                    in_use: stated.in_use,
                })
            }
            _ => Row::Rejected(self.errors),
        }
    }

    /// What was stated so far.
    pub(super) fn stated(&self) -> &Stated {
        &self.stated
    }

    /// What is at fault so far.
    pub(super) fn errors(&self) -> &[RowError] {
        &self.errors
    }
}

/// Reads values, and knows what the options fill in.
pub(super) struct Judge {
    calendar: Calendar,
    dates: HashMap<String, Timestamp>,
    pub(super) fill: Stated,
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

    /// Reads the text of a field into a row; an empty one states the default. The spaces around
    /// it are already gone.
    pub(super) fn read(&mut self, draft: &mut Draft, column: Column, text: &str) {
        let read = match column {
            Column::Code => read_code(text).map(|code| draft.code = Some(code)),
            Column::ExpirationDate => self
                .read_date(text)
                .map(|date| draft.stated.expires = Some(date)),
            Column::Discount => {
                read_discount(text).map(|discount| draft.stated.discount = Some(discount))
            }
            Column::Type => read_type(text).map(|name| draft.stated.code_type = Some(name)),
            Column::InUse => read_in_use(text).map(|in_use| draft.stated.in_use = Some(in_use)),
        };
        if let Err(message) = read {
            draft.reject(column.name(), message);
        }
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
