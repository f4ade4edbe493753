//! What only several hosts show.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use promoflow_model::clock::Clock;
use promoflow_model::message::ChannelKind;
use promoflow_store::{
    AttemptBatch, CommitReply, CommitStore, CommitUnit, DeliveryId, DeliveryStore,
    InstallationStore, LeaseStore, Leased, Position, Store,
};
use promoflow_store_conformance::{Fixture, Harness, NOW, code_group};
use promoflow_test_postgres::{Proxy, TestDatabase};

use super::RUN_SHARES;
use crate::PostgresStore;
use crate::connection::params;
use crate::errors::{Error, Result};
use crate::tests::Postgres;
use crate::transaction::{Mode, Transaction};

/// The longest wait for the work of a dead host.
const TAKE_OVER: Duration = Duration::from_secs(10);
/// The longest wait for a share that a host gives up.
const HAND_OVER: Duration = Duration::from_secs(5);

fn wait_until(at_most: Duration, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < at_most, "not within {at_most:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn open(database: &TestDatabase) -> PostgresStore {
    PostgresStore::open(database.address()).unwrap()
}

/// Returns the shares of the runs that a host has.
fn runs(store: &PostgresStore) -> BTreeSet<i32> {
    match store.runs_to_continue().unwrap() {
        None => (0..RUN_SHARES).collect(),
        Some(owned) => owned.into_iter().collect(),
    }
}

fn have_halves(hosts: [&PostgresStore; 2]) -> bool {
    let [one, two] = hosts.map(runs);
    one.len() == 32 && two.len() == 32 && one.is_disjoint(&two)
}

/// Adds a row that shows that a transaction was committed.
fn mark(transaction: &Transaction<'_>, mark: &str) -> Result<()> {
    transaction.execute(
        "INSERT INTO suppression (channel, address_key, created_at) VALUES ($1, '', 0)",
        params![mark],
    )?;
    Ok(())
}

fn marks(database: &TestDatabase) -> Vec<Vec<String>> {
    let sql = "SELECT channel FROM suppression ORDER BY channel";
    database.query(sql).unwrap()
}

#[test]
fn p1_dead_host_is_taken_over_and_can_commit_nothing() {
    let database = promoflow_test_postgres::database();
    let (dead, other) = (open(&database), open(&database));
    let _member = dead.join().unwrap();
    let _other_member = other.join().unwrap();
    assert_eq!(runs(&dead).len(), 64);
    assert_eq!(
        dead.channels_to_deliver(&[ChannelKind::Sms]).unwrap(),
        [ChannelKind::Sms]
    );
    let (idle, mut busy) = (
        dead.pool.take_writer().unwrap(),
        dead.pool.take_writer().unwrap(),
    );
    dead.pool.seats.give_back(idle);
    // It stops within a transaction.
    busy.seat.batch += 1;
    let begun = Transaction::writing(&busy.connection, Mode::Shared, busy.seat.clone());
    mark(&begun, "begun").unwrap();
    dead.pool.beat.pause(true);

    wait_until(TAKE_OVER, || {
        runs(&other).len() == 64
            && other.channels_to_deliver(&[ChannelKind::Sms]).unwrap() == [ChannelKind::Sms]
    });
    assert!(begun.commit().is_err());
    // It has not noticed anything but that it could not beat.
    assert!(!dead.shares.owns_channel(ChannelKind::Sms));
    assert_eq!(dead.shares.runs(), Some(Vec::new()));
    let mut names = Vec::new();
    dead.pool
        .write(Mode::Shared, |transaction| {
            names.push(transaction.seat().unwrap().host.clone());
            mark(transaction, "again")
        })
        .unwrap();
    assert_eq!(names.len(), 2);
    assert_eq!(names[0], busy.seat.host);
    assert_ne!(names[0], names[1]);
    assert_eq!(marks(&database), [["again"]]);

    dead.pool.beat.pause(false);
    wait_until(HAND_OVER, || have_halves([&dead, &other]));
}

