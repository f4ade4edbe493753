//! Checks of values, for all file formats.

use std::collections::HashMap;

use super::UploadOptions;
use super::header::{self, Column, HEADER, hint};
use super::headings;
use crate::clock::Timestamp;
use crate::pool::{
    Calendar, DEFAULT_TYPE, DateFormat, MAX_CODE_CHARS, MAX_DISCOUNT, MAX_TYPE_CHARS, NewCode,
    ParseDateError,
};
use promoflow_tabular::{
    RowSchema, UploadError, Value, clean_exact, clean_readable, describe_non_value, parse_bool,
    shorten,
};

/// Maximum number of cached dates. Dates repeat from row to row and cost more to parse than the
/// rest of the row. A full cache is cleared.
const MAX_CACHED_DATES: usize = 1024;

/// The longest date that is cached: with nanoseconds and an offset.
const MAX_CACHED_DATE_BYTES: usize = 40;

/// Number of digits that spreadsheets keep; they replace the rest by zeros.
const SPREADSHEET_DIGITS: usize = 15;

/// Values that a row, the call around it, or the options give.
#[derive(Clone, Debug, Default)]
pub struct PartialRow {
    code: Option<String>,
    code_type: Option<String>,
    discount: Option<u8>,
    expires: Option<Timestamp>,
    in_use: Option<bool>,
}

/// Reads values and holds the defaults.
pub struct CodeSchema {
    calendar: Calendar,
    date_format: Option<DateFormat>,
    dates: HashMap<String, Timestamp>,
    defaults: PartialRow,
    /// The error for an ambiguous date, if there was one.
    ambiguous: Option<String>,
    /// At least one date had no known format.
    has_unknown_dates: bool,
    /// The number of codes that are numbers longer than spreadsheets keep, and how many of them end
    /// in zeros only.
    long_numbers: (u64, u64),
}

impl CodeSchema {
    /// Fails if a default is out of range.
    pub(super) fn new(
        options: UploadOptions,
        calendar: Calendar,
    ) -> Result<CodeSchema, UploadError> {
        let default_error = |field: Column| {
            move |message| UploadError::DefaultValue {
                field: field.name(),
                message,
            }
        };
        let default_type = options.code_type.as_deref().map(read_type).transpose();
        if let Some(discount) = options.discount {
            read_discount(&discount.to_string()).map_err(default_error(Column::Discount))?;
        }
        let defaults = PartialRow {
            code: None,
            code_type: default_type.map_err(default_error(Column::Type))?,
            discount: options.discount,
            expires: options.expires,
            in_use: options.in_use,
        };
        Ok(CodeSchema {
            calendar,
            date_format: options.date_format,
            dates: HashMap::new(),
            defaults,
            ambiguous: None,
            has_unknown_dates: false,
            long_numbers: (0, 0),
        })
    }

    fn read_date(&mut self, text: &str) -> Result<Timestamp, String> {
        let text = &*clean_exact(text);
        if text.is_empty() {
            return Ok(Timestamp::NEVER);
        }
        if let Some(known) = self.dates.get(text) {
            return Ok(*known);
        }
        let read = self
            .calendar
            .parse_expiry_as(text, self.date_format.as_ref());
        let date = read.map_err(|error| {
            match error {
                ParseDateError::Ambiguous { .. } => self.ambiguous = Some(error.to_string()),
                ParseDateError::NotADate(_) => self.has_unknown_dates = true,
            }
            error.to_string()
        })?;
        // A fraction of a second may have any number of digits; such a date is not worth caching.
        if text.len() <= MAX_CACHED_DATE_BYTES {
            if self.dates.len() == MAX_CACHED_DATES {
                self.dates.clear();
            }
            self.dates.insert(text.to_owned(), date);
        }
        Ok(date)
    }

    fn read_code(&mut self, text: &str) -> Result<String, String> {
        let code = read_code(text)?;
        if code.len() > SPREADSHEET_DIGITS && code.bytes().all(|byte| byte.is_ascii_digit()) {
            self.long_numbers.0 += 1;
            let rest = code[SPREADSHEET_DIGITS..].bytes();
            self.long_numbers.1 += u64::from({ rest }.all(|byte| byte == b'0'));
        }
        Ok(code)
    }
}

impl RowSchema for CodeSchema {
    type Column = Column;
    type PartialRow = PartialRow;
    type Row = NewCode;

    const ROWS: &'static str = "promocodes";
    const HEADER: &'static str = HEADER;
    const PLURAL: &'static str = "codes";
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

    fn suggested(&self, heading: &str) -> Option<Column> {
        headings::suggested(heading).or_else(|| header::find_nearest_column(heading))
    }

    fn is_made_of_words(&self, text: &str) -> bool {
        headings::is_made_of_words(text)
    }

    fn missing_column(&self, columns: &[Option<Column>], header: &str) -> Option<(String, String)> {
        let message = || {
            format!("there is no `code` column in `{header}`; expected a header such as {HEADER}")
        };
        (!columns.contains(&Some(Column::Code))).then(|| ("code".to_owned(), message()))
    }

