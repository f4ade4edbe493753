//! What fills columns that a file lacks, and how it is taken: by the query, or by the fields of a
//! form before its file.

use axum::http::Uri;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::api::problem::{Kind, Problem};
use crate::api::request::stated;

/// What fills columns that a file lacks, and how to take it.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Fill {
    /// CSV: the type of the codes, where the file has no such column.
    #[serde(rename = "type")]
    pub(super) code_type: Option<String>,
    /// CSV: the discount of the codes, where the file has no such column.
    #[serde(default, deserialize_with = "crate::api::request::discount")]
    #[param(maximum = 99)]
    pub(super) discount: Option<u8>,
    /// CSV: when the codes expire, where the file has no such column.
    pub(super) expiration_date: Option<String>,
    /// CSV: true sets the codes aside, where the file has no such column.
    pub(super) in_use: Option<bool>,
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
pub(in crate::api) struct UploadForm {
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
    pub(super) const NAMES: [&'static str; 7] = [
        "type",
        "discount",
        "expirationDate",
        "inUse",
        "strict",
        "dryRun",
        "source",
    ];

    /// With what the fields of a form state, by their names.
    pub(super) fn with_form(self, fields: &[(String, String)]) -> Result<Fill, Problem> {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let uri: Uri = format!("/?{query}").parse().map_err(Problem::internal)?;
        let form: Fill = stated(&uri, "form")?;
        Ok(Fill {
            code_type: either("type", self.code_type, form.code_type)?,
            discount: either("discount", self.discount, form.discount)?,
            expiration_date: either("expirationDate", self.expiration_date, form.expiration_date)?,
            in_use: either("inUse", self.in_use, form.in_use)?,
            strict: either("strict", self.strict, form.strict)?,
            dry_run: either("dryRun", self.dry_run, form.dry_run)?,
            source: either("source", self.source, form.source)?,
        })
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
