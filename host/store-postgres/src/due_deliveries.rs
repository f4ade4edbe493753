//! Deliveries that may be attempted now.
//!
//! Scheduled deliveries (retries, and those that waited for their hours) and new ones are read
//! separately from one index, and begin alternately. So a due retry does not wait for a stream of
//! new deliveries to end, nor a new delivery for a backlog of retries.
//!
//! The page is chosen by ids and sizes, and only the contents of the chosen ones are read.

use std::collections::{HashMap, HashSet};
use std::iter::once;

use promoflow_model::clock::Timestamp;
use promoflow_model::message::ChannelKind;
use promoflow_store::{
    Alternative, DUE_NOW, DeliveryId, DueDelivery, DuePage, MAX_PAGE_BYTES, StoreError,
};

use crate::connection::{Answer, Row, params};
use crate::deliveries::{read_channel, read_content, read_hours};
use crate::errors::{Error, Result};
use crate::transaction::Transaction;

/// Returns up to `limit` deliveries that may be attempted now.
pub(crate) fn page(
    transaction: &Transaction<'_>,
    kinds: &[ChannelKind],
    now: Timestamp,
    limit: usize,
    scheduled_first: bool,
    excluded: &HashSet<DeliveryId>,
) -> Result<DuePage> {
    let mut scheduled = Candidates::default();
    let mut at_once = Candidates::default();
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    let excluded: Vec<i64> = excluded.iter().map(|delivery| delivery.0).collect();
    // One more of each, so that `more` is known.
    let most = i64::try_from(limit).map_or(i64::MAX, |limit| limit.saturating_add(1));
    let from_start = i64::MIN;
    let answers = transaction.pipeline(&[
        (CANDIDATES, params![names, DUE_NOW.0, now.0, excluded, most]),
        (
            CANDIDATES,
            params![names, from_start, DUE_NOW.0, excluded, most],
        ),
    ])?;
    for (candidates, answer) in [&mut scheduled, &mut at_once].into_iter().zip(answers) {
        *candidates = Candidates::read(answer)?;
    }
    let share = Bounds {
        deliveries: (limit + usize::from(scheduled_first)) / 2,
        bytes: MAX_PAGE_BYTES / 2,
    };
    let mut left = Bounds {
        deliveries: limit,
        bytes: MAX_PAGE_BYTES,
    };
    let taken = scheduled.take(share);
    left.subtract(taken);
    left.subtract(at_once.take(left));
    scheduled.take(left);
    let more = scheduled.has_more() || at_once.has_more();
    let (first, second) = match scheduled_first {
        true => (scheduled, at_once),
        false => (at_once, scheduled),
    };
    let mut page = load(transaction, &interleave(first.taken(), second.taken()))?;
    page.more = more;
    Ok(page)
}

/// Finds deliveries of some channels, the longest due first: their ids and the sizes of their
/// contents. The sizes are not exact, and need not be.
const CANDIDATES: &str = "
    SELECT due.id, due.size::bigint FROM unnest($1::text[]) AS kind CROSS JOIN LATERAL (
        SELECT id, due_at, octet_length(content) AS size FROM delivery
        WHERE channel = kind AND due_at > $2 AND due_at <= $3 AND id <> ALL($4::bigint[])
        ORDER BY due_at, id LIMIT $5) AS due
    ORDER BY due.due_at, due.id LIMIT $5";

/// The maximum size of a page, or of a part of it.
#[derive(Clone, Copy, Default)]
struct Bounds {
    deliveries: usize,
    /// Content bytes; the delivery that reaches this is the last.
    bytes: usize,
}

impl Bounds {
    fn subtract(&mut self, taken: Bounds) {
        self.deliveries = self.deliveries.saturating_sub(taken.deliveries);
        self.bytes = self.bytes.saturating_sub(taken.bytes);
    }
}

/// Due deliveries of one kind, of which the first ones are taken.
#[derive(Default)]
struct Candidates {
    /// Their ids and sizes.
    all: Vec<(i64, usize)>,
    taken: usize,
}

impl Candidates {
    fn read(answer: Answer) -> Result<Candidates> {
        let rows = answer.rows.iter().map(|row| {
            let size: i64 = row.get(1)?;
            Ok((row.get(0)?, usize::try_from(size).unwrap_or(usize::MAX)))
        });
        Ok(Candidates {
            all: rows.collect::<Result<_>>()?,
            taken: 0,
        })
    }

    /// Takes as many of the next ones as the bounds allow. Returns how much that is.
    fn take(&mut self, bounds: Bounds) -> Bounds {
        let mut taken = Bounds::default();
        for (_, size) in self.all.iter().skip(self.taken) {
            if taken.deliveries >= bounds.deliveries || taken.bytes >= bounds.bytes {
                break;
            }
            taken.deliveries += 1;
            taken.bytes = taken.bytes.saturating_add(*size);
        }
        self.taken += taken.deliveries;
        taken
    }

    fn has_more(&self) -> bool {
        self.taken < self.all.len()
    }

    /// Returns the ids of those that were taken.
    fn taken(&self) -> impl Iterator<Item = i64> {
        self.all.iter().take(self.taken).map(|(id, _)| *id)
    }
}

/// Interleaves both lists; the rest of the longer one follows.
fn interleave(
    mut first: impl Iterator<Item = i64>,
    mut second: impl Iterator<Item = i64>,
) -> Vec<i64> {
    let mut ids = Vec::new();
    loop {
        let pair = (first.next(), second.next());
        if pair.0.is_none() && pair.1.is_none() {
            return ids;
        }
        ids.extend(once(pair.0).chain(once(pair.1)).flatten());
    }
}

/// Reads deliveries in this order.
fn load(transaction: &Transaction<'_>, ids: &[i64]) -> Result<DuePage> {
    let mut page = DuePage::default();
    if ids.is_empty() {
        return Ok(page);
    }
    let rows = transaction.rows(
        "SELECT id, channel, address, message, content, expires_at, attempts - attempts_before,
                allowed_hours, due_at, alternative
         FROM delivery WHERE id = ANY($1)",
        params![ids],
    )?;
    let rows = rows.into_iter().map(|row| Ok((row.get(0)?, row)));
    let mut rows: HashMap<i64, Row> = rows.collect::<Result<_>>()?;
    for id in ids {
        let Some(row) = rows.remove(id) else { continue };
        let id = DeliveryId(*id);
        match read(id, &row) {
            Ok(delivery) => page.deliveries.push(delivery),
            // An unreadable delivery does not block those behind it.
            Err(Error::Store(error @ StoreError::Damaged { .. })) => {
                page.unreadable.push((id, error.to_string()));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(page)
}

fn read(id: DeliveryId, row: &Row) -> Result<DueDelivery> {
    let hours: Option<String> = row.get(7)?;
    Ok(DueDelivery {
        id,
        target: Alternative {
            channel: read_channel(id, &row.get::<String>(1)?)?,
            address: row.get(2)?,
            message: row.get(3)?,
            content: read_content(id, &row.get::<String>(4)?)?,
        },
        alternative: row.count(9)?,
        expires: Timestamp(row.get(5)?),
        attempts: row.count(6)?,
        attempt: 0,
        hours: read_hours(id, hours.as_deref())?,
        was_scheduled: row.get::<i64>(8)? > DUE_NOW.0,
    })
}
