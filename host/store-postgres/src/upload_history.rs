//! The history of uploads.

use promoflow_model::clock::Timestamp;
use promoflow_model::pool::RowError;
use promoflow_store::{UploadEnd, UploadId, UploadRow, UploadState, UploadSummary};

use crate::connection::{Row, params};
use crate::errors::{Result, read_name, skip_damaged};
use crate::transaction::Transaction;

/// An upload with its end and its counts.
macro_rules! upload_rows {
    ($rest:literal) => {
        concat!(
            "SELECT upload.id, upload.source, upload.api_key, upload.started_at,
                    upload_end.ended_at, upload_end.state,
                    batches.inserted, batches.updated, batches.unchanged, batches.rejected
             FROM upload
             LEFT JOIN upload_end ON upload_end.upload = upload.id
             CROSS JOIN LATERAL (
                 SELECT coalesce(sum(inserted), 0)::bigint AS inserted,
                        coalesce(sum(updated), 0)::bigint AS updated,
                        coalesce(sum(unchanged), 0)::bigint AS unchanged,
                        coalesce(sum(rejected), 0)::bigint AS rejected
                 FROM upload_batch WHERE upload_batch.upload = upload.id) AS batches ",
            $rest
        )
    };
}

pub(crate) fn list(
    transaction: &Transaction<'_>,
    before: Option<UploadId>,
    limit: usize,
) -> Result<Vec<UploadRow>> {
    let before = before.map_or(i64::MAX, |upload| upload.0);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = transaction.rows(
        upload_rows!("WHERE upload.id < $1 ORDER BY upload.id DESC LIMIT $2"),
        params![before, limit],
    )?;
    let uploads = rows.iter().map(|row| skip_damaged(upload_row(row)));
    Ok(uploads
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect())
}

pub(crate) fn find_upload(
    transaction: &Transaction<'_>,
    id: UploadId,
) -> Result<Option<(UploadRow, Vec<RowError>)>> {
    let found = transaction.row(upload_rows!("WHERE upload.id = $1"), params![id.0])?;
    let Some(found) = found else { return Ok(None) };
    let mut upload = upload_row(&found)?;
    let warnings = transaction.rows(
        "SELECT message FROM upload_warning WHERE upload = $1 ORDER BY number",
        params![id.0],
    )?;
    upload.warnings = warnings
        .iter()
        .map(|row| row.get(0))
        .collect::<Result<_>>()?;
    let rejections = transaction.rows(
        "SELECT line, field, message FROM upload_rejection WHERE upload = $1 ORDER BY number",
        params![id.0],
    )?;
    let rejections = rejections.iter().map(|row| skip_damaged(rejection(row)));
    let rejections = rejections.collect::<Result<Vec<_>>>()?;
    Ok(Some((upload, rejections.into_iter().flatten().collect())))
}

fn rejection(row: &Row) -> Result<RowError> {
    Ok(RowError {
        line: row.get::<i64>(0)?.unsigned_abs(),
        field: row.get(1)?,
        message: row.get(2)?,
        ..RowError::default()
    })
}

fn upload_row(row: &Row) -> Result<UploadRow> {
    let id = UploadId(row.get(0)?);
    let state: Option<String> = row.get(5)?;
    let number = |index| row.get::<i64>(index).map(i64::unsigned_abs);
    Ok(UploadRow {
        id,
        source: row.get(1)?,
        key: row.get(2)?,
        started: Timestamp(row.get(3)?),
        finished: row.get::<Option<i64>>(4)?.map(Timestamp),
        state: match state {
            None => UploadState::Running,
            Some(state) => read_name(|| format!("the state of upload {id}"), &state)?,
        },
        inserted: number(6)?,
        updated: number(7)?,
        unchanged: number(8)?,
        rejected: number(9)?,
        warnings: Vec::new(),
    })
}

/// The number of rows by outcome.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) inserted: i64,
    pub(crate) updated: i64,
    pub(crate) unchanged: i64,
    pub(crate) rejected: i64,
}

/// Records rows of an upload, whose new codes have numbers from `first_code_id` on. In an exclusive
/// transaction.
pub(crate) fn add_batch(
    transaction: &Transaction<'_>,
    upload: i64,
    first_code_id: i64,
    counts: Counts,
) -> Result<()> {
    transaction.execute(
        "INSERT INTO upload_batch
             (id, upload, first_code_id, inserted, updated, unchanged, rejected)
         SELECT coalesce(max(id), 0) + 1, $1, $2, $3, $4, $5, $6 FROM upload_batch",
        params![
            upload,
            first_code_id,
            counts.inserted,
            counts.updated,
            counts.unchanged,
            counts.rejected
        ],
    )?;
    Ok(())
}

