//! The first round trip: locks every row that decides, and reads what it says.

use std::collections::{HashMap, HashSet};

use promoflow_model::clock::Timestamp;
use promoflow_model::pool::CodeGroup;
use promoflow_store::rules::runs::keeps_effects;
use promoflow_store::{Segment, SegmentEnd};

use super::deliveries::{Locked, Wanted as WantedDeliveries};
use super::statements::Statements;
use super::{Member, Work};
use crate::PostgresStore;
use crate::commit::claim_codes::claims_to_take;
use crate::commit::known_events::{self, KnownEvent};
use crate::connection::Row;
use crate::errors::Result;
use crate::settings::parse_number;
use crate::transaction::Transaction;

const READ_SETTINGS: &str =
    "SELECT name, value FROM setting WHERE name IN ('config-version', 'contacts-enabled')";
const ADD_EVENTS: &str = r#"INSERT INTO event (id, event_id, type, key, params, accepted_at)
     SELECT id, event_id, type, key, params, $6
     FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[])
         AS added (id, event_id, type, key, params)
     ORDER BY event_id COLLATE "C" ON CONFLICT (event_id) DO NOTHING RETURNING id"#;
/// Finds events that stop a run. `LIMIT` keeps the plan: by the key of each event.
const FIND_STOPPING: &str =
    "SELECT added.id FROM unnest($1::bigint[], $2::text[], $3::text[]) AS added (id, key, type),
         LATERAL (SELECT 1 FROM start_record JOIN run ON run.id = start_record.run
                  WHERE event_key = added.key AND stop_event = added.type
                      AND run.state IN ('running', 'waiting') LIMIT 1) AS stopped";
const LOCK_RUNS: &str = "SELECT id, segment, state IN ('running', 'waiting') FROM run
     WHERE id = ANY($1) ORDER BY id FOR UPDATE";
const FIND_RELEASING: &str = "SELECT run FROM release_on_completion WHERE run = ANY($1)";
const FIND_CARRIED: &str = "SELECT used.run, claim.expires_at, claim.code
     FROM (SELECT run, id FROM claim WHERE run = ANY($1)
           UNION SELECT run, claim FROM code_reuse WHERE run = ANY($1)) AS used
         JOIN claim ON claim.id = used.id
     WHERE NOT EXISTS (SELECT 1 FROM expired_grant WHERE expired_grant.claim = claim.id)";
const TAKE_CODES: &str = "DELETE FROM available_code AS code
     USING unnest($1::bigint[], $2::bigint[], $3::bigint[])
         AS taken (code_group, expires_at, code_id)
     WHERE code.code_group = taken.code_group AND code.expires_at = taken.expires_at
         AND code.code_id = taken.code_id
     RETURNING code.code_group, code.expires_at, code.code_id";
/// Finds the code groups that have codes, after those of the units are taken: they may have been the
/// last ones.
const FIND_AVAILABLE: &str = "SELECT wanted.code_group, wanted.expires_at
     FROM unnest($1::bigint[], $2::bigint[]) AS wanted (code_group, expires_at),
         LATERAL (SELECT 1 FROM available_code AS code
                  WHERE code.code_group = wanted.code_group
                      AND code.expires_at >= wanted.expires_at LIMIT 1) AS there";

/// A code of the pool: its code group, its expiry and its id.
pub(super) type Code = (i64, i64, i64);

/// What the locked rows say.
#[derive(Default)]
pub(super) struct Found {
    /// The configuration.
    pub(super) config: i64,
    /// True if events add to the contact directory.
    pub(super) contacts: bool,
    /// The ids of the code groups that exist.
    pub(super) code_groups: HashMap<CodeGroup, i64>,
    /// The events that were added.
    pub(super) events: HashSet<i64>,
    /// The events that stop runs.
    pub(super) stopping: HashSet<i64>,
    /// The events that were stored before.
    pub(super) known: HashMap<String, KnownEvent>,
    /// The next segments of the runs that have not ended.
    pub(super) runs: HashMap<i64, i32>,
    /// The runs whose codes are released when they complete.
    pub(super) releasing: HashSet<i64>,
    /// The expiries and texts of the codes of runs that were claimed in earlier segments.
    pub(super) carried: HashMap<i64, Vec<(Timestamp, String)>>,
    /// The codes that were taken.
    pub(super) codes: HashSet<Code>,
    /// The code groups, each with an earliest expiry, that have a code.
    pub(super) available: HashSet<(i64, i64)>,
    /// The deliveries.
    pub(super) deliveries: Locked,
}

