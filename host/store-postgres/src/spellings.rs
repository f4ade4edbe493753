//! Look-ups of codes that differ only in letter case.

use std::collections::HashSet;

use promoflow_store::rules::spellings::{has_lowercase, other_spellings};

use crate::connection::params;
use crate::errors::Result;
use crate::settings::{number_setting, set_setting};
use crate::transaction::Transaction;

/// The setting that records whether any code of the pool [has lower-case
/// letters](has_lowercase).
const HAS_LOWERCASE: &str = "has-lowercase-codes";

/// Updates the setting for these new codes. In an exclusive transaction.
pub(crate) fn note_lowercase<'c>(
    transaction: &Transaction<'_>,
    mut codes: impl Iterator<Item = &'c str>,
) -> Result<()> {
    if codes.any(has_lowercase) && !pool_has_lowercase(transaction)? {
        set_setting(transaction, HAS_LOWERCASE, "1")?;
    }
    Ok(())
}

/// Returns true if any code of the pool has letters other than A to Z.
pub(crate) fn pool_has_lowercase(transaction: &Transaction<'_>) -> Result<bool> {
    Ok(number_setting(transaction, HAS_LOWERCASE)? != 0)
}

/// Returns those of the codes that are in the pool in another spelling, in pairs. `is_new` says of a
/// code whether it is about to be added.
pub(crate) fn find_stored_spellings(
    transaction: &Transaction<'_>,
    is_new: impl Fn(&str) -> bool,
    codes: &[&str],
) -> Result<Vec<(String, String)>> {
    let spellings: Vec<Vec<String>> = codes
        .iter()
        .map(|code| other_spellings(code).collect())
        .collect();
    let wanted: Vec<&String> = spellings.iter().flatten().collect();
    let rows = transaction.rows(
        "SELECT code.code FROM unnest($1::text[]) AS given (code)
         JOIN code ON code.code = given.code",
        params![wanted],
    )?;
    let stored = rows
        .iter()
        .map(|row| row.get(0))
        .collect::<Result<HashSet<String>>>()?;
    let mut found = Vec::new();
    for (code, spellings) in codes.iter().zip(spellings) {
        let is_stored = |spelling: &String| is_new(spelling) || stored.contains(spelling);
        if let Some(stored) = spellings.into_iter().find(is_stored) {
            found.push((stored, (*code).to_owned()));
        }
    }
    Ok(found)
}