#[test]
fn seat_of_a_host_that_was_ended_meanwhile_is_nobodys() {
    let database = promoflow_test_postgres::database();
    let store = open(&database);
    let host = store.pool.host().unwrap();
    let judge = store.pool.connect(None).unwrap();
    judge
        .run_script(&format!(
            "BEGIN; UPDATE host SET ended_at = 1 WHERE id = '{host}';
             UPDATE seat SET epoch = epoch + 1"
        ))
        .unwrap();
    let taking = thread::scope(|scope| {
        let taking = scope.spawn(|| {
            let connection = store.pool.connect(None).unwrap();
            super::take_over_seat(&connection, &host, 3).unwrap()
        });
        // It waits for the seat, and must not go on with what it saw before.
        thread::sleep(Duration::from_millis(500));
        judge.run_script("COMMIT").unwrap();
        taking.join().unwrap()
    });
    assert_eq!(taking.epoch, -1);
    let connection = store.pool.connect(None).unwrap();
    let late = Transaction::writing(&connection, Mode::Shared, taking);
    assert!(matches!(late.begin(), Err(Error::Fenced)));
}

#[test]
fn hosts_divide_the_work() {
    let database = promoflow_test_postgres::database();
    let (one, two) = (open(&database), open(&database));
    // Without a membership, nothing is restricted.
    assert_eq!(runs(&two).len(), 64);
    let kinds = [ChannelKind::Email, ChannelKind::Sms];
    let (first, second) = (one.join().unwrap(), two.join().unwrap());
    assert_eq!(runs(&one).len(), 64);
    assert_eq!(one.channels_to_deliver(&kinds).unwrap(), kinds);
    assert!(one.sends_notifications().unwrap());
    assert!(two.channels_to_deliver(&kinds).unwrap().is_empty());
    assert!(!two.sends_notifications().unwrap());
    wait_until(HAND_OVER, || have_halves([&one, &two]));
    assert_eq!(one.shares.executors(), 2);

    drop(first);
    assert_eq!(runs(&one).len(), 64, "it is a member no more");
    wait_until(HAND_OVER, || {
        runs(&two).len() == 64
            && two.channels_to_deliver(&kinds).unwrap() == kinds
            && two.sends_notifications().unwrap()
    });
    drop(second);
    let free = database.query("SELECT 1 FROM share WHERE host IS NULL");
    assert_eq!(free.unwrap().len(), 64 + 3);
}

#[test]
fn p3_attempts_start_on_the_host_that_has_the_channel() {
    let fixture = Fixture::<Postgres>::new();
    let (one, two) = (&fixture.harness.store, open(&fixture.harness.database));
    let sql = "INSERT INTO delivery (id, run, step, visit, ordinal, channel, address, message,
                   content, state, attempts, due_at, expires_at, created_at)
               SELECT id, id, 's', 1, 0, 'email', 'a', 'm', '{}', 'pending', 0, 0,
                   9223372036854775807, 0 FROM generate_series(1, 4) AS id";
    fixture.harness.database.execute(sql).unwrap();
    let start = |store: &PostgresStore, ids: &[i64], is_shared: bool| {
        let starts = ids.iter().map(|id| DeliveryId(*id)).collect();
        let batch = AttemptBatch {
            starts,
            ..AttemptBatch::default()
        };
        let replies = match is_shared {
            true => store.commit(&[CommitUnit::Attempts(Box::new(batch))], &NOW),
            false => Ok(vec![
                store
                    .write(|transaction| {
                        crate::attempts::commit(transaction, &store.shares, &batch, NOW)
                    })
                    .unwrap(),
            ]),
        };
        match replies.unwrap().remove(0) {
            CommitReply::Started(started) => started,
            other => panic!("{other:?}"),
        }
    };
    let _members = (one.join().unwrap(), two.join().unwrap());
    let email = [ChannelKind::Email];
    assert_eq!(one.channels_to_deliver(&email).unwrap(), email);
    assert!(two.channels_to_deliver(&email).unwrap().is_empty());
    for exclusive in [false, true] {
        assert!(start(&two, &[1, 2, 3, 4], !exclusive).is_empty());
    }
    let own = start(one, &[1, 2], true);
    assert_eq!(own, [(DeliveryId(1), 1), (DeliveryId(2), 1)]);
    assert!(one.tenure().may_attempt(email[0], DeliveryId(1), 1));
    assert!(!two.tenure().may_attempt(email[0], DeliveryId(1), 1));
    assert_eq!(start(one, &[3], false), [(DeliveryId(3), 1)]);
}

/// A store behind a proxy.
struct Proxied {
    store: PostgresStore,
    database: TestDatabase,
    proxy: Proxy,
}