impl Found {
    /// Sends the first round trip. `at`: when events count as accepted.
    pub(super) fn lock(
        store: &PostgresStore,
        transaction: &Transaction<'_>,
        members: &[Member<'_>],
        at: Timestamp,
    ) -> Result<Found> {
        let mut found = Found {
            code_groups: find_code_groups(store, transaction, members)?,
            ..Found::default()
        };
        let wanted = Wanted::new(members, &found.code_groups);
        let events = wanted.events;
        let mut all = Statements::default();
        let any_event = !events.rows.is_empty();
        let settings = all.add(any_event, READ_SETTINGS, Vec::new());
        let stopping = (
            events.rows.clone(),
            events.keys.clone(),
            events.types.clone(),
        );
        let added = all.add(
            any_event,
            ADD_EVENTS,
            vec![
                Box::new(events.rows),
                Box::new(events.ids),
                Box::new(events.types),
                Box::new(events.keys),
                Box::new(events.params),
                Box::new(at.0),
            ],
        );
        let stopping = all.add(
            any_event,
            FIND_STOPPING,
            vec![
                Box::new(stopping.0),
                Box::new(stopping.1),
                Box::new(stopping.2),
            ],
        );
        let any_known = !wanted.known.is_empty();
        let ids = Box::new(wanted.known.clone());
        let known = all.add(any_known, known_events::FIND, vec![ids]);
        let ids = Box::new(wanted.known);
        let known_runs = all.add(any_known, known_events::FIND_RUNS, vec![ids]);
        let any = !wanted.runs.is_empty();
        let runs = all.add(any, LOCK_RUNS, vec![Box::new(wanted.runs)]);
        let any = !wanted.completing.is_empty();
        let releasing = all.add(any, FIND_RELEASING, vec![Box::new(wanted.completing)]);
        let any = !wanted.sending.is_empty();
        let carried = all.add(any, FIND_CARRIED, vec![Box::new(wanted.sending)]);
        let deliveries = wanted.deliveries.add_to(&mut all);
        let any = !wanted.codes.is_empty();
        let (groups, expiries, ids) = columns(wanted.codes);
        let columns = vec![
            Box::new(groups) as _,
            Box::new(expiries) as _,
            Box::new(ids) as _,
        ];
        let codes = all.add(any, TAKE_CODES, columns);
        let any = !wanted.exhausted.is_empty();
        let (groups, expiries): (Vec<i64>, Vec<i64>) = wanted.exhausted.into_iter().unzip();
        let columns = vec![Box::new(groups) as _, Box::new(expiries) as _];
        let available = all.add(any, FIND_AVAILABLE, columns);

        let answers = all.send(transaction)?;
        found.read_settings(answers.rows(settings))?;
        found.events = ids_of(answers.rows(added))?;
        found.stopping = ids_of(answers.rows(stopping))?;
        found.known = KnownEvent::read(answers.rows(known), answers.rows(known_runs))?;
        found.read_runs(answers.rows(runs))?;
        found.releasing = ids_of(answers.rows(releasing))?;
        found.read_carried(answers.rows(carried))?;
        found.deliveries = Locked::read(transaction, &store.shares, &deliveries, &answers)?;
        for row in answers.rows(codes) {
            found.codes.insert((row.get(0)?, row.get(1)?, row.get(2)?));
        }
        for row in answers.rows(available) {
            found.available.insert((row.get(0)?, row.get(1)?));
        }
        Ok(found)
    }

    fn read_settings(&mut self, rows: &[Row]) -> Result<()> {
        for row in rows {
            let name: String = row.get(0)?;
            let value = parse_number(&name, &row.get::<String>(1)?)?;
            match name == "config-version" {
                true => self.config = value,
                false => self.contacts = value != 0,
            }
        }
        Ok(())
    }

    fn read_runs(&mut self, rows: &[Row]) -> Result<()> {
        for row in rows {
            if row.get(2)? {
                self.runs.insert(row.get(0)?, row.get(1)?);
            }
        }
        Ok(())
    }

    fn read_carried(&mut self, rows: &[Row]) -> Result<()> {
        for row in rows {
            let codes = self.carried.entry(row.get(0)?).or_default();
            codes.push((Timestamp(row.get(1)?), row.get(2)?));
        }
        Ok(())
    }
}

/// Reads the first column of rows.
fn ids_of(rows: &[Row]) -> Result<HashSet<i64>> {
    rows.iter().map(|row| row.get(0)).collect()
}

fn columns(codes: Vec<Code>) -> (Vec<i64>, Vec<i64>, Vec<i64>) {
    let mut columns = (Vec::new(), Vec::new(), Vec::new());
    for (code_group, expires, id) in codes {
        columns.0.push(code_group);
        columns.1.push(expires);
        columns.2.push(id);
    }
    columns
}

/// Returns the ids of the code groups of all claims.
fn find_code_groups(
    store: &PostgresStore,
    transaction: &Transaction<'_>,
    members: &[Member<'_>],
) -> Result<HashMap<CodeGroup, i64>> {
    let mut ids = HashMap::new();
    for (_, _, segment) in members.iter().flat_map(|member| member.work.segments()) {
        let claimed = claims_to_take(segment)
            .iter()
            .map(|claim| &claim.code_group);
        let exhausted = segment.exhausted.iter().map(|one| &one.code_group);
        for code_group in claimed.chain(exhausted) {
            if !ids.contains_key(code_group)
                && let Some(id) = store.find_code_group(transaction, code_group)?
            {
                ids.insert(code_group.clone(), id);
            }
        }
    }
    Ok(ids)
}

/// What to lock and to read.
#[derive(Default)]
struct Wanted {
    events: WantedEvents,
    /// The ids of events that are stored already.
    known: Vec<String>,
    runs: Vec<i64>,
    /// Runs that complete in a later segment.
    completing: Vec<i64>,
    /// Runs that send a message in a later segment.
    sending: Vec<i64>,
    deliveries: WantedDeliveries,
    codes: Vec<Code>,
    exhausted: Vec<(i64, i64)>,
}

/// Events to add, by column.
#[derive(Default)]
struct WantedEvents {
    rows: Vec<i64>,
    ids: Vec<Option<String>>,
    types: Vec<String>,
    keys: Vec<String>,
    params: Vec<String>,
}

impl Wanted {
    fn new(members: &[Member<'_>], code_groups: &HashMap<CodeGroup, i64>) -> Wanted {
        let mut wanted = Wanted::default();
        for Member { work, .. } in members {
            match work {
                Work::Accept(new) => {
                    let (events, event) = (&mut wanted.events, &new.accept.event);
                    events.rows.push(new.id);
                    events.ids.push(event.id.clone());
                    events.types.push(event.event_type.clone());
                    events.keys.push(event.key.clone());
                    events.params.push(new.params.clone());
                }
                Work::Known(accept) => wanted.known.extend(accept.event.id.clone()),
                Work::Segment(_) => {}
                Work::Attempts(batch) => wanted.deliveries.add(batch),
            }
            for (run, number, segment) in work.segments() {
                if matches!(work, Work::Segment(_)) {
                    wanted.runs.push(run);
                }
                if number > 0 && matches!(segment.end, SegmentEnd::Completed) {
                    wanted.completing.push(run);
                }
                if number > 0 && keeps_effects(&segment.end) && !segment.deliveries.is_empty() {
                    wanted.sending.push(run);
                }
                wanted.codes.extend(codes_of(segment, code_groups));
                wanted.exhausted.extend(exhausted_of(segment, code_groups));
            }
        }
        // In the order in which every commit locks them.
        wanted.codes.sort_unstable();
        wanted
    }
}

/// Returns the codes that a segment takes, of code groups that exist.
pub(super) fn codes_of(
    segment: &Segment,
    code_groups: &HashMap<CodeGroup, i64>,
) -> impl Iterator<Item = Code> {
    claims_to_take(segment).iter().filter_map(|claim| {
        let position = claim.code.position;
        let code_group = code_groups.get(&claim.code_group)?;
        Some((*code_group, position.expires.0, position.id))
    })
}

/// Returns the code groups, each with the earliest accepted expiry, in which a segment found no
/// code.
pub(super) fn exhausted_of(
    segment: &Segment,
    code_groups: &HashMap<CodeGroup, i64>,
) -> impl Iterator<Item = (i64, i64)> {
    segment.exhausted.iter().filter_map(|exhausted| {
        let code_group = code_groups.get(&exhausted.code_group)?;
        Some((*code_group, exhausted.expires.0))
    })
}
