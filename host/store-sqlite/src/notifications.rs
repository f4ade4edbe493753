//! Notifications: alert events that are sent to webhooks.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Result, read_name, skip_damaged};
use promoflow_model::clock::Timestamp;
use promoflow_store::{
    DeliveryState, NewNotification, Notification, NotificationId, NotificationOutcome,
};

const COLUMNS: &str = "id, webhook, event, state, attempts, due_at, error, created_at";

pub(super) fn put(
    connection: &Connection,
    notification: &NewNotification,
    at: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO notification (webhook, event, state, attempts, due_at, created_at)
             VALUES (?1, ?2, 'pending', 0, ?3, ?3)",
        )?
        .execute(params![notification.webhook, notification.event, at.0])?;
    Ok(())
}

pub(super) fn due(
    connection: &Connection,
    webhook: &str,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<Notification>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM notification WHERE webhook = ?1 AND due_at <= ?2
         ORDER BY due_at, id"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![webhook, now.0])?;
    let mut notifications = Vec::new();
    while notifications.len() < limit {
        let Some(row) = rows.next()? else { break };
        notifications.extend(skip_damaged(read(row))?);
    }
    Ok(notifications)
}

/// Lists notifications, the newest first.
pub(super) fn list(
    connection: &Connection,
    state: Option<DeliveryState>,
    before: Option<NotificationId>,
    limit: usize,
) -> Result<Vec<Notification>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM notification WHERE id < ?1 AND (?2 IS NULL OR state = ?2)
         ORDER BY id DESC"
    );
    let before = before.map_or(i64::MAX, |id| id.0);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![before, state.map(<&str>::from)])?;
    let mut notifications = Vec::new();
    while notifications.len() < limit {
        let Some(row) = rows.next()? else { break };
        notifications.extend(skip_damaged(read(row))?);
    }
    Ok(notifications)
}

fn read(row: &Row<'_>) -> Result<Notification> {
    let state: String = row.get(3)?;
    Ok(Notification {
        id: NotificationId(row.get(0)?),
        webhook: row.get(1)?,
        event: row.get(2)?,
        state: read_name(|| "the state of a notification".to_owned(), &state)?,
        attempts: row.get(4)?,
        due: row.get::<_, Option<i64>>(5)?.map(Timestamp),
        error: row.get(6)?,
        at: Timestamp(row.get(7)?),
    })
}

/// Begins an attempt and returns its number; `None` if the notification is no longer pending.
pub(super) fn begin(connection: &Connection, id: NotificationId) -> Result<Option<u32>> {
    Ok(connection
        .prepare_cached(
            "UPDATE notification SET attempts = attempts + 1
             WHERE id = ?1 AND state = 'pending' RETURNING attempts",
        )?
        .query_row(params![id.0], |row| row.get(0))
        .optional()?)
}

pub(super) fn end(
    connection: &Connection,
    id: NotificationId,
    attempt: u32,
    end: &NotificationOutcome,
) -> Result<()> {
    let (state, due, error) = match end {
        NotificationOutcome::Delivered => (DeliveryState::Delivered, None, None),
        NotificationOutcome::RetryableFailure { due, error } => {
            (DeliveryState::Pending, Some(due.0), Some(error))
        }
        NotificationOutcome::Failed { error } => (DeliveryState::Failed, None, Some(error)),
    };
    connection
        .prepare_cached(
            "UPDATE notification SET state = ?3, due_at = ?4, error = ?5
             WHERE id = ?1 AND attempts = ?2 AND state = 'pending'",
        )?
        .execute(params![id.0, attempt, <&str>::from(state), due, error])?;
    Ok(())
}
