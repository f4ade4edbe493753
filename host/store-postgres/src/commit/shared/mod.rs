//! The commit of ordinary units in a transaction beside which others write.
//!
//! It takes two round trips. The first one sends everything that another transaction may decide:
//! it adds the events, locks the runs and the deliveries, and takes the codes, always in this order
//! and each in the order of their keys, so that two commits wait for each other in one direction.
//! The answers say of every unit whether it is still right. If all are, the second round trip adds
//! the rest together with the commit. If some are not, the transaction is rolled back, and the
//! others are committed without them.
//!
//! Everything else that is read here is only written by exclusive transactions: it does not change
//! before this transaction ends.

mod changes;
mod deliveries;
mod judge;
mod lock;
mod rows;
mod statements;
mod write;

use promoflow_model::clock::Clock;
use promoflow_store::{AcceptEvent, AttemptBatch, CommitReply, CommitUnit, Segment};

use super::claim_codes::claims_to_take;
use super::effects::params_json;
use crate::PostgresStore;
use crate::errors::{Result, damaged};
use crate::sequences::IdOf;
use crate::transaction::{Mode, Transaction};
use changes::Changes;
use lock::Found;
use promoflow_store::rules::runs::keeps_effects;

/// How often a batch is tried without the units that were refused before.
const MAX_TRIES: u32 = 3;

/// An ordinary unit.
struct Member<'u> {
    /// The index of the unit in the batch.
    index: usize,
    work: Work<'u>,
}

enum Work<'u> {
    /// An event to accept.
    Accept(NewEvent<'u>),
    /// An event that another transaction has accepted. Its runs are looked up.
    Known(&'u AcceptEvent),
    /// The next segment of a run.
    Segment(&'u Segment),
    /// Ends and starts of attempts.
    Attempts(&'u AttemptBatch),
}

/// An event to accept, with the ids of its rows.
struct NewEvent<'u> {
    accept: &'u AcceptEvent,
    id: i64,
    runs: Vec<i64>,
    params: String,
}

impl<'u> Work<'u> {
    /// Returns the segments that the unit commits, each with its run and its number.
    fn segments(&self) -> Vec<(i64, u32, &'u Segment)> {
        match self {
            Work::Accept(event) => {
                let starts = event.runs.iter().zip(&event.accept.starts);
                let segments = starts.filter_map(|(run, start)| {
                    let segment = start.segment.as_ref();
                    segment.map(|segment| (*run, 0, segment))
                });
                segments.collect()
            }
            Work::Segment(segment) => {
                let run = segment.run.iter();
                run.map(|(run, number)| (run.0, *number, *segment))
                    .collect()
            }
            Work::Known(_) | Work::Attempts(_) => Vec::new(),
        }
    }
}

/// What becomes of a unit.
enum Verdict {
    /// It is committed, with this reply.
    Commit(CommitReply),
    /// It is not committed, and gets this reply.
    Refuse(CommitReply),
    /// Its event is stored already.
    Known,
    /// It is not ordinary.
    NotOrdinary,
}

/// The outcome of a try.
enum Tried {
    /// Every unit was committed.
    Committed(Vec<CommitReply>),
    /// Nothing was committed, because some units must not be.
    RolledBack(Vec<Verdict>),
}

/// What became of ordinary units. The indices are those of the batch.
#[derive(Default)]
pub(super) struct Done {
    /// The replies.
    pub(super) replies: Vec<(usize, CommitReply)>,
    /// Units that need an exclusive transaction after all.
    pub(super) others: Vec<usize>,
    /// True if any unit was committed.
    pub(super) committed: bool,
}

/// Commits ordinary units, given by their indices.
pub(super) fn commit(
    store: &PostgresStore,
    units: &[CommitUnit],
    ordinary: &[usize],
    clock: &dyn Clock,
) -> Result<Done> {
    let mut done = Done::default();
    let mut members: Vec<Member<'_>> = Vec::with_capacity(ordinary.len());
    for &index in ordinary {
        let Some(unit) = units.get(index) else {
            continue;
        };
        let work = match unit {
            CommitUnit::Accept(accept) => Work::Accept(NewEvent {
                accept,
                id: 0,
                runs: Vec::new(),
                params: params_json(&accept.event)?,
            }),
            CommitUnit::Segment(segment) => Work::Segment(segment),
            CommitUnit::Attempts(batch) => Work::Attempts(batch),
        };
        members.push(Member { index, work });
    }
    for _ in 0..MAX_TRIES {
        if members.is_empty() {
            break;
        }
        let tried = store.pool.write(Mode::Shared, |transaction| {
            attempt(store, transaction, &mut members, clock)
        })?;
        match tried {
            Tried::Committed(replies) => {
                let indices = members.drain(..).map(|member| member.index);
                done.replies.extend(indices.zip(replies));
                done.committed = true;
            }
            Tried::RolledBack(verdicts) => {
                members = without_refused(members, verdicts, &mut done);
            }
        }
    }
    done.others
        .extend(members.iter().map(|member| member.index));
    Ok(done)
}

/// Returns the units that are tried again.
fn without_refused<'u>(
    members: Vec<Member<'u>>,
    verdicts: Vec<Verdict>,
    done: &mut Done,
) -> Vec<Member<'u>> {
    let mut rest = Vec::with_capacity(members.len());
    for (mut member, verdict) in members.into_iter().zip(verdicts) {
        match verdict {
            Verdict::Commit(_) => rest.push(member),
            Verdict::Refuse(reply) => done.replies.push((member.index, reply)),
            Verdict::NotOrdinary => done.others.push(member.index),
            Verdict::Known => {
                if let Work::Accept(event) = &member.work {
                    member.work = Work::Known(event.accept);
                }
                rest.push(member);
            }
        }
    }
    rest
}

