//! Deliveries that may be attempted now.
//!
//! Scheduled deliveries (retries, and those that waited for their hours) and new ones are read
//! separately from one index, and begin alternately. So a due retry does not wait for a stream of
//! new deliveries to end, nor a new delivery for a backlog of retries.

use std::collections::HashSet;
use std::iter::once;

use rusqlite::{Connection, Row, params};

use super::deliveries::{read_content, read_hours};
use super::{Error, Result, StoreError};
use promoflow_model::clock::Timestamp;
use promoflow_model::message::ChannelKind;
use promoflow_store::{Alternative, DUE_NOW, DeliveryId, DueDelivery, DuePage, MAX_PAGE_BYTES};

/// Returns up to `limit` deliveries that may be attempted now.
pub(super) fn page(
    connection: &Connection,
    kinds: &[ChannelKind],
    now: Timestamp,
    limit: usize,
    scheduled_first: bool,
    excluded: &HashSet<DeliveryId>,
) -> Result<DuePage> {
    let is_excluded = |id| excluded.contains(&id);
    let mut query = DueQuery {
        connection,
        kinds,
        unreadable: Vec::new(),
    };
    let share = Bounds {
        deliveries: (limit + usize::from(scheduled_first)) / 2,
        bytes: MAX_PAGE_BYTES / 2,
    };
    let whole = Bounds {
        deliveries: limit,
        bytes: MAX_PAGE_BYTES,
    };
    let mut scheduled = query.fetch(DUE_NOW, now, share, &is_excluded)?;
    let before = Timestamp(i64::MIN);
    let at_once = query.fetch(before, DUE_NOW, whole.without(&[&scheduled]), &is_excluded)?;
    if !scheduled.all {
        let left = whole.without(&[&scheduled, &at_once]);
        let mut has: Vec<DeliveryId> = scheduled.deliveries.iter().map(|(_, one)| one.id).collect();
        has.extend(query.unreadable.iter().map(|(id, _)| *id));
        let rest = query.fetch(DUE_NOW, now, left, &|id| {
            is_excluded(id) || has.contains(&id)
        })?;
        scheduled.deliveries.extend(rest.deliveries);
        scheduled.all = rest.all;
    }
    let more = !scheduled.all || !at_once.all;
    let (first, second) = match scheduled_first {
        true => (scheduled, at_once),
        false => (at_once, scheduled),
    };
    Ok(DuePage {
        deliveries: interleave(first.deliveries, second.deliveries),
        unreadable: query.unreadable,
        more,
    })
}

/// Interleaves both lists; the rest of the longer one follows.
fn interleave(first: Vec<(i64, DueDelivery)>, second: Vec<(i64, DueDelivery)>) -> Vec<DueDelivery> {
    let mut deliveries = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        let pair = (first.next(), second.next());
        if pair.0.is_none() && pair.1.is_none() {
            return deliveries;
        }
        deliveries.extend(once(pair.0).chain(once(pair.1)).flatten().map(|one| one.1));
    }
}

/// The maximum size of a page.
#[derive(Clone, Copy)]
struct Bounds {
    deliveries: usize,
    /// Content bytes; the delivery that reaches this is the last.
    bytes: usize,
}

impl Bounds {
    /// Returns the remaining bounds after these pages.
    fn without(self, taken: &[&DueBatch]) -> Bounds {
        let deliveries = taken.iter().flat_map(|taken| &taken.deliveries);
        Bounds {
            deliveries: self.deliveries.saturating_sub(deliveries.clone().count()),
            bytes: self
                .bytes
                .saturating_sub(deliveries.map(|(_, one)| one.size()).sum()),
        }
    }
}

/// Found deliveries, each with the time since when it is due.
struct DueBatch {
    deliveries: Vec<(i64, DueDelivery)>,
    /// True if there are no more.
    all: bool,
}

/// The deliveries of some channels.
struct DueQuery<'s> {
    connection: &'s Connection,
    kinds: &'s [ChannelKind],
    unreadable: Vec<(DeliveryId, String)>,
}

impl DueQuery<'_> {
    /// Returns deliveries due after `after` and not after `until`, of all channels, merged by due
    /// time.
    fn fetch(
        &mut self,
        after: Timestamp,
        until: Timestamp,
        bounds: Bounds,
        is_excluded: &dyn Fn(DeliveryId) -> bool,
    ) -> Result<DueBatch> {
        let mut taken = DueBatch {
            deliveries: Vec::new(),
            all: true,
        };
        for kind in self.kinds {
            self.of_channel(*kind, (after, until), bounds, is_excluded, &mut taken)?;
        }
        if self.kinds.len() > 1 {
            let deliveries = &mut taken.deliveries;
            deliveries.sort_by_key(|(since, delivery)| (*since, delivery.id));
            taken.all &= deliveries.len() <= bounds.deliveries;
            deliveries.truncate(bounds.deliveries);
        }
        Ok(taken)
    }

    fn of_channel(
        &mut self,
        kind: ChannelKind,
        (after, until): (Timestamp, Timestamp),
        bounds: Bounds,
        is_excluded: &dyn Fn(DeliveryId) -> bool,
        taken: &mut DueBatch,
    ) -> Result<()> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, address, message, content, expires_at, attempts - attempts_before,
                    allowed_hours, due_at, alternative
             FROM delivery WHERE channel = ?1 AND due_at > ?2 AND due_at <= ?3 ORDER BY due_at, id",
        )?;
        let mut rows = statement.query(params![kind.name(), after.0, until.0])?;
        let (mut count, mut bytes) = (0, 0);
        while count < bounds.deliveries && bytes < bounds.bytes {
            let Some(row) = rows.next()? else {
                return Ok(());
            };
            let id = DeliveryId(row.get(0)?);
            if is_excluded(id) {
                continue;
            }
            count += 1;
            match read(id, kind, row) {
                Ok((due, delivery)) => {
                    bytes += delivery.size();
                    taken.deliveries.push((due, delivery));
                }
                // An unreadable delivery does not block those behind it.
                Err(error @ Error(StoreError::Damaged { .. })) => {
                    self.unreadable.push((id, error.to_string()));
                }
                Err(error) => return Err(error),
            }
        }
        taken.all = false;
        Ok(())
    }
}

fn read(id: DeliveryId, kind: ChannelKind, row: &Row<'_>) -> Result<(i64, DueDelivery)> {
    let due = row.get(7)?;
    let delivery = DueDelivery {
        id,
        target: Alternative {
            channel: kind,
            address: row.get(1)?,
            message: row.get(2)?,
            content: read_content(id, row.get_ref(3)?.as_str().unwrap_or_default())?,
        },
        alternative: row.get(8)?,
        expires: Timestamp(row.get(4)?),
        attempts: row.get(5)?,
        attempt: 0,
        hours: read_hours(id, row.get_ref(6)?.as_str_or_null().unwrap_or_default())?,
        was_scheduled: due > DUE_NOW.0,
    };
    Ok((due, delivery))
}
