//! Notifications: alert events that are sent to webhooks.

use promoflow_model::clock::Timestamp;
use promoflow_store::{
    DeliveryState, NewNotification, Notification, NotificationId, NotificationOutcome,
};

use crate::connection::{Row, integer, params};
use crate::errors::{Result, read_name, skip_damaged};
use crate::transaction::Transaction;

/// Number of rows read at once, since unreadable ones are skipped.
const PAGE: usize = 1_000;

pub(crate) fn put(
    transaction: &Transaction<'_>,
    notification: &NewNotification,
    at: Timestamp,
) -> Result<()> {
    transaction.execute(
        "INSERT INTO notification (webhook, event, state, attempts, due_at, created_at)
         VALUES ($1, $2, 'pending', 0, $3, $3)",
        params![notification.webhook, notification.event, at.0],
    )?;
    Ok(())
}

pub(crate) fn due(
    transaction: &Transaction<'_>,
    webhook: &str,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<Notification>> {
    let mut notifications = Vec::new();
    let mut after = (i64::MIN, i64::MIN);
    loop {
        let rows = transaction.rows(
            "SELECT id, webhook, event, state, attempts, due_at, error, created_at
             FROM notification
             WHERE webhook = $1 AND due_at <= $2 AND (due_at, id) > ($3, $4)
             ORDER BY due_at, id LIMIT $5",
            params![webhook, now.0, after.0, after.1, page(limit)],
        )?;
        let Some(last) = rows.last() else {
            return Ok(notifications);
        };
        after = (last.get(5)?, last.get(0)?);
        if read_all(&rows, &mut notifications, limit)? {
            return Ok(notifications);
        }
    }
}

/// Lists notifications, the newest first.
pub(crate) fn list(
    transaction: &Transaction<'_>,
    state: Option<DeliveryState>,
    before: Option<NotificationId>,
    limit: usize,
) -> Result<Vec<Notification>> {
    let mut notifications = Vec::new();
    let mut before = before.map_or(i64::MAX, |id| id.0);
    loop {
        let rows = transaction.rows(
            "SELECT id, webhook, event, state, attempts, due_at, error, created_at
             FROM notification
             WHERE id < $1 AND ($2::text IS NULL OR state = $2)
             ORDER BY id DESC LIMIT $3",
            params![before, state.map(<&str>::from), page(limit)],
        )?;
        let Some(last) = rows.last() else {
            return Ok(notifications);
        };
        before = last.get(0)?;
        if read_all(&rows, &mut notifications, limit)? {
            return Ok(notifications);
        }
    }
}

fn page(limit: usize) -> i64 {
    i64::try_from(limit.clamp(1, PAGE)).unwrap_or(i64::MAX)
}

/// Reads rows, except those that cannot be read. Returns true once there are enough.
fn read_all(rows: &[Row], into: &mut Vec<Notification>, limit: usize) -> Result<bool> {
    for row in rows {
        if into.len() >= limit {
            return Ok(true);
        }
        into.extend(skip_damaged(read(row))?);
    }
    Ok(into.len() >= limit)
}

fn read(row: &Row) -> Result<Notification> {
    let state: String = row.get(3)?;
    Ok(Notification {
        id: NotificationId(row.get(0)?),
        webhook: row.get(1)?,
        event: row.get(2)?,
        state: read_name(|| "the state of a notification".to_owned(), &state)?,
        attempts: row.count(4)?,
        due: row.get::<Option<i64>>(5)?.map(Timestamp),
        error: row.get(6)?,
        at: Timestamp(row.get(7)?),
    })
}

/// Begins an attempt and returns its number; `None` if the notification is no longer pending.
pub(crate) fn begin(transaction: &Transaction<'_>, id: NotificationId) -> Result<Option<u32>> {
    let row = transaction.row(
        "UPDATE notification SET attempts = attempts + 1
         WHERE id = $1 AND state = 'pending' RETURNING attempts",
        params![id.0],
    )?;
    row.map(|row| row.count(0)).transpose()
}

pub(crate) fn end(
    transaction: &Transaction<'_>,
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
    transaction.execute(
        "UPDATE notification SET state = $3, due_at = $4, error = $5
         WHERE id = $1 AND attempts = $2 AND state = 'pending'",
        params![id.0, integer(attempt), <&str>::from(state), due, error],
    )?;
    Ok(())
}
