//! The codes that may be claimed.

use promoflow_model::clock::Timestamp;
use promoflow_store::{AvailableCode, Position};

use crate::connection::{Row, params};
use crate::errors::Result;
use crate::transaction::Transaction;

/// Reads an available code: its expiry, its id and its text.
pub(crate) fn read_available(row: &Row) -> Result<AvailableCode> {
    Ok(AvailableCode {
        position: Position {
            expires: Timestamp(row.get(0)?),
            id: row.get(1)?,
        },
        code: row.get(2)?,
    })
}

/// Makes an available code unavailable. Returns false if it is not available.
pub(crate) fn take_available(
    transaction: &Transaction<'_>,
    code_group: i64,
    position: Position,
) -> Result<bool> {
    let taken = transaction.execute(
        "DELETE FROM available_code WHERE code_group = $1 AND expires_at = $2 AND code_id = $3",
        params![code_group, position.expires.0, position.id],
    )?;
    Ok(taken == 1)
}

/// Makes a code available. In an exclusive transaction.
pub(crate) fn add_available(
    transaction: &Transaction<'_>,
    code_group: i64,
    position: Position,
    code: &str,
) -> Result<()> {
    transaction.execute(
        "INSERT INTO available_code (code_group, expires_at, code_id, code)
         VALUES ($1, $2, $3, $4)",
        params![code_group, position.expires.0, position.id, code],
    )?;
    Ok(())
}
