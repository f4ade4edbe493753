//! Deliveries that may be attempted now.
//!
//! Scheduled deliveries (retries, and those that waited for their hours) and new ones are read
//! separately from one index, and begin alternately. So a due retry does not wait for a stream of
//! new deliveries to end, nor a new delivery for a backlog of retries.

use std::iter::once;

use rusqlite::{Connection, Row, params};

use super::deliveries::{read_content, read_hours};
use super::{Error, Result, StoreError};
use promoflow_model::clock::Timestamp;
use promoflow_model::message::ChannelKind;
use promoflow_store::{AT_ONCE, Alternative, DeliveryId, DueDelivery, DuePage, MOST_PAGE_BYTES};

/// Returns up to `room` deliveries that may be attempted now.
pub(super) fn page(
    connection: &Connection,
    kinds: &[ChannelKind],
    now: Timestamp,
    room: usize,
    waited_first: bool,
    but: &dyn Fn(DeliveryId) -> bool,
) -> Result<DuePage> {
    let mut shelf = Shelf {
        connection,
        kinds,
        unreadable: Vec::new(),
    };
    let share = Bounds {
        letters: (room + usize::from(waited_first)) / 2,
        bytes: MOST_PAGE_BYTES / 2,
    };
    let whole = Bounds {
        letters: room,
        bytes: MOST_PAGE_BYTES,
    };
    let mut waited = shelf.take(AT_ONCE, now, share, but)?;
    let before = Timestamp(i64::MIN);
    let at_once = shelf.take(before, AT_ONCE, whole.without(&[&waited]), but)?;
    if !waited.all {
        let left = whole.without(&[&waited, &at_once]);
        let mut has: Vec<DeliveryId> = waited.letters.iter().map(|(_, one)| one.id).collect();
        has.extend(shelf.unreadable.iter().map(|(id, _)| *id));
        let rest = shelf.take(AT_ONCE, now, left, &|id| but(id) || has.contains(&id))?;
        waited.letters.extend(rest.letters);
        waited.all = rest.all;
    }
    let more = !waited.all || !at_once.all;
    let (first, second) = match waited_first {
        true => (waited, at_once),
        false => (at_once, waited),
    };
    Ok(DuePage {
        letters: in_turn(first.letters, second.letters),
        unreadable: shelf.unreadable,
        more,
    })
}

/// Interleaves both lists; the rest of the longer one follows.
fn in_turn(first: Vec<(i64, DueDelivery)>, second: Vec<(i64, DueDelivery)>) -> Vec<DueDelivery> {
    let mut letters = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        let pair = (first.next(), second.next());
        if pair.0.is_none() && pair.1.is_none() {
            return letters;
        }
        letters.extend(once(pair.0).chain(once(pair.1)).flatten().map(|one| one.1));
    }
}

/// The maximum size of a page.
#[derive(Clone, Copy)]
struct Bounds {
    letters: usize,
    /// Content bytes; the delivery that reaches this is the last.
    bytes: usize,
}

impl Bounds {
    /// Returns the remaining bounds after these pages.
    fn without(self, taken: &[&Taken]) -> Bounds {
        let letters = taken.iter().flat_map(|taken| &taken.letters);
        Bounds {
            letters: self.letters.saturating_sub(letters.clone().count()),
            bytes: self
                .bytes
                .saturating_sub(letters.map(|(_, one)| one.size()).sum()),
        }
    }
}

/// Found deliveries, each with the time since when it is due.
struct Taken {
    letters: Vec<(i64, DueDelivery)>,
    /// True if there are no more.
    all: bool,
}

/// The deliveries of some channels.
struct Shelf<'s> {
    connection: &'s Connection,
    kinds: &'s [ChannelKind],
    unreadable: Vec<(DeliveryId, String)>,
}

impl Shelf<'_> {
    /// Returns deliveries due after `after` and not after `until`, of all channels, merged by due
    /// time.
    fn take(
        &mut self,
        after: Timestamp,
        until: Timestamp,
        bounds: Bounds,
        but: &dyn Fn(DeliveryId) -> bool,
    ) -> Result<Taken> {
        let mut taken = Taken {
            letters: Vec::new(),
            all: true,
        };
        for kind in self.kinds {
            self.of_channel(*kind, (after, until), bounds, but, &mut taken)?;
        }
        if self.kinds.len() > 1 {
            let letters = &mut taken.letters;
            letters.sort_by_key(|(since, delivery)| (*since, delivery.id));
            taken.all &= letters.len() <= bounds.letters;
            letters.truncate(bounds.letters);
        }
        Ok(taken)
    }

    fn of_channel(
        &mut self,
        kind: ChannelKind,
        (after, until): (Timestamp, Timestamp),
        bounds: Bounds,
        but: &dyn Fn(DeliveryId) -> bool,
        taken: &mut Taken,
    ) -> Result<()> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, address, message, content, expires, attempts - attempts_before, hours, due,
                 alternative
             FROM delivery WHERE channel = ?1 AND due > ?2 AND due <= ?3 ORDER BY due, id",
        )?;
        let mut rows = statement.query(params![kind.name(), after.0, until.0])?;
        let (mut count, mut bytes) = (0, 0);
        while count < bounds.letters && bytes < bounds.bytes {
            let Some(row) = rows.next()? else {
                return Ok(());
            };
            let id = DeliveryId(row.get(0)?);
            if but(id) {
                continue;
            }
            count += 1;
            match read(id, kind, row) {
                Ok((due, delivery)) => {
                    bytes += delivery.size();
                    taken.letters.push((due, delivery));
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
        way: Alternative {
            channel: kind,
            address: row.get(1)?,
            message: row.get(2)?,
            content: read_content(id, row.get_ref(3)?.as_str().unwrap_or_default())?,
        },
        alternative: row.get(8)?,
        expires: Timestamp(row.get(4)?),
        tries: row.get(5)?,
        hours: read_hours(id, row.get_ref(6)?.as_str_or_null().unwrap_or_default())?,
        waited: due > AT_ONCE.0,
    };
    Ok((due, delivery))
}
