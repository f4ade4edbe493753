//! Commits of several threads and hosts at a time.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::collections::{HashMap, HashSet};
use std::sync::Barrier;
use std::thread;

use serde_json::Map;

use promoflow_model::clock::Timestamp;
use promoflow_model::event::Event;
use promoflow_model::message::{ChannelKind, RenderedMessage};
use promoflow_model::workflow::Repeat;
use promoflow_store::{
    AvailableCode, CommitReply, CommitStore, CommitUnit, DUE_NOW, PoolStore, RunId, Segment,
    SegmentEnd, StagedDelivery, Stale, StartRule, StepKey,
};
use promoflow_store_conformance::{Fixture, Harness, NOW, claim, code_group, segment};

use super::ordinary;
use crate::PostgresStore;
use crate::connection::params;
use crate::tests::Postgres;
use crate::transaction::Mode;

type Bench = Fixture<Postgres>;

fn bench(codes: usize) -> Bench {
    let bench = Bench::new();
    let codes: Vec<String> = (0..codes).map(|code| format!("C{code:05}")).collect();
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    bench.add_codes(&codes);
    bench
}

/// Returns the first segment of a run that claims a code and sends it.
fn sends(code: &AvailableCode) -> Segment {
    let mut staged = segment(None, vec![claim(code_group(0), code.clone())]);
    staged.deliveries = vec![StagedDelivery {
        step: StepKey {
            step: "code".into(),
            visit: 1,
            ordinal: 0,
        },
        channel: ChannelKind::Email,
        address: "ann@example.com".into(),
        message: "m".into(),
        content: RenderedMessage {
            text: Some(format!("Your code: {}", code.code)),
            ..RenderedMessage::default()
        },
        alternatives: Vec::new(),
        due: DUE_NOW,
        expires: code.position.expires,
        hours: None,
    }];
    staged
}

/// Returns the text of the code that a unit claims.
fn code_of(unit: &CommitUnit) -> &str {
    let CommitUnit::Accept(accept) = unit else {
        panic!("{unit:?}")
    };
    &accept.starts[0].segment.as_ref().unwrap().claims[0]
        .code
        .code
}

fn available(store: &PostgresStore, limit: usize) -> Vec<AvailableCode> {
    store.available_codes(&code_group(0), None, limit).unwrap()
}

/// Returns the number of rows that a query counts.
fn count(store: &PostgresStore, sql: &str) -> i64 {
    let row = store.read(|transaction| transaction.row(sql, params![]));
    row.unwrap().unwrap().get(0).unwrap()
}

/// Claims the first codes of the pool until there are none. Returns the code of each run.
fn claim_all(bench: &Bench, store: &PostgresStore, name: &str) -> HashMap<RunId, String> {
    let mut claimed = HashMap::new();
    for round in 0.. {
        let codes = available(store, 16);
        if codes.is_empty() {
            break;
        }
        let units = codes.iter().enumerate().map(|(number, code)| {
            let id = format!("{name}-{round}-{number}");
            bench.accept(Some(&id), Some(sends(code)))
        });
        let units: Vec<CommitUnit> = units.collect();
        for (unit, reply) in units.iter().zip(store.commit(&units, &NOW).unwrap()) {
            match reply {
                CommitReply::Accepted { runs, .. } => {
                    claimed.insert(runs[0].unwrap(), code_of(unit).to_owned());
                }
                CommitReply::Stale(Stale::Code) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    claimed
}

#[test]
fn p1_hosts_that_claim_the_same_codes_get_each_once() {
    const CODES: usize = 300;
    let bench = bench(CODES);
    let other = bench.harness.another();
    let stores = [&bench.harness.store, &other.store];
    let claimed = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let (bench, store) = (&bench, stores[number % 2]);
                scope.spawn(move || claim_all(bench, store, &format!("thread-{number}")))
            })
            .collect();
        let claimed = threads.into_iter().map(|thread| thread.join().unwrap());
        claimed.collect::<Vec<_>>()
    });
    assert!(claimed.iter().filter(|one| !one.is_empty()).count() > 1);
    let claimed: HashMap<RunId, String> = claimed.into_iter().flatten().collect();
    let codes: HashSet<&String> = claimed.values().collect();
    assert_eq!((claimed.len(), codes.len()), (CODES, CODES));

    let store = &bench.harness.store;
    let stored = store.read(|transaction| {
        transaction.rows(
            "SELECT claim.run, claim.code FROM claim
                 JOIN run ON run.id = claim.run AND run.state = 'completed'
                 JOIN event ON event.id = run.event
                 JOIN journal ON journal.run = run.id
                 JOIN delivery ON delivery.run = run.id AND position(claim.code IN content) > 0",
            params![],
        )
    });
    let stored = stored.unwrap();
    let stored = stored
        .iter()
        .map(|row| (RunId(row.get(0).unwrap()), row.get(1).unwrap()));
    assert_eq!(stored.collect::<HashMap<RunId, String>>(), claimed);
    for table in ["event", "run", "claim", "delivery", "journal", "code"] {
        let rows = count(store, &format!("SELECT count(*) FROM {table}"));
        assert_eq!(rows, CODES as i64, "{table}");
    }
    for counted in ["run_count", "claim_count"] {
        let column = counted.replace("_count", "s");
        let sum = format!("SELECT sum({column})::bigint FROM {counted}");
        assert_eq!(count(store, &sum), CODES as i64, "{counted}");
    }
    bench.audit();
}

