//! Not written yet.

use promoflow_store::PromiseReport;

use crate::errors::Result;
use crate::transaction::Transaction;

/// Re-derives the promises from the stored rows.
pub(crate) fn audit(_transaction: &Transaction<'_>) -> Result<Vec<PromiseReport>> {
    Ok(Vec::new())
}
