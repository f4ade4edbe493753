//! The columns' names.

use crate::upload::{fold, nearest};

/// The header of a full file, as it is asked for in messages and written by exports.
pub(in crate::pool) const HEADER: &str = "code,expirationDate,discount,type,inUse";

/// A column of CSV, or a key of a JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) enum Column {
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

    /// As [`named`](Self::named), for a heading: a lone `Promo codes` above a list is taken for
    /// what it is rather than for the first code of the list.
    pub(super) fn heading(text: &str) -> Option<Column> {
        let is_code = || matches!(fold(text).as_str(), "codes" | "promocode" | "promocodes");
        Column::named(text).or_else(|| is_code().then_some(Column::Code))
    }
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
