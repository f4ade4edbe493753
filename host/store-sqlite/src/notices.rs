//! Notifications: alert events that are sent to webhooks.

use rusqlite::{Connection, Row, params};

use super::{Result, damaged, readable};
use promoflow_model::clock::Timestamp;
use promoflow_store::{DeliveryState, NewNotice, Notice, NoticeEnd, NoticeId};

const STATES: [(&str, DeliveryState); 3] = [
    ("pending", DeliveryState::Pending),
    ("delivered", DeliveryState::Delivered),
    ("failed", DeliveryState::Failed),
];

const COLUMNS: &str = "id, webhook, event, state, attempts, due, error, at";

pub(super) fn put(connection: &Connection, notice: &NewNotice, at: Timestamp) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO notice (webhook, event, state, attempts, due, at)
             VALUES (?1, ?2, 'pending', 0, ?3, ?3)",
        )?
        .execute(params![notice.webhook, notice.event, at.0])?;
    Ok(())
}

pub(super) fn due(
    connection: &Connection,
    webhook: &str,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<Notice>> {
    let sql =
        format!("SELECT {COLUMNS} FROM notice WHERE webhook = ?1 AND due <= ?2 ORDER BY due, id");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![webhook, now.0])?;
    let mut notices = Vec::new();
    while notices.len() < limit {
        let Some(row) = rows.next()? else { break };
        notices.extend(readable(read(row))?);
    }
    Ok(notices)
}

/// Lists notifications, the newest first.
pub(super) fn list(
    connection: &Connection,
    state: Option<DeliveryState>,
    before: Option<NoticeId>,
    limit: usize,
) -> Result<Vec<Notice>> {
    let state = state.map(|state| STATES.iter().find(|(_, one)| *one == state));
    // Notifications are never in this state.
    let Ok(state) = state.map(|found| found.ok_or(())).transpose() else {
        return Ok(Vec::new());
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM notice WHERE id < ?1 AND (?2 IS NULL OR state = ?2)
         ORDER BY id DESC"
    );
    let before = before.map_or(i64::MAX, |id| id.0);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![before, state.map(|(name, _)| name)])?;
    let mut notices = Vec::new();
    while notices.len() < limit {
        let Some(row) = rows.next()? else { break };
        notices.extend(readable(read(row))?);
    }
    Ok(notices)
}

fn read(row: &Row<'_>) -> Result<Notice> {
    let state: String = row.get(3)?;
    let known = STATES.iter().find(|(name, _)| *name == state);
    let (_, state) =
        *known.ok_or_else(|| damaged("the state of a notification", format!("`{state}`")))?;
    Ok(Notice {
        id: NoticeId(row.get(0)?),
        webhook: row.get(1)?,
        event: row.get(2)?,
        state,
        attempts: row.get(4)?,
        due: row.get::<_, Option<i64>>(5)?.map(Timestamp),
        error: row.get(6)?,
        at: Timestamp(row.get(7)?),
    })
}

/// Begins an attempt. Returns false if the notification is no longer pending.
pub(super) fn begin(connection: &Connection, id: NoticeId) -> Result<bool> {
    let begun = connection
        .prepare_cached(
            "UPDATE notice SET attempts = attempts + 1 WHERE id = ?1 AND state = 'pending'",
        )?
        .execute(params![id.0])?;
    Ok(begun > 0)
}

pub(super) fn end(connection: &Connection, id: NoticeId, end: &NoticeEnd) -> Result<()> {
    let (state, due, error) = match end {
        NoticeEnd::Delivered => ("delivered", None, None),
        NoticeEnd::Later { due, error } => ("pending", Some(due.0), Some(error)),
        NoticeEnd::Failed { error } => ("failed", None, Some(error)),
    };
    connection
        .prepare_cached(
            "UPDATE notice SET state = ?2, due = ?3, error = ?4 WHERE id = ?1 AND state = 'pending'",
        )?
        .execute(params![id.0, state, due, error])?;
    Ok(())
}