/// Records the end of an upload, even if it was marked as interrupted before.
pub(crate) fn end(transaction: &Transaction<'_>, id: UploadId, end: &UploadEnd) -> Result<()> {
    let state = match end.is_complete {
        true => UploadState::Completed,
        false => UploadState::Interrupted,
    };
    let lines = end.rejections.iter();
    let lines = lines.map(|error| i64::try_from(error.line).unwrap_or(i64::MAX));
    let lines: Vec<i64> = lines.collect();
    let fields: Vec<&str> = end.rejections.iter().map(|error| &*error.field).collect();
    let messages: Vec<&str> = end.rejections.iter().map(|error| &*error.message).collect();
    transaction.pipeline(&[
        (
            "INSERT INTO upload_end (upload, state, ended_at) VALUES ($1, $2, $3)
             ON CONFLICT (upload) DO UPDATE
             SET state = excluded.state, ended_at = excluded.ended_at",
            params![id.0, <&str>::from(state), end.at.0],
        ),
        (
            "INSERT INTO upload_rejection (upload, number, line, field, message)
             SELECT $1, number - 1, line, field, message
             FROM unnest($2::bigint[], $3::text[], $4::text[])
                 WITH ORDINALITY AS given (line, field, message, number)
             ON CONFLICT (upload, number) DO NOTHING",
            params![id.0, lines, fields, messages],
        ),
        (
            "INSERT INTO upload_warning (upload, number, message)
             SELECT $1, number - 1, message
             FROM unnest($2::text[]) WITH ORDINALITY AS given (message, number)
             ON CONFLICT (upload, number) DO NOTHING",
            params![id.0, end.warnings],
        ),
    ])?;
    Ok(())
}

/// Sums up the outcomes of an upload's rows so far.
pub(crate) fn sum(transaction: &Transaction<'_>, id: UploadId) -> Result<UploadSummary> {
    let sums = transaction.row(
        "SELECT coalesce(sum(inserted), 0)::bigint, coalesce(sum(updated), 0)::bigint,
                coalesce(sum(unchanged), 0)::bigint
         FROM upload_batch WHERE upload = $1",
        params![id.0],
    )?;
    let Some(sums) = sums else {
        return Ok(UploadSummary::default());
    };
    let number = |index| sums.get::<i64>(index).map(i64::unsigned_abs);
    Ok(UploadSummary {
        upload: Some(id),
        inserted: number(0)?,
        updated: number(1)?,
        unchanged: number(2)?,
    })
}

/// Marks the unfinished uploads of hosts that have ended as interrupted. Accepted uploads have no
/// owner: they are not lost, and are completed later.
pub(crate) fn mark_all_interrupted(transaction: &Transaction<'_>, at: Timestamp) -> Result<()> {
    transaction.execute(
        "INSERT INTO upload_end (upload, state, ended_at)
         SELECT upload.id, 'interrupted', $1
         FROM upload LEFT JOIN host ON host.id = upload.owner
         WHERE upload.owner IS NOT NULL AND (host.id IS NULL OR host.ended_at IS NOT NULL)
             AND NOT EXISTS (SELECT 1 FROM upload_end WHERE upload_end.upload = upload.id)
         ON CONFLICT (upload) DO NOTHING",
        params![at.0],
    )?;
    Ok(())
}

pub(crate) fn mark_interrupted(
    transaction: &Transaction<'_>,
    id: UploadId,
    at: Timestamp,
) -> Result<()> {
    transaction.execute(
        "INSERT INTO upload_end (upload, state, ended_at) VALUES ($1, 'interrupted', $2)
         ON CONFLICT (upload) DO NOTHING",
        params![id.0, at.0],
    )?;
    Ok(())
}

/// Lists unused codes of an upload. There is no index of codes by upload, which every upload would
/// have to write; the codes are read in text order, once for all calls together.
pub(crate) fn unused(
    transaction: &Transaction<'_>,
    id: UploadId,
    after: &str,
    limit: usize,
) -> Result<Vec<String>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = transaction.rows(
        "SELECT code.code FROM code
         WHERE code.code > $1 AND code.upload = $2 AND EXISTS (
             SELECT 1 FROM available_code AS available
             WHERE available.code_group = code.code_group
                 AND available.expires_at = code.expires_at AND available.code_id = code.id)
         ORDER BY code.code LIMIT $3",
        params![after, id.0, limit],
    )?;
    rows.iter().map(|row| row.get(0)).collect()
}