/// The hosts commit the same events with the same codes, one of them in the opposite order.
#[test]
fn p5_hosts_that_accept_the_same_events_accept_each_once() {
    const ROUNDS: usize = 8;
    const EVENTS: usize = 24;
    let bench = bench(ROUNDS * EVENTS);
    let other = bench.harness.another();
    for round in 0..ROUNDS {
        let codes = available(&bench.harness.store, EVENTS);
        let unit = |number: usize| {
            let id = format!("{round}-{number}");
            bench.accept(Some(&id), Some(sends(&codes[number])))
        };
        let units: Vec<CommitUnit> = (0..EVENTS).map(unit).collect();
        let opposite: Vec<CommitUnit> = (0..EVENTS).rev().map(unit).collect();
        let both = Barrier::new(2);
        let commit = |store: &PostgresStore, units: &[CommitUnit]| {
            both.wait();
            store.commit(units, &NOW).unwrap()
        };
        let (ours, theirs) = thread::scope(|scope| {
            let theirs = scope.spawn(|| commit(&other.store, &opposite));
            let ours = commit(&bench.harness.store, &units);
            (ours, theirs.join().unwrap())
        });
        for (number, pair) in ours.iter().zip(theirs.iter().rev()).enumerate() {
            let (event, runs) = match pair {
                (CommitReply::Accepted { event, runs }, CommitReply::Duplicate { .. })
                | (CommitReply::Duplicate { .. }, CommitReply::Accepted { event, runs }) => {
                    (*event, runs.iter().flatten().copied().collect())
                }
                other => panic!("event {number}: {other:?}"),
            };
            let duplicate = CommitReply::Duplicate { event, runs };
            assert!(pair.0 == &duplicate || pair.1 == &duplicate, "{pair:?}");
        }
    }
    assert!(available(&bench.harness.store, 1).is_empty());
    bench.audit();
}

#[test]
fn a_refused_unit_leaves_nothing_and_the_others_are_committed() {
    let bench = bench(4);
    let store = &bench.harness.store;
    let codes = available(store, 4);
    let taken = bench.accept(Some("first"), Some(sends(&codes[0])));
    let first = bench.commit(std::slice::from_ref(&taken)).remove(0);
    let CommitReply::Accepted { event, runs } = first else {
        panic!("{first:?}")
    };
    let run = runs[0].unwrap();

    let mut conflict = Event::new("birthday", "bob");
    conflict.id = Some("first".into());
    let mut outdated = bench.accept(Some("outdated"), Some(sends(&codes[3])));
    let CommitUnit::Accept(accept) = &mut outdated else {
        panic!("{outdated:?}")
    };
    accept.config.0 += 1;
    let late = segment(Some((run, 1)), vec![claim(code_group(0), codes[3].clone())]);
    let units = [
        bench.accept(Some("one"), Some(sends(&codes[1]))),
        bench.accept(Some("claims a taken code"), Some(sends(&codes[0]))),
        bench.accept_event(conflict, None, None),
        outdated,
        CommitUnit::Segment(Box::new(late)),
        bench.accept(Some("first"), None),
        bench.accept(Some("two"), Some(sends(&codes[2]))),
    ];
    let replies = bench.commit(&units);
    let [one, code, conflict, config, late, known, two] = &replies[..] else {
        panic!("{replies:?}")
    };
    assert!(matches!(one, CommitReply::Accepted { .. }), "{one:?}");
    assert_eq!(*code, CommitReply::Stale(Stale::Code));
    assert_eq!(*conflict, CommitReply::Conflict);
    assert_eq!(*config, CommitReply::Stale(Stale::Config));
    assert_eq!(*late, CommitReply::Stale(Stale::Run));
    let runs = vec![run];
    assert_eq!(*known, CommitReply::Duplicate { event, runs });
    assert!(matches!(two, CommitReply::Accepted { .. }), "{two:?}");
    assert_eq!(available(store, 4), codes[3..]);
    for table in ["event", "run", "claim", "delivery", "journal"] {
        let rows = count(store, &format!("SELECT count(*) FROM {table}"));
        assert_eq!(rows, 3, "{table}");
    }
    bench.audit();
}

