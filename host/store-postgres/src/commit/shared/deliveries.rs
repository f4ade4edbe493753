//! The deliveries whose attempts end or start, locked.

use std::collections::{HashMap, HashSet};

use promoflow_model::clock::Timestamp;
use promoflow_model::contact::AddressKind;
use promoflow_store::{AttemptBatch, AttemptOutcome, DeliveryId};

use super::statements::{Answers, Place, Statements};
use crate::connection::{Row, params};
use crate::contacts;
use crate::deliveries::read_channel;
use crate::errors::Result;
use crate::hosts::Shares;
use crate::transaction::Transaction;

const LOCK: &str = "SELECT id, state, due_at, error, attempts, expires_at, alternative,
         channel, address
     FROM delivery WHERE id = ANY($1) ORDER BY id FOR UPDATE";
const FIND_UNENDED: &str = "SELECT attempt.delivery, attempt.number::integer
     FROM unnest($1::bigint[], $2::bigint[]) AS ended (delivery, number)
         JOIN attempt ON attempt.delivery = ended.delivery AND attempt.number = ended.number
     WHERE attempt.ended_at IS NULL";
/// The present attempt is not ambiguous any more once it has failed permanently.
const COUNT_ALTERNATIVES: &str = "SELECT failed.delivery,
         (SELECT count(*)::integer FROM delivery_alternative
          WHERE delivery_alternative.delivery = failed.delivery),
         (SELECT count(*)::integer FROM attempt
          WHERE attempt.delivery = failed.delivery AND attempt.number <> failed.number
              AND attempt.ambiguous = 1)
     FROM unnest($1::bigint[], $2::bigint[]) AS failed (delivery, number)";
/// The deliveries of a commit.
#[derive(Default)]
pub(super) struct Wanted {
    ids: Vec<i64>,
    starts: HashSet<i64>,
    ends: (Vec<i64>, Vec<i64>),
    /// Attempts that failed permanently.
    failed: (Vec<i64>, Vec<i64>),
}

/// The places of the statements.
pub(super) struct Places {
    locked: Place,
    unended: Place,
    alternatives: Place,
    any_suppression: Place,
    /// The deliveries whose attempts start.
    starts: HashSet<i64>,
}

impl Wanted {
    pub(super) fn add(&mut self, batch: &AttemptBatch) {
        for end in &batch.ends {
            let (id, number) = (end.delivery.0, i64::from(end.attempt));
            self.ids.push(id);
            self.ends.0.push(id);
            self.ends.1.push(number);
            if matches!(end.outcome, AttemptOutcome::PermanentFailure { .. }) {
                self.failed.0.push(id);
                self.failed.1.push(number);
            }
        }
        self.ids
            .extend(batch.rescheduled.iter().map(|(delivery, _)| delivery.0));
        self.ids
            .extend(batch.unreadable.iter().map(|(delivery, _)| delivery.0));
        let starts = batch.starts.iter().map(|delivery| delivery.0);
        self.ids.extend(starts.clone());
        self.starts.extend(starts);
    }

    /// Adds the statements that lock and read the deliveries.
    pub(super) fn add_to(self, all: &mut Statements) -> Places {
        let Wanted {
            ids,
            starts,
            ends,
            failed,
        } = self;
        Places {
            locked: all.add(!ids.is_empty(), LOCK, vec![Box::new(ids)]),
            unended: all.add(
                !ends.0.is_empty(),
                FIND_UNENDED,
                vec![Box::new(ends.0), Box::new(ends.1)],
            ),
            alternatives: all.add(
                !failed.0.is_empty(),
                COUNT_ALTERNATIVES,
                vec![Box::new(failed.0), Box::new(failed.1)],
            ),
            any_suppression: all.add(!starts.is_empty(), contacts::ANY_SUPPRESSION, Vec::new()),
            starts,
        }
    }
}

