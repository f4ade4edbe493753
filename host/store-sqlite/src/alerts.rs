//! Alerts, and the counts that decide whether to raise them.

use rusqlite::{Connection, Row, params};

use super::{
    Result, SqliteStore, StoreResult, code_groups, damaged, notifications, skip_damaged, throttles,
    unreadable,
};
use promoflow_model::alert::{Alert, Kind, Level, Subject};
use promoflow_model::clock::Timestamp;
use promoflow_model::pool::CodeGroup;
use promoflow_store::{
    AlertStore, DeliveryState, NewNotification, Notification, NotificationId, NotificationOutcome,
    ThrottledParty,
};

pub(super) fn load_all(connection: &Connection) -> Result<Vec<Alert>> {
    let mut statement = connection.prepare_cached(
        "SELECT kind, type, discount, level, raised, sequence, is_notified, params,
                changed_at
         FROM alert ORDER BY type, discount, kind, level",
    )?;
    let mut rows = statement.query([])?;
    let mut alerts = Vec::new();
    while let Some(row) = rows.next()? {
        alerts.extend(skip_damaged(read(row))?);
    }
    Ok(alerts)
}

fn read(row: &Row<'_>) -> Result<Alert> {
    let (kind, level): (String, String) = (row.get(0)?, row.get(3)?);
    let unknown = |what: &str| damaged(format!("an alert of {what}"), "unknown kind or level");
    let found = Kind::ALL.into_iter().find(|one| one.name() == kind);
    let kind = found.ok_or_else(|| unknown(&kind))?;
    let found = Level::ALL.into_iter().find(|one| one.name() == level);
    let level = found.ok_or_else(|| unknown(&level))?;
    let code_group = CodeGroup {
        code_type: row.get(1)?,
        discount: row.get(2)?,
    };
    let params: String = row.get(7)?;
    Ok(Alert {
        subject: Subject {
            kind,
            code_group,
            level,
        },
        raised: row.get(4)?,
        sequence: row.get(5)?,
        notified: row.get(6)?,
        params: serde_json::from_str(&params)
            .map_err(|error| unreadable("the parameters of an alert", &error))?,
        at: Timestamp(row.get(8)?),
    })
}

/// Stores an alert in place of `previous`. Returns false if that is not the stored one any more.
fn replace(connection: &Connection, alert: &Alert, previous: Option<&Alert>) -> Result<bool> {
    let Subject {
        kind,
        code_group,
        level,
    } = &alert.subject;
    let params = serde_json::to_string(&alert.params)
        .map_err(|error| damaged("the parameters of an alert", error))?;
    let changed = params![
        kind.name(),
        code_group.code_type,
        code_group.discount,
        level.name(),
        alert.raised,
        alert.sequence,
        alert.notified,
        params,
        alert.at.0,
    ];
    let stored = match previous {
        None => connection
            .prepare_cached(
                "INSERT INTO alert
                     (kind, type, discount, level, raised, sequence, is_notified, params, changed_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING",
            )?
            .execute(changed)?,
        Some(previous) => connection
            .prepare_cached(
                "UPDATE alert
                 SET raised = ?5, sequence = ?6, is_notified = ?7, params = ?8, changed_at = ?9
                 WHERE kind = ?1 AND type = ?2 AND discount = ?3 AND level = ?4
                     AND raised = ?10 AND sequence = ?11 AND is_notified = ?12
                     AND changed_at = ?13",
            )?
            .execute(
                &*[
                    changed,
                    params![
                        previous.raised,
                        previous.sequence,
                        previous.notified,
                        previous.at.0,
                    ],
                ]
                .concat(),
            )?,
    };
    Ok(stored == 1)
}

/// Returns every code group that ever had a code.
pub(super) fn code_groups(connection: &Connection) -> Result<Vec<CodeGroup>> {
    let mut statement = connection
        .prepare_cached("SELECT type, discount FROM code_group ORDER BY type, discount")?;
    let mut rows = statement.query([])?;
    let mut code_groups = Vec::new();
    while let Some(row) = rows.next()? {
        code_groups.extend(skip_damaged(code_groups::read_columns(row, 0))?);
    }
    Ok(code_groups)
}

/// Counts available codes of a code group that expire after `from`, and not after `to`; at most
/// `limit`.
pub(super) fn count_available_between(
    connection: &Connection,
    code_group: &CodeGroup,
    from: Timestamp,
    to: Timestamp,
    limit: u64,
) -> Result<u64> {
    let Some(code_group) =
        code_groups::find(connection, &code_group.code_type, code_group.discount)?
    else {
        return Ok(0);
    };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let count: i64 = connection
        .prepare_cached(
            "SELECT count(*) FROM (SELECT 1 FROM available_code
                 WHERE code_group = ?1 AND expires_at > ?2 AND expires_at <= ?3 LIMIT ?4)",
        )?
        .query_row(params![code_group, from.0, to.0, limit], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

impl AlertStore for SqliteStore {
    fn alerts(&self) -> StoreResult<Vec<Alert>> {
        Ok(self.read(load_all)?)
    }

    fn save_alert(
        &self,
        alert: &Alert,
        previous: Option<&Alert>,
        notifications: &[NewNotification],
    ) -> StoreResult<bool> {
        Ok(self.write(|connection, _| {
            let stored = replace(connection, alert, previous)?;
            if stored {
                for notification in notifications {
                    notifications::put(connection, notification, alert.at)?;
                }
            }
            Ok(stored)
        })?)
    }

    fn due_notifications(
        &self,
        webhook: &str,
        now: Timestamp,
        limit: usize,
    ) -> StoreResult<Vec<Notification>> {
        Ok(self.read(|connection| notifications::due(connection, webhook, now, limit))?)
    }

    fn begin_notification_attempt(&self, id: NotificationId) -> StoreResult<Option<u32>> {
        Ok(self.write(|connection, _| notifications::begin(connection, id))?)
    }

    fn end_notification_attempt(
        &self,
        id: NotificationId,
        attempt: u32,
        end: &NotificationOutcome,
        paused: Option<(ThrottledParty<'_>, Timestamp)>,
    ) -> StoreResult<()> {
        Ok(self.write(|connection, _| {
            if let Some((party, until)) = paused {
                throttles::put(connection, party, until)?;
            }
            notifications::end(connection, id, attempt, end)
        })?)
    }

    fn notifications(
        &self,
        state: Option<DeliveryState>,
        before: Option<NotificationId>,
        limit: usize,
    ) -> StoreResult<Vec<Notification>> {
        Ok(self.read(|connection| notifications::list(connection, state, before, limit))?)
    }
}