/// What is ordinary is committed while another host's transaction is open.
#[test]
fn ordinary_units_wait_for_no_other_host() {
    let bench = bench(1);
    let other = bench.harness.another();
    let codes = available(&bench.harness.store, 1);
    let open = other.store.pool.write(Mode::Shared, |transaction| {
        transaction.begin()?;
        let replies = bench.commit(&[bench.accept(Some("one"), Some(sends(&codes[0])))]);
        assert!(
            matches!(replies[0], CommitReply::Accepted { .. }),
            "{replies:?}"
        );
        Ok(())
    });
    open.unwrap();
}

#[test]
fn what_needs_more_than_single_rows_is_not_ordinary() {
    let bench = bench(3);
    let codes = available(&bench.harness.store, 3);
    let rule = StartRule {
        workflow: "w".into(),
        repeat: Repeat::Once,
        skip_if_running: false,
        stop_event: None,
    };
    let with = |change: &dyn Fn(&mut Segment)| {
        let mut staged = sends(&codes[2]);
        change(&mut staged);
        bench.accept(None, Some(staged))
    };
    let units = [
        bench.accept(Some("one"), Some(sends(&codes[0]))),
        // The same event, then the same code.
        bench.accept(Some("one"), None),
        bench.accept(None, Some(sends(&codes[0]))),
        bench.accept_under(Some(rule), None, None),
        with(&|staged| staged.has_unsent_message = true),
        bench.accept(Some("two"), Some(sends(&codes[1]))),
        with(&|staged| staged.attempt = 2),
    ];
    let split = ordinary::split(&units);
    assert_eq!(split.ordinary, [0, 5]);
    assert_eq!(split.others, [1, 2, 3, 4, 6]);
}

/// The last segment of a run is ordinary by itself, but an earlier one sent nothing.
#[test]
fn p4_codes_that_were_not_sent_are_released_by_the_last_segment() {
    let bench = bench(1);
    let codes = available(&bench.harness.store, 1);
    let mut first = segment(None, vec![claim(code_group(0), codes[0].clone())]);
    first.has_unsent_message = true;
    first.end = SegmentEnd::Wait {
        step: 1,
        due: Some(Timestamp(NOW.0 + 1)),
        data: Map::new(),
        wait: None,
    };
    let run = bench.start(Some(first));
    assert!(available(&bench.harness.store, 1).is_empty());
    let last = CommitUnit::Segment(Box::new(segment(Some((run, 1)), Vec::new())));
    assert_eq!(ordinary::split(std::slice::from_ref(&last)).ordinary, [0]);
    assert_eq!(bench.commit(&[last]), [CommitReply::Done]);
    assert_eq!(available(&bench.harness.store, 1), codes);
    bench.audit();
}

/// A message in a later segment expires with the code of an earlier one.
#[test]
fn p8_later_message_expires_with_an_earlier_code() {
    let bench = bench(0);
    let expires = Timestamp(NOW.0 + 5_000);
    let row = promoflow_store_conformance::row("LATE", Some(expires.0));
    bench.upload(&[vec![row]], promoflow_store::Atomicity::Batches);
    let code = available(&bench.harness.store, 1).remove(0);
    let mut first = segment(None, vec![claim(code_group(0), code.clone())]);
    first.end = SegmentEnd::Wait {
        step: 1,
        due: Some(Timestamp(NOW.0 + 1)),
        data: Map::new(),
        wait: None,
    };
    let run = bench.start(Some(first));
    let mut last = sends(&code);
    last.run = Some((run, 1));
    last.claims.clear();
    last.deliveries[0].expires = Timestamp::NEVER;
    let last = CommitUnit::Segment(Box::new(last));
    assert_eq!(ordinary::split(std::slice::from_ref(&last)).ordinary, [0]);
    assert_eq!(bench.commit(&[last]), [CommitReply::Done]);
    let stored = count(&bench.harness.store, "SELECT expires_at FROM delivery");
    assert_eq!(stored, expires.0);
}

/// A row that cannot be read fails its own unit only.
#[test]
fn damaged_event_fails_only_its_repetition() {
    let bench = bench(0);
    bench.commit(&[bench.accept(Some("known"), None)]);
    let damage = bench
        .harness
        .store
        .write(|transaction| transaction.execute("UPDATE event SET params = '{'", params![]));
    damage.unwrap();
    let units = ["before", "known", "after"].map(|id| bench.accept(Some(id), None));
    let replies = bench.commit(&units);
    assert!(
        matches!(
            replies[..],
            [
                CommitReply::Accepted { .. },
                CommitReply::Failed(_),
                CommitReply::Accepted { .. }
            ]
        ),
        "{replies:?}"
    );
    assert!(bench.harness.store.commit(&units[1..2], &NOW).is_err());
}