/// The locked deliveries.
#[derive(Default)]
pub(super) struct Locked {
    pub(super) rows: HashMap<i64, Delivery>,
    /// The attempts that have not ended, by delivery and number.
    pub(super) unended: HashSet<(i64, i32)>,
    /// For deliveries that failed permanently: the numbers of alternatives and of ambiguous
    /// attempts.
    pub(super) alternatives: HashMap<i64, (u32, u32)>,
    /// Deliveries whose attempts may have to be skipped, because somebody has unsubscribed.
    pub(super) suppressed: HashSet<i64>,
    /// Deliveries that another host delivers.
    pub(super) foreign: HashSet<i64>,
}

/// The part of a delivery that attempts change.
#[derive(Clone)]
pub(super) struct Delivery {
    pub(super) state: String,
    pub(super) due: Option<i64>,
    pub(super) error: Option<String>,
    pub(super) attempts: i32,
    pub(super) expires: i64,
    pub(super) alternative: u32,
    pub(super) is_changed: bool,
}

impl Locked {
    /// `shares`: read after the seat was locked, so that no other host takes them before the commit.
    pub(super) fn read(
        transaction: &Transaction<'_>,
        shares: &Shares,
        places: &Places,
        answers: &Answers,
    ) -> Result<Locked> {
        let mut locked = Locked::default();
        for row in answers.rows(places.locked) {
            let id = row.get(0)?;
            locked.rows.insert(id, read(row)?);
            if places.starts.contains(&id) {
                let channel = read_channel(DeliveryId(id), &row.get::<String>(7)?)?;
                if !shares.owns_channel(channel) {
                    locked.foreign.insert(id);
                }
            }
        }
        for row in answers.rows(places.unended) {
            locked.unended.insert((row.get(0)?, row.get(1)?));
        }
        for row in answers.rows(places.alternatives) {
            let counts = (row.count(1)?, row.count(2)?);
            locked.alternatives.insert(row.get(0)?, counts);
        }
        if !answers.rows(places.any_suppression).is_empty() {
            let rows = answers.rows(places.locked);
            locked.suppressed = find_suppressed(transaction, rows, &places.starts)?;
        }
        Ok(locked)
    }
}

/// Returns the deliveries whose attempts may have to be skipped.
fn find_suppressed(
    transaction: &Transaction<'_>,
    deliveries: &[Row],
    starts: &HashSet<i64>,
) -> Result<HashSet<i64>> {
    let (mut ids, mut kinds) = (Vec::new(), Vec::new());
    let (mut keys, mut channels) = (Vec::new(), Vec::new());
    for row in deliveries {
        let id: i64 = row.get(0)?;
        if starts.contains(&id) {
            let channel = read_channel(DeliveryId(id), &row.get::<String>(7)?)?;
            let kind = AddressKind::of(channel);
            ids.push(id);
            kinds.push(kind.name());
            keys.push(kind.key(&row.get::<String>(8)?));
            channels.push(channel.name());
        }
    }
    let rows = transaction.rows(
        contacts::FIND_SUPPRESSED,
        params![ids, kinds, keys, channels],
    )?;
    rows.iter().map(|row| row.get(0)).collect()
}

fn read(row: &Row) -> Result<Delivery> {
    Ok(Delivery {
        state: row.get(1)?,
        due: row.get(2)?,
        error: row.get(3)?,
        attempts: row.get(4)?,
        expires: row.get(5)?,
        alternative: row.count(6)?,
        is_changed: false,
    })
}

impl Delivery {
    /// Changes a pending delivery; another one stays as it is.
    pub(super) fn set(&mut self, state: &'static str, due: Option<Timestamp>, error: Option<&str>) {
        if self.is_pending() {
            state.clone_into(&mut self.state);
            self.due = due.map(|due| due.0.min(self.expires));
            self.error = error.map(str::to_owned);
            self.is_changed = true;
        }
    }

    pub(super) fn is_pending(&self) -> bool {
        self.state == "pending"
    }
}
