//! Uploading contacts.

use std::io::Read;

use super::batches::{Batch, BatchSize, Ended, ImportError, ImportReport, in_batches, kept};
use promoflow_model::clock::Timestamp;
use promoflow_model::contact::{NewContact, rows};
use promoflow_store::{ContactOutcome, ContactSession, Store, StoreError};
use promoflow_tabular::{CsvOptions, Format};

/// Contacts that are committed at once. Events wait behind a batch for some tenths of a second.
const BATCH: usize = 5_000;
/// Bytes of a batch at the most.
const BATCH_BYTES: usize = 4 << 20;

/// How to upload contacts.
#[derive(Clone, Debug, Default)]
pub struct ContactOptions {
    /// The file's format; told from its first character where `None`.
    pub format: Option<Format>,
    /// What a CSV file does not say of itself.
    pub csv: CsvOptions,
    /// All or nothing: one bad row, and no row goes in.
    pub strict: bool,
    /// Says what would happen, and changes nothing.
    pub dry_run: bool,
    /// Rows may undo that somebody has unsubscribed. Otherwise they leave it so.
    pub resubscribe: bool,
}

/// Uploads a file; `watch` is told how many rows were taken in all.
pub fn import(
    store: &dyn Store,
    now: Timestamp,
    reader: impl Read + Send,
    options: &ContactOptions,
    watch: &mut dyn FnMut(u64),
) -> Result<ImportReport, ImportError> {
    let atomic = options.strict || options.dry_run;
    let reader = kept(reader, atomic)?;
    let mut session = store.begin_contacts(atomic, options.resubscribe, now)?;
    let mut report = ImportReport::default();
    let size = BatchSize {
        rows: BATCH,
        bytes: BATCH_BYTES,
        weigh,
    };
    let taken = in_batches(
        || rows::open(reader, options.format, &options.csv),
        size,
        |batch| {
            store_batch(&mut *session, batch, &mut report)?;
            watch(report.rows());
            Ok(())
        },
    );
    let Ended { failed, warnings } = match taken {
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

/// About the bytes that a row takes.
fn weigh(row: &NewContact) -> usize {
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
    for errors in std::mem::take(&mut batch.bad) {
        report.reject(errors);
    }
    if batch.good.is_empty() {
        return Ok(());
    }
    for (index, outcome) in session.batch(&batch.good)?.into_iter().enumerate() {
        match outcome {
            ContactOutcome::Inserted => report.inserted += 1,
            ContactOutcome::Updated => report.updated += 1,
            ContactOutcome::Unchanged => report.unchanged += 1,
            ContactOutcome::Clashes { contact } => {
                let line = batch.good[index].line;
                let message = format!(
                    "contact `{contact}` has this external id already; give it to one of the two"
                );
                report.reject(vec![batch.refuse(index, line, "externalId", message)]);
            }
        }
    }
    Ok(())
}
