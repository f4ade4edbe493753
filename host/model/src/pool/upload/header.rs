//! The columns' names.

use super::headings;
use promoflow_tabular::{fold, nearest};

/// The header of a full file, as it is asked for in messages and written by exports.
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
    /// In the order of [`HEADER`].
    const ALL: [Column; 5] = [
        Column::Code,
        Column::ExpirationDate,
        Column::Discount,
        Column::Type,
        Column::InUse,
    ];

    /// As uploads and errors name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Column::Code => "code",
            Column::ExpirationDate => "expirationDate",
            Column::Discount => "discount",
            Column::Type => "type",
            Column::InUse => "inUse",
        }
    }

    /// The column of this name, in any case, with or without spaces, `_` and `-` between words.
    pub(super) fn named(text: &str) -> Option<Column> {
        // Most names are written as here, and comparing costs less than folding.
        let exact = Column::ALL.into_iter().find(|column| column.name() == text);
        exact.or_else(|| {
            let folded = fold(text);
            let same = |column: &Column| column.name().eq_ignore_ascii_case(&folded);
            Column::ALL.into_iter().find(same)
        })
    }

    /// As [`named`](Self::named), for a heading: also in other languages, and as other systems call
    /// it.
    pub(super) fn heading(text: &str) -> Option<Column> {
        let exact = Column::ALL.into_iter().find(|column| column.name() == text);
        exact.or_else(|| headings::known(text))
    }
}

/// The column whose name is meant by a slip.
pub(super) fn nearest_column(text: &str) -> Option<Column> {
    nearest(text, Column::ALL.map(Column::name).into_iter()).and_then(Column::named)
}

/// "did you mean" for a name that is none, and all those that there are.
pub(super) fn hint(text: &str, others: &[&'static str]) -> String {
    let names = || others.iter().copied().chain(Column::ALL.map(Column::name));
    let all: Vec<&str> = names().collect();
    match nearest(text, names()) {
        Some(name) => format!("did you mean `{name}`? There are {}", all.join(", ")),
        None => format!("there are {}", all.join(", ")),
    }
}
