//! Imports contacts from a file.

use std::io::Read;

use super::batches::{
    Batch, BatchSize, EndOfFile, ImportError, ImportReport, buffer_if_atomic, read_batches,
};
use promoflow_model::clock::Timestamp;
use promoflow_model::contact::{NewContact, rows};
use promoflow_store::{ContactOutcome, ContactSession, Store, StoreError};
use promoflow_tabular::{CsvOptions, Format};

/// Number of contacts per transaction. Events wait some tenths of a second behind a batch.
const BATCH_ROWS: usize = 5_000;
/// Maximum size of a batch, in bytes.
const BATCH_BYTES: usize = 4 << 20;

/// Options for an import of contacts.
#[derive(Clone, Debug, Default)]
pub struct ContactOptions {
    /// The file format; if `None`, detected from the first character.
    pub format: Option<Format>,
    /// Options for CSV files.
    pub csv: CsvOptions,
    /// All or nothing: one invalid row rejects the whole file.
    pub strict: bool,
    /// Dry run: reports the result and changes nothing.
    pub dry_run: bool,
    /// Rows may undo an unsubscription. Otherwise they leave it unchanged.
    pub resubscribe: bool,
}

/// Imports a file and calls `watch` with the number of rows read so far.
pub fn import(
    store: &dyn Store,
    now: Timestamp,
    reader: impl Read + Send,
    options: &ContactOptions,
    watch: &mut dyn FnMut(u64),
) -> Result<ImportReport, ImportError> {
    let atomic = options.strict || options.dry_run;
    let reader = buffer_if_atomic(reader, atomic)?;
    let mut session = store.begin_contacts(atomic, options.resubscribe, now)?;
    let mut report = ImportReport::default();
    let size = BatchSize {
        rows: BATCH_ROWS,
        bytes: BATCH_BYTES,
        row_bytes,
    };
    let taken = read_batches(
        || rows::open(reader, options.format, &options.csv),
        size,
        |batch| {
            store_batch(&mut *session, batch, &mut report)?;
            watch(report.rows());
            Ok(())
        },
    );
    let EndOfFile { failed, warnings } = match taken {
        Ok(ended) => ended,
        Err(error) => {
            session.roll_back()?;
            return Err(error.into());
        }
    };
    report.warnings = warnings;
    let refused = options.strict && (report.rejected > 0 || failed.is_some());
    if options.dry_run || refused {
        session.roll_back()?;
        if refused && !options.dry_run {
            report.undo();
        }
    } else {
        session.finish()?;
    }
    match failed {
        Some(error) => Err(ImportError::File {
            error,
            report: Box::new(report),
        }),
        None => Ok(report),
    }
}

/// Returns the approximate size of a row in bytes.
fn row_bytes(row: &NewContact) -> usize {
    let addresses: usize = row.addresses.values().map(String::len).sum();
    let fields = row.fields.iter().map(|(name, value)| {
        let value = match value {
            serde_json::Value::String(text) => text.len(),
            other => other.to_string().len(),
        };
        name.len() + value
    });
    100 + addresses + fields.sum::<usize>()
}

fn store_batch(
    session: &mut dyn ContactSession,
    mut batch: Batch<NewContact>,
    report: &mut ImportReport,
) -> Result<(), StoreError> {
    for errors in std::mem::take(&mut batch.rejected) {
        report.reject(errors);
    }
    if batch.accepted.is_empty() {
        return Ok(());
    }
    for (index, outcome) in session.batch(&batch.accepted)?.into_iter().enumerate() {
        match outcome {
            ContactOutcome::Inserted => report.inserted += 1,
            ContactOutcome::Updated => report.updated += 1,
            ContactOutcome::Unchanged => report.unchanged += 1,
            ContactOutcome::Conflict { contact } => {
                let line = batch.accepted[index].line;
                let message = format!(
                    "contact `{contact}` already has this external id; external ids are unique"
                );
                report.reject(vec![batch.row_error(index, line, "externalId", message)]);
            }
        }
    }
    Ok(())
}