    fn bare_column(&self) -> Option<Column> {
        Some(Column::Code)
    }

    fn stop(&self) -> Option<(&'static str, String)> {
        let message = self.ambiguous.clone()?;
        Some((Column::ExpirationDate.name(), message))
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.has_unknown_dates {
            warnings.push(
                "some dates were not recognised: name their format, such as `--date-format \
                 DD.MM.YYYY` (over HTTP `dateFormat=DD.MM.YYYY`)"
                    .to_owned(),
            );
        }
        let (long, rounded) = self.long_numbers;
        if long > 1 && long == rounded {
            warnings.push(format!(
                "{long} codes have more than {SPREADSHEET_DIGITS} digits, and the further digits \
                 are all zeros: a spreadsheet has probably rounded them"
            ));
        }
        warnings
    }

    fn is_common(column: &Column) -> bool {
        *column != Column::Code
    }

    fn is_complete(stated: &PartialRow) -> bool {
        stated.code_type.is_some()
            && stated.discount.is_some()
            && stated.expires.is_some()
            && stated.in_use.is_some()
    }

    fn defaults(&self) -> &PartialRow {
        &self.defaults
    }

    fn merge(stated: PartialRow, other: &PartialRow) -> PartialRow {
        PartialRow {
            code: stated.code,
            code_type: stated.code_type.or_else(|| other.code_type.clone()),
            discount: stated.discount.or(other.discount),
            expires: stated.expires.or(other.expires),
            in_use: stated.in_use.or(other.in_use),
        }
    }

    /// An empty text means the default.
    fn read(&mut self, stated: &mut PartialRow, column: &Column, text: &str) -> Result<(), String> {
        match column {
            Column::Code => stated.code = Some(self.read_code(text)?),
            Column::ExpirationDate => stated.expires = Some(self.read_date(text)?),
            Column::Discount => stated.discount = Some(read_discount(text)?),
            Column::Type => stated.code_type = Some(read_type(text)?),
            Column::InUse => stated.in_use = Some(read_in_use(text)?),
        }
        Ok(())
    }

    fn read_value(
        &mut self,
        stated: &mut PartialRow,
        column: &Column,
        value: &Value<'_>,
    ) -> Result<(), String> {
        let is_text = matches!(column, Column::Code | Column::Type);
        match value {
            Value::Text(text) => self.read(stated, column, text),
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
        stated: PartialRow,
        defaults: &PartialRow,
    ) -> Result<NewCode, (&'static str, String)> {
        let stated = CodeSchema::merge(stated, defaults);
        match stated.code {
            Some(code) => Ok(NewCode {
                line,
                code,
                code_type: stated.code_type,
                discount: stated.discount,
                expires: stated.expires,
                in_use: stated.in_use,
            }),
            None => Err((Column::Code.name(), "the code is missing".to_owned())),
        }
    }
}

fn read_code(text: &str) -> Result<String, String> {
    let code = clean_exact(text);
    if code.is_empty() {
        return Err("the code is empty".to_owned());
    }
    if let Some(what) = describe_non_value(&code) {
        return Err(format!("`{}` is not a code but {what}", shorten(&code)));
    }
    read_text(&code, "code", MAX_CODE_CHARS)
}

fn read_type(text: &str) -> Result<String, String> {
    let code_type = clean_readable(text);
    if code_type.is_empty() {
        return Ok(DEFAULT_TYPE.to_owned());
    }
    read_text(&code_type, "type", MAX_TYPE_CHARS)
}

fn read_text(text: &str, what: &str, most: usize) -> Result<String, String> {
    // A character has at least one byte.
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
            "`{shown}` contains the control character {found}; expected a {what} without control \
             characters"
        ));
    }
    Ok(text.to_owned())
}

/// Reads an integer, optionally with a percent sign or a zero fraction: `10`, `10 %`, `10.0`.
fn read_discount(text: &str) -> Result<u8, String> {
    let text = clean_exact(text);
    if text.is_empty() {
        return Ok(0);
    }
    let number = text.strip_suffix('%').map_or(&*text, str::trim_end);
    let whole = match number.split_once(['.', ',']) {
        // Three zeros are a thousands group.
        Some((whole, "0" | "00")) => whole,
        _ => number,
    };
    let is_whole = !whole.is_empty() && whole.bytes().all(|byte| byte.is_ascii_digit());
    match is_whole.then(|| whole.parse().ok()).flatten() {
        Some(discount) if discount <= MAX_DISCOUNT => Ok(discount),
        _ => Err(format!(
            "`{}` is not a discount; expected a whole number from 0 to {MAX_DISCOUNT}",
            shorten(&text)
        )),
    }
}

fn read_in_use(text: &str) -> Result<bool, String> {
    let text = clean_exact(text);
    match text.is_empty() {
        true => Ok(false),
        false => parse_bool(&text),
    }
}
