//! The names of columns.

use super::headings;
use promoflow_tabular::{fold, nearest};

/// The header of a complete file, for error messages and exports.
pub(in crate::pool) const HEADER: &str = "code,expirationDate,discount,type,inUse";

/// A column of CSV, or a key of a JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    Code,
    ExpirationDate,
    Discount,
    Type,
    InUse,
}

impl Column {
    /// All columns, in the order of [`HEADER`].
    const ALL: [Column; 5] = [
        Column::Code,
        Column::ExpirationDate,
        Column::Discount,
        Column::Type,
        Column::InUse,
    ];

    /// Returns the name used in uploads and errors.
    pub(super) fn name(self) -> &'static str {
        match self {
            Column::Code => "code",
            Column::ExpirationDate => "expirationDate",
            Column::Discount => "discount",
            Column::Type => "type",
            Column::InUse => "inUse",
        }
    }

    /// Returns the column with this name, ignoring case and any spaces, `_` and `-` between words.
    pub(super) fn named(text: &str) -> Option<Column> {
        // Most names are written exactly like this, and comparing is cheaper than folding.
        let exact = Column::ALL.into_iter().find(|column| column.name() == text);
        exact.or_else(|| {
            let folded = fold(text);
            let same = |column: &Column| column.name().eq_ignore_ascii_case(&folded);
            Column::ALL.into_iter().find(same)
        })
    }

    /// Like [`named`](Self::named), for a heading: also accepts other languages and the names of
    /// other systems.
    pub(super) fn heading(text: &str) -> Option<Column> {
        let exact = Column::ALL.into_iter().find(|column| column.name() == text);
        exact.or_else(|| headings::known(text))
    }
}

/// Returns the column whose name is most similar.
pub(super) fn find_nearest_column(text: &str) -> Option<Column> {
    nearest(text, Column::ALL.map(Column::name).into_iter()).and_then(Column::named)
}

/// Returns a "did you mean" suggestion for an unknown name, and the list of known names.
pub(super) fn hint(text: &str, others: &[&'static str]) -> String {
    let names = || others.iter().copied().chain(Column::ALL.map(Column::name));
    let all: Vec<&str> = names().collect();
    match nearest(text, names()) {
        Some(name) => format!("did you mean `{name}`? The fields are {}", all.join(", ")),
        None => format!("the fields are {}", all.join(", ")),
    }
}
