//! Alerts.

use promoflow_model::alert::{Alert, Kind, Level, Subject};
use promoflow_model::clock::Timestamp;
use promoflow_store::{
    AlertStore, DeliveryState, NewNotification, Notification, NotificationId, NotificationOutcome,
    ThrottledParty,
};

use crate::connection::{Param, Row, params};
use crate::errors::{Result, StoreResult, damaged, skip_damaged, unreadable};
use crate::transaction::Transaction;
use crate::{PostgresStore, code_groups, notifications, throttles};

fn read(row: &Row) -> Result<Alert> {
    let (kind, level): (String, String) = (row.get(0)?, row.get(3)?);
    let unknown = |what: &str| damaged(format!("an alert of {what}"), "unknown kind or level");
    let found = Kind::ALL.into_iter().find(|one| one.name() == kind);
    let kind = found.ok_or_else(|| unknown(&kind))?;
    let found = Level::ALL.into_iter().find(|one| one.name() == level);
    let level = found.ok_or_else(|| unknown(&level))?;
    let params: String = row.get(7)?;
    Ok(Alert {
        subject: Subject {
            kind,
            code_group: code_groups::read_columns(row, 1)?,
            level,
        },
        raised: row.flag(4)?,
        sequence: row.get(5)?,
        notified: row.flag(6)?,
        params: serde_json::from_str(&params)
            .map_err(|error| unreadable("the parameters of an alert", &error))?,
        at: Timestamp(row.get(8)?),
    })
}

/// Stores an alert in place of `previous`. Returns false if that is not the stored one any more.
fn replace(transaction: &Transaction<'_>, alert: &Alert, previous: Option<&Alert>) -> Result<bool> {
    let Subject {
        kind,
        code_group,
        level,
    } = &alert.subject;
    let params = serde_json::to_string(&alert.params)
        .map_err(|error| damaged("the parameters of an alert", error))?;
    let (kind, level) = (kind.name(), level.name());
    let discount = i32::from(code_group.discount);
    let changed: &[Param<'_>] = params![
        kind,
        code_group.code_type,
        discount,
        level,
        i32::from(alert.raised),
        alert.sequence,
        i32::from(alert.notified),
        params,
        alert.at.0,
    ];
    let stored = match previous {
        None => transaction.execute(
            "INSERT INTO alert
                 (kind, type, discount, level, raised, sequence, is_notified, params, changed_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             ON CONFLICT (type, discount, kind, level) DO NOTHING",
            changed,
        )?,
        Some(previous) => transaction.execute(
            "UPDATE alert
             SET raised = $5, sequence = $6, is_notified = $7, params = $8, changed_at = $9
             WHERE kind = $1 AND type = $2 AND discount = $3 AND level = $4
                 AND raised = $10 AND sequence = $11 AND is_notified = $12 AND changed_at = $13",
            &[
                changed,
                &params![
                    i32::from(previous.raised),
                    previous.sequence,
                    i32::from(previous.notified),
                    previous.at.0,
                ][..],
            ]
            .concat(),
        )?,
    };
    Ok(stored == 1)
}

impl AlertStore for PostgresStore {
    fn alerts(&self) -> StoreResult<Vec<Alert>> {
        Ok(self.read(|transaction| {
            let rows = transaction.rows(
                "SELECT kind, type, discount, level, raised, sequence, is_notified, params,
                        changed_at
                 FROM alert ORDER BY type, discount, kind, level",
                &[],
            )?;
            let alerts = rows.iter().map(|row| skip_damaged(read(row)));
            alerts.filter_map(Result::transpose).collect()
        })?)
    }

    fn save_alert(
        &self,
        alert: &Alert,
        previous: Option<&Alert>,
        notifications: &[NewNotification],
    ) -> StoreResult<bool> {
        Ok(self.write(|transaction| {
            let stored = replace(transaction, alert, previous)?;
            if stored {
                for notification in notifications {
                    notifications::put(transaction, notification, alert.at)?;
                }
            }
            Ok(stored)
        })?)
    }

    /// Only the host with that share sends notifications.
    fn due_notifications(
        &self,
        webhook: &str,
        now: Timestamp,
        limit: usize,
    ) -> StoreResult<Vec<Notification>> {
        if !self.sends_notifications()? {
            return Ok(Vec::new());
        }
        Ok(self.read(|transaction| notifications::due(transaction, webhook, now, limit))?)
    }

    fn begin_notification_attempt(&self, id: NotificationId) -> StoreResult<Option<u32>> {
        Ok(self.write(|transaction| {
            // The share may have been lost since the notification was due.
            match self.shares.owns_alerts() {
                true => notifications::begin(transaction, id),
                false => Ok(None),
            }
        })?)
    }

    fn end_notification_attempt(
        &self,
        id: NotificationId,
        attempt: u32,
        end: &NotificationOutcome,
        paused: Option<(ThrottledParty<'_>, Timestamp)>,
    ) -> StoreResult<()> {
        Ok(self.write(|transaction| {
            if let Some((party, until)) = paused {
                throttles::put(transaction, party, until)?;
            }
            notifications::end(transaction, id, attempt, end)
        })?)
    }

    fn notifications(
        &self,
        state: Option<DeliveryState>,
        before: Option<NotificationId>,
        limit: usize,
    ) -> StoreResult<Vec<Notification>> {
        Ok(self.read(|transaction| notifications::list(transaction, state, before, limit))?)
    }
}