impl Harness for Proxied {
    fn create() -> Proxied {
        let database = promoflow_test_postgres::database();
        let (_, host) = database.address().split_once('@').unwrap();
        let (_, port) = host.split_once(':').unwrap();
        let (port, _) = port.split_once('/').unwrap();
        let proxy = Proxy::start(port.parse().unwrap()).unwrap();
        let address = database.address_at(&[proxy.port()]);
        let store = PostgresStore::open(&address).unwrap();
        Proxied {
            store,
            database,
            proxy,
        }
    }

    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn reopen(self) -> Proxied {
        self
    }

    fn another(&self) -> Proxied {
        Proxied::create()
    }
}

#[test]
fn p7_commit_whose_answer_is_lost_is_found() {
    let fixture = Fixture::<Proxied>::new();
    let proxy = &fixture.harness.proxy;
    for number in 1..=3 {
        proxy.swallow_commits(1);
        let run = fixture.start(None);
        assert_eq!(proxy.swallowed(), number);
        assert!(fixture.store().run(run).unwrap().is_some());
    }
    let events = fixture.harness.database.query("SELECT id FROM event");
    assert_eq!(events.unwrap().len(), 3);
    // A transaction whose connection is lost before its commit was not stored, and is repeated.
    let store = &fixture.harness.store;
    let mut tries = 0;
    store
        .write(|transaction| {
            tries += 1;
            mark(transaction, "once")?;
            if tries == 1 {
                proxy.cut();
                proxy.open();
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(tries, 2);
    assert_eq!(marks(&fixture.harness.database), [["once"]]);
}

#[test]
fn p8_hosts_use_the_clock_of_the_database() {
    let database = promoflow_test_postgres::database();
    let store = open(&database);
    let clock = store.clock();
    let before = clock.now().0;
    let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let time: i64 = database.query(sql).unwrap()[0][0].parse().unwrap();
    let after = clock.now().0;
    assert!(
        (before - 100..=after + 100).contains(&time),
        "{before} {time} {after}"
    );
    // No other clock of the day is read here.
    let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![sources];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let of_the_machine = ["System", "Time::now"].concat();
            assert!(!text.contains(&of_the_machine), "{}", path.display());
        }
    }
}

fn names(leased: &Leased) -> Vec<&str> {
    let codes = leased.codes.iter();
    codes.map(|code| code.code.as_str()).collect()
}

#[test]
fn hosts_lease_different_codes() {
    let fixture = Fixture::<Postgres>::new();
    let codes: Vec<String> = (10..90).map(|code| code.to_string()).collect();
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    fixture.add_codes(&codes);
    let one = &fixture.harness.store;
    let two = open(&fixture.harness.database);
    let lease = |store: &PostgresStore, after: Option<Position>, limit| {
        store.lease(&code_group(0), after, limit).unwrap()
    };
    let first = lease(one, None, 20);
    assert_eq!(names(&first), codes[..20]);
    let second = lease(&two, None, 20);
    assert_eq!(names(&second), codes[20..40]);
    assert!(second.others && !second.end);
    assert_eq!(names(&lease(one, None, 10)), codes[..10]);
    let after = Some(second.codes[19].position);
    let rest = lease(&two, after, 1_000);
    assert_eq!(names(&rest), codes[40..]);
    assert!(rest.end && !rest.others);
    // Everything is leased: it may come back.
    let none = lease(one, Some(first.codes[19].position), 10);
    assert!(none.codes.is_empty() && none.end && none.others);
    // A host that does not need its codes gives them up for others that find no more.
    two.give_up(&code_group(0)).unwrap();
    let given_up = lease(one, Some(first.codes[19].position), 10);
    assert_eq!(names(&given_up), codes[20..30]);
    drop(lease(&two, None, 1_000));
    thread::sleep(Duration::from_millis(2_500));
    let old = lease(one, Some(rest.codes[9].position), 1_000);
    assert_eq!(names(&old), codes[50..]);
    let leases = "SELECT 1 FROM lease";
    assert!(!fixture.harness.database.query(leases).unwrap().is_empty());
    drop(two);

    // Hosts that execute share the last codes.
    let two = open(&fixture.harness.database);
    let _members = (one.join().unwrap(), two.join().unwrap());
    wait_until(HAND_OVER, || have_halves([one, &two]));
    one.give_up(&code_group(0)).unwrap();
    assert_eq!(names(&lease(&two, None, 1_000)), codes[..10]);
    let last = lease(&two, Some(rest.codes[38].position), 1_000);
    assert_eq!(names(&last), codes[79..]);
    assert!(last.end);
}
