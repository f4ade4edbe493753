//! Parameters of an upload: defaults for missing columns, and how to read the file. They come from
//! the query or from the form fields before the file.

use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use crate::problem::{Kind, Problem};
use crate::request::parse_query;
use promoflow_model::pool::DateFormat;
use promoflow_tabular::{CsvOptions, StatedColumn};

/// Parameters of an upload.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct UploadParams {
    /// CSV: type of the codes if the file has no such column.
    #[serde(rename = "type")]
    pub(super) code_type: Option<String>,
    /// CSV: discount of the codes if the file has no such column.
    #[serde(default, deserialize_with = "crate::request::deserialize_discount")]
    #[param(maximum = 99)]
    pub(super) discount: Option<u8>,
    /// CSV: expiration date of the codes if the file has no such column.
    pub(super) expiration_date: Option<String>,
    /// CSV: true retires the codes if the file has no such column.
    pub(super) in_use: Option<bool>,
    /// CSV: column delimiter, one character or `tab`. By default, the first line determines whether
    /// it is comma, semicolon or tab.
    pub(super) delimiter: Option<String>,
    /// CSV: true if the first line is a row, not a header. Columns are then numbered, as in
    /// `code=1`.
    pub(super) no_header: Option<bool>,
    /// CSV: column mapping: a field, `=` and the column's heading, such as `code=Coupon Code`, or
    /// `ignore=Notes` for a column to skip. May be repeated.
    pub(super) column: Vec<String>,
    /// Date format, such as `DD.MM.YYYY`. By default, only unambiguous dates are accepted.
    pub(super) date_format: Option<String>,
    /// CSV: all or nothing: if any row is invalid, no row is imported.
    pub(super) strict: Option<bool>,
    /// Dry run: change nothing and report how many rows would be imported.
    pub(super) dry_run: Option<bool>,
    /// Name of the upload in the history, such as the file's name.
    pub(super) source: Option<String>,
}

impl UploadParams {
    /// Names of the parameters.
    pub(super) const NAMES: [&'static str; 11] = [
        "type",
        "discount",
        "expirationDate",
        "inUse",
        "delimiter",
        "noHeader",
        "column",
        "dateFormat",
        "strict",
        "dryRun",
        "source",
    ];

    /// Merges the fields of a form. A parameter with different values in the query and the form is
    /// an error.
    pub(super) fn with_form(self, fields: &[(String, String)]) -> Result<UploadParams, Problem> {
        let form = UploadParams::from_pairs(fields.iter().cloned(), "form")?;
        let column = match (self.column.is_empty(), form.column.is_empty()) {
            (true, _) => form.column,
            (false, true) => self.column,
            (false, false) => {
                merge("column", Some(self.column), Some(form.column))?.unwrap_or_default()
            }
        };
        Ok(UploadParams {
            column,
            delimiter: merge("delimiter", self.delimiter, form.delimiter)?,
            no_header: merge("noHeader", self.no_header, form.no_header)?,
            date_format: merge("dateFormat", self.date_format, form.date_format)?,
            code_type: merge("type", self.code_type, form.code_type)?,
            discount: merge("discount", self.discount, form.discount)?,
            expiration_date: merge("expirationDate", self.expiration_date, form.expiration_date)?,
            in_use: merge("inUse", self.in_use, form.in_use)?,
            strict: merge("strict", self.strict, form.strict)?,
            dry_run: merge("dryRun", self.dry_run, form.dry_run)?,
            source: merge("source", self.source, form.source)?,
        })
    }

    /// Parses names and values. `what` names their origin in error messages.
    fn from_pairs(
        pairs: impl Iterator<Item = (String, String)>,
        what: &str,
    ) -> Result<UploadParams, Problem> {
        let (params, column) = parse_with_columns(pairs, what)?;
        Ok(UploadParams { column, ..params })
    }

    /// Returns the options for reading CSV.
    pub(super) fn csv(&self) -> Result<CsvOptions, Problem> {
        csv_options(self.delimiter.as_deref(), self.no_header, &self.column)
    }

    /// Returns the date format.
    pub(super) fn date_format(&self) -> Result<Option<DateFormat>, Problem> {
        let format = self.date_format.as_deref().map(str::parse).transpose();
        format.map_err(|error| invalid_param("dateFormat", error))
    }

    pub(super) fn dry_run(&self) -> bool {
        self.dry_run.unwrap_or(false)
    }

    pub(super) fn strict(&self) -> bool {
        self.strict.unwrap_or(false)
    }

    /// Returns the upload's name for the history.
    pub(super) fn source(&self) -> String {
        let name = self.source.as_deref().unwrap_or("api");
        name.chars().filter(|c| !c.is_control()).take(200).collect()
    }
}

fn merge<T: PartialEq>(
    name: &str,
    query: Option<T>,
    form: Option<T>,
) -> Result<Option<T>, Problem> {
    match (query, form) {
        (Some(query), Some(form)) if query != form => {
            let detail = format!(
                "{name}: the query and the form have different values; set it in only one of them"
            );
            Err(Problem::new(Kind::InvalidRequest, detail).field(name))
        }
        (query, form) => Ok(query.or(form)),
    }
}

impl<S: Sync> FromRequestParts<S> for UploadParams {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<UploadParams, Problem> {
        UploadParams::from_pairs(query_pairs(parts), "query")
    }
}

/// Parses the parameters of a query or form. Returns the values of `column` separately, because it
/// may be repeated.
pub(crate) fn parse_with_columns<T: DeserializeOwned>(
    pairs: impl Iterator<Item = (String, String)>,
    what: &str,
) -> Result<(T, Vec<String>), Problem> {
    let (columns, others): (Vec<_>, Vec<_>) = pairs.partition(|(name, _)| name == "column");
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(others)
        .finish();
    let uri: Uri = format!("/?{query}").parse().map_err(Problem::internal)?;
    let columns = columns.into_iter().map(|(_, value)| value).collect();
    Ok((parse_query(&uri, what)?, columns))
}

/// Returns the query parameters of a request in order.
pub(crate) fn query_pairs(parts: &Parts) -> impl Iterator<Item = (String, String)> {
    form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned()
}

/// Builds the options for reading CSV from query parameters.
pub(crate) fn csv_options(
    delimiter: Option<&str>,
    no_header: Option<bool>,
    columns: &[String],
) -> Result<CsvOptions, Problem> {
    let delimiter = delimiter.map(CsvOptions::parse_delimiter).transpose();
    let columns = columns
        .iter()
        .map(|column| StatedColumn::parse(column))
        .collect();
    Ok(CsvOptions {
        delimiter: delimiter.map_err(|error| invalid_param("delimiter", error))?,
        no_header: no_header.unwrap_or(false),
        columns: Result::map_err(columns, |error| invalid_param("column", error))?,
    })
}

fn invalid_param(name: &str, error: impl std::fmt::Display) -> Problem {
    Problem::new(Kind::InvalidRequest, format!("{name}: {error}")).field(name)
}