/// Tries to commit all members. May be repeated.
fn attempt(
    store: &PostgresStore,
    transaction: &Transaction<'_>,
    members: &mut [Member<'_>],
    clock: &dyn Clock,
) -> Result<Tried> {
    let ids = assign_ids(store, transaction, members)?;
    let found = Found::lock(store, transaction, members, clock.now())?;
    // Read once the locks are held, because codes may expire while waiting for them.
    let now = clock.now();
    let mut changes = Changes::new(&found.deliveries, now);
    let verdicts: Vec<Verdict> = members
        .iter()
        .map(|member| judge::judge(member, &found, &mut changes, now))
        .collect();
    if !verdicts
        .iter()
        .all(|verdict| matches!(verdict, Verdict::Commit(_)))
    {
        transaction.roll_back()?;
        return Ok(Tried::RolledBack(verdicts));
    }
    write::write(transaction, members, ids, &found, now)?;
    changes.write(transaction);
    let replies = verdicts.into_iter().filter_map(|verdict| match verdict {
        Verdict::Commit(reply) => Some(reply),
        _ => None,
    });
    Ok(Tried::Committed(replies.collect()))
}

/// The ids of the rows that segments add.
struct EffectIds {
    claims: std::vec::IntoIter<i64>,
    deliveries: std::vec::IntoIter<i64>,
}

impl EffectIds {
    fn claim(&mut self) -> Result<i64> {
        next(&mut self.claims)
    }

    fn delivery(&mut self) -> Result<i64> {
        next(&mut self.deliveries)
    }
}

fn next(ids: &mut impl Iterator<Item = i64>) -> Result<i64> {
    ids.next()
        .ok_or_else(|| damaged("the ids of a commit", "there are too few"))
}

/// Gives events and runs their ids, and returns those of claims and deliveries.
fn assign_ids(
    store: &PostgresStore,
    transaction: &Transaction<'_>,
    members: &mut [Member<'_>],
) -> Result<EffectIds> {
    let (mut events, mut runs, mut claims, mut deliveries) = (0, 0, 0, 0);
    for member in members.iter() {
        let segments: Vec<&Segment> = match &member.work {
            Work::Accept(event) => {
                events += 1;
                runs += event.accept.starts.len();
                let starts = event.accept.starts.iter();
                starts.filter_map(|start| start.segment.as_ref()).collect()
            }
            Work::Segment(segment) => vec![segment],
            Work::Known(_) | Work::Attempts(_) => Vec::new(),
        };
        for segment in segments {
            claims += claims_to_take(segment).len();
            if keeps_effects(&segment.end) {
                deliveries += segment.deliveries.len();
            }
        }
    }
    let [events, runs, claims, deliveries] = store.pool.sequences.take(
        transaction,
        [
            (IdOf::Event, events),
            (IdOf::Run, runs),
            (IdOf::Claim, claims),
            (IdOf::Delivery, deliveries),
        ],
    )?;
    let (mut events, mut runs) = (events.into_iter(), runs.into_iter());
    for member in members {
        if let Work::Accept(event) = &mut member.work {
            event.id = next(&mut events)?;
            event.runs = runs.by_ref().take(event.accept.starts.len()).collect();
        }
    }
    Ok(EffectIds {
        claims: claims.into_iter(),
        deliveries: deliveries.into_iter(),
    })
}
