//! The history of uploads.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::owner_lock::Owners;
use super::{Result, read_name, skip_damaged};
use promoflow_model::clock::Timestamp;
use promoflow_model::pool::RowError;
use promoflow_store::{UploadEnd, UploadId, UploadRow, UploadState, UploadSummary};

const UPLOAD_ROWS: &str = "
    SELECT upload.id, upload.source, upload.api_key, upload.started_at,
           upload_end.ended_at, upload_end.state,
           CAST(total(inserted) AS INTEGER), CAST(total(updated) AS INTEGER),
           CAST(total(unchanged) AS INTEGER), CAST(total(rejected) AS INTEGER)
    FROM upload
    LEFT JOIN upload_end ON upload_end.upload = upload.id
    LEFT JOIN upload_batch ON upload_batch.upload = upload.id";

pub(super) fn list(
    connection: &Connection,
    before: Option<UploadId>,
    limit: usize,
) -> Result<Vec<UploadRow>> {
    let sql =
        format!("{UPLOAD_ROWS} WHERE upload.id < ?1 GROUP BY upload.id ORDER BY upload.id DESC");
    let before = before.map_or(i64::MAX, |upload| upload.0);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([before])?;
    let mut uploads = Vec::new();
    while uploads.len() < limit {
        let Some(row) = rows.next()? else { break };
        uploads.extend(skip_damaged(upload_row(row))?);
    }
    Ok(uploads)
}

pub(super) fn find_upload(
    connection: &Connection,
    id: UploadId,
) -> Result<Option<(UploadRow, Vec<RowError>)>> {
    let sql = format!("{UPLOAD_ROWS} WHERE upload.id = ?1 GROUP BY upload.id");
    let found = connection
        .prepare_cached(&sql)?
        .query_row([id.0], |row| Ok(upload_row(row)))
        .optional()?;
    let Some(mut upload) = found.transpose()? else {
        return Ok(None);
    };
    upload.warnings = connection
        .prepare_cached("SELECT message FROM upload_warning WHERE upload = ?1 ORDER BY number")?
        .query_map([id.0], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut statement = connection.prepare_cached(
        "SELECT line, field, message FROM upload_rejection WHERE upload = ?1 ORDER BY number",
    )?;
    let mut rows = statement.query([id.0])?;
    let mut rejections = Vec::new();
    while let Some(row) = rows.next()? {
        rejections.extend(skip_damaged(rejection(row))?);
    }
    Ok(Some((upload, rejections)))
}

fn rejection(row: &Row<'_>) -> Result<RowError> {
    Ok(RowError {
        line: row.get::<_, i64>(0)?.unsigned_abs(),
        field: row.get(1)?,
        message: row.get(2)?,
        ..RowError::default()
    })
}

fn upload_row(row: &Row<'_>) -> Result<UploadRow> {
    let id = UploadId(row.get(0)?);
    let state: Option<String> = row.get(5)?;
    let number = |index| row.get::<_, i64>(index).map(i64::unsigned_abs);
    Ok(UploadRow {
        id,
        source: row.get(1)?,
        key: row.get(2)?,
        started: Timestamp(row.get(3)?),
        finished: row.get::<_, Option<i64>>(4)?.map(Timestamp),
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

/// Records the end of an upload, even if it was marked as interrupted before.
pub(super) fn end(connection: &Connection, id: UploadId, end: &UploadEnd) -> Result<()> {
    let state = match end.is_complete {
        true => UploadState::Completed,
        false => UploadState::Interrupted,
    };
    connection
        .prepare_cached(
            "INSERT INTO upload_end (upload, state, ended_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (upload) DO UPDATE
             SET state = excluded.state, ended_at = excluded.ended_at",
        )?
        .execute(params![id.0, <&str>::from(state), end.at.0])?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO upload_rejection (upload, number, line, field, message)
         VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
    )?;
    for (number, error) in (0_i64..).zip(&end.rejections) {
        let line = i64::try_from(error.line).unwrap_or(i64::MAX);
        insert.execute(params![id.0, number, line, error.field, error.message])?;
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO upload_warning (upload, number, message) VALUES (?1, ?2, ?3)
         ON CONFLICT DO NOTHING",
    )?;
    for (number, warning) in (0_i64..).zip(&end.warnings) {
        insert.execute(params![id.0, number, warning])?;
    }
    Ok(())
}

/// Sums up the outcomes of an upload's rows so far.
pub(super) fn sum(connection: &Connection, id: UploadId) -> Result<UploadSummary> {
    let number = |row: &Row<'_>, index| row.get::<_, i64>(index).map(i64::unsigned_abs);
    Ok(connection
        .prepare_cached(
            "SELECT coalesce(sum(inserted), 0), coalesce(sum(updated), 0),
                    coalesce(sum(unchanged), 0)
             FROM upload_batch WHERE upload = ?1",
        )?
        .query_row([id.0], |row| {
            Ok(UploadSummary {
                upload: Some(id),
                inserted: number(row, 0)?,
                updated: number(row, 1)?,
                unchanged: number(row, 2)?,
            })
        })?)
}

/// Marks the unfinished uploads of owners that are gone as interrupted. Accepted uploads have no
/// owner: they are not lost, and are completed later.
pub(super) fn mark_all_interrupted(
    connection: &Connection,
    owners: &mut Owners<'_>,
    at: Timestamp,
) -> Result<()> {
    let unfinished = connection
        .prepare(
            "SELECT id, owner FROM upload
             WHERE owner IS NOT NULL AND id NOT IN (SELECT upload FROM upload_end)",
        )?
        .query_map([], |row| Ok((UploadId(row.get(0)?), row.get(1)?)))?
        .collect::<rusqlite::Result<Vec<(UploadId, String)>>>()?;
    for (upload, owner) in unfinished {
        if owners.is_gone(&owner)? {
            mark_interrupted(connection, upload, at)?;
        }
    }
    Ok(())
}

pub(super) fn mark_interrupted(connection: &Connection, id: UploadId, at: Timestamp) -> Result<()> {
    connection.execute(
        "INSERT INTO upload_end (upload, state, ended_at) VALUES (?1, 'interrupted', ?2)
         ON CONFLICT DO NOTHING",
        params![id.0, at.0],
    )?;
    Ok(())
}

/// Lists unused codes of an upload. There is no index of codes by upload, which every upload would
/// have to write; the codes are read in text order, once for all calls together.
pub(super) fn unused(
    connection: &Connection,
    id: UploadId,
    after: &str,
    limit: usize,
) -> Result<Vec<String>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(
        "SELECT code.code FROM code
         WHERE code.code > ?1 AND code.upload = ?2 AND EXISTS (
             SELECT 1 FROM available_code AS available
             WHERE available.code_group = code.code_group
                 AND available.expires_at = code.expires_at AND available.code_id = code.id)
         ORDER BY code.code LIMIT ?3",
    )?;
    let codes = statement.query_map(params![after, id.0, limit], |row| row.get(0))?;
    Ok(codes.collect::<rusqlite::Result<_>>()?)
}
