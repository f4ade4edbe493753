//! What fills columns that a file lacks, and how it is taken: by the query, or by the fields of a
//! form before its file.

use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::{IntoParams, ToSchema};

use crate::problem::{Kind, Problem};
use crate::request::stated;
use promoflow_model::pool::DateFormat;
use promoflow_tabular::{CsvOptions, StatedColumn};

/// What fills columns that a file lacks, and how to take it.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct Fill {
    /// CSV: the type of the codes, where the file has no such column.
    #[serde(rename = "type")]
    pub(super) code_type: Option<String>,
    /// CSV: the discount of the codes, where the file has no such column.
    #[serde(default, deserialize_with = "crate::request::discount")]
    #[param(maximum = 99)]
    pub(super) discount: Option<u8>,
    /// CSV: when the codes expire, where the file has no such column.
    pub(super) expiration_date: Option<String>,
    /// CSV: true sets the codes aside, where the file has no such column.
    pub(super) in_use: Option<bool>,
    /// CSV: what stands between columns: one character, or `tab`. Without it, the first line tells
    /// which of comma, semicolon and tab it is.
    pub(super) delimiter: Option<String>,
    /// CSV: true: the first line is a row, not a header. Columns have numbers then, as in `code=1`.
    pub(super) no_header: Option<bool>,
    /// CSV: what a column is: a field, `=` and the column's heading, such as `code=Coupon Code`, or
    /// `ignore=Notes` for one that is not read. May stand several times.
    pub(super) column: Vec<String>,
    /// How dates are written, such as `DD.MM.YYYY`. Without it, dates of one reading are read.
    pub(super) date_format: Option<String>,
    /// CSV: all or nothing: with one bad row, no row goes in.
    pub(super) strict: Option<bool>,
    /// Say what would happen, and change nothing: the answer tells how many rows would be taken.
    pub(super) dry_run: Option<bool>,
    /// What the history calls the upload, such as the name of the file.
    pub(super) source: Option<String>,
}

/// A form with a file of codes. Its other fields stand before the file, and say what the query
/// may say; an empty one says nothing.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "it describes the form")]
#[serde(rename_all = "camelCase")]
pub(crate) struct UploadForm {
    /// The type of the codes, where the file has no such column.
    #[serde(rename = "type")]
    code_type: Option<String>,
    /// The discount of the codes, where the file has no such column.
    #[schema(maximum = 99)]
    discount: Option<u8>,
    /// When the codes expire, where the file has no such column.
    expiration_date: Option<String>,
    /// True sets the codes aside, where the file has no such column.
    in_use: Option<bool>,
    /// What stands between columns: one character, or `tab`.
    delimiter: Option<String>,
    /// True: the first line is a row, not a header.
    no_header: Option<bool>,
    /// What a column is, such as `code=Coupon Code` or `ignore=Notes`. May stand several times.
    column: Option<Vec<String>>,
    /// How dates are written, such as `DD.MM.YYYY`.
    date_format: Option<String>,
    /// All or nothing: with one bad row, no row goes in.
    strict: Option<bool>,
    /// Say what would happen, and change nothing.
    dry_run: Option<bool>,
    /// What the history calls the upload, instead of the name of the file.
    source: Option<String>,
    /// The CSV file; the last field.
    #[schema(content_media_type = "text/csv")]
    file: String,
}

impl Fill {
    /// The names of what may be stated.
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

    /// With what the fields of a form state, by their names.
    pub(super) fn with_form(self, fields: &[(String, String)]) -> Result<Fill, Problem> {
        let form = Fill::of(fields.iter().cloned(), "form")?;
        let column = match (self.column.is_empty(), form.column.is_empty()) {
            (true, _) => form.column,
            (false, true) => self.column,
            (false, false) => {
                either("column", Some(self.column), Some(form.column))?.unwrap_or_default()
            }
        };
        Ok(Fill {
            column,
            delimiter: either("delimiter", self.delimiter, form.delimiter)?,
            no_header: either("noHeader", self.no_header, form.no_header)?,
            date_format: either("dateFormat", self.date_format, form.date_format)?,
            code_type: either("type", self.code_type, form.code_type)?,
            discount: either("discount", self.discount, form.discount)?,
            expiration_date: either("expirationDate", self.expiration_date, form.expiration_date)?,
            in_use: either("inUse", self.in_use, form.in_use)?,
            strict: either("strict", self.strict, form.strict)?,
            dry_run: either("dryRun", self.dry_run, form.dry_run)?,
            source: either("source", self.source, form.source)?,
        })
    }

    /// Of names and values; `what`: where they came from, for messages.
    fn of(pairs: impl Iterator<Item = (String, String)>, what: &str) -> Result<Fill, Problem> {
        let (fill, column) = stated_with_columns(pairs, what)?;
        Ok(Fill { column, ..fill })
    }

    /// What is stated of the file.
    pub(super) fn csv(&self) -> Result<CsvOptions, Problem> {
        csv_options(self.delimiter.as_deref(), self.no_header, &self.column)
    }

    /// How dates are written.
    pub(super) fn date_format(&self) -> Result<Option<DateFormat>, Problem> {
        let format = self.date_format.as_deref().map(str::parse).transpose();
        format.map_err(|error| unfit("dateFormat", error))
    }

    pub(super) fn dry_run(&self) -> bool {
        self.dry_run.unwrap_or(false)
    }

    pub(super) fn strict(&self) -> bool {
        self.strict.unwrap_or(false)
    }

    /// The source, for the history.
    pub(super) fn source(&self) -> String {
        let name = self.source.as_deref().unwrap_or("api");
        name.chars().filter(|c| !c.is_control()).take(200).collect()
    }
}

fn either<T: PartialEq>(
    name: &str,
    query: Option<T>,
    form: Option<T>,
) -> Result<Option<T>, Problem> {
    match (query, form) {
        (Some(query), Some(form)) if query != form => {
            let detail = format!(
                "{name}: the query and the form give different values; state it in one of them"
            );
            Err(Problem::new(Kind::InvalidRequest, detail).field(name))
        }
        (query, form) => Ok(query.or(form)),
    }
}

impl<S: Sync> FromRequestParts<S> for Fill {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Fill, Problem> {
        Fill::of(query_of(parts), "query")
    }
}

/// The parameters of a query or a form, and apart from them those that state a column, which may
/// stand several times.
pub(crate) fn stated_with_columns<T: DeserializeOwned>(
    pairs: impl Iterator<Item = (String, String)>,
    what: &str,
) -> Result<(T, Vec<String>), Problem> {
    let (columns, others): (Vec<_>, Vec<_>) = pairs.partition(|(name, _)| name == "column");
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(others)
        .finish();
    let uri: Uri = format!("/?{query}").parse().map_err(Problem::internal)?;
    let columns = columns.into_iter().map(|(_, value)| value).collect();
    Ok((stated(&uri, what)?, columns))
}

/// The parameters of the query of a request, in their order.
pub(crate) fn query_of(parts: &Parts) -> impl Iterator<Item = (String, String)> {
    form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned()
}

/// What is stated of a CSV file, by the parameters of a query.
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
        delimiter: delimiter.map_err(|error| unfit("delimiter", error))?,
        no_header: no_header.unwrap_or(false),
        columns: Result::map_err(columns, |error| unfit("column", error))?,
    })
}

fn unfit(name: &str, error: impl std::fmt::Display) -> Problem {
    Problem::new(Kind::InvalidRequest, format!("{name}: {error}")).field(name)
}
