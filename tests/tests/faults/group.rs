//! P7 where the disk fails in the middle of a commit that many share: some of them are refused,
//! and none that stands is denied.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use promoflow::run::SendError;
use promoflow::{Promoflow, Running};
use promoflow_tests::powerloss::{Disk, Fault};
use promoflow_tests::{Shop, Teach};

use crate::{all_went_once, birthday, codes, column, watched};

/// Threads that send, and the events that each has on their way at once.
const SENDERS: usize = 3;
const AT_ONCE: usize = 50;
/// After so many refusals the disk is mended.
const PATIENCE: usize = 4;

/// What came of events that were sent at once.
#[derive(Default)]
struct Answers {
    accepted: usize,
    refused: Vec<String>,
}

/// Sends events without waiting for one another.
fn send(running: &Running, ids: Vec<String>) -> Answers {
    let (answer, answered) = channel();
    for id in ids {
        let answer = answer.clone();
        running.submit(birthday(&id), move |receipt| {
            answer.send((id, receipt)).unwrap();
        });
    }
    drop(answer);
    let mut answers = Answers::default();
    for (id, receipt) in answered {
        match receipt {
            Ok(receipt) => {
                assert!(!receipt.duplicate, "{id} was refused, and stored");
                answers.accepted += 1;
            }
            Err(SendError::Store(_)) => answers.refused.push(id),
            Err(error) => panic!("{id}: {error}"),
        }
    }
    answers
}

/// What the faults did to events that were sent together.
#[derive(Debug, Default)]
struct Seen {
    /// Bursts of which nothing, some and all were refused.
    none: usize,
    some: usize,
    all: usize,
    sent: usize,
}

fn burst(shop: &Running, disk: &Disk, name: &str) -> Seen {
    let mut ids: Vec<String> = (0..AT_ONCE).map(|one| format!("{name}-{one}")).collect();
    let mut seen = Seen::default();
    let mut refusals = 0;
    while !ids.is_empty() {
        seen.sent += ids.len();
        let answers = send(shop, ids);
        match (answers.accepted, answers.refused.len()) {
            (_, 0) => seen.none += 1,
            (0, _) => seen.all += 1,
            _ => seen.some += 1,
        }
        ids = answers.refused;
        refusals += 1;
        if refusals == PATIENCE {
            disk.fail(Fault::None);
        }
    }
    seen
}

fn upload(promoflow: &Promoflow, name: &str) {
    let csv = codes(name, 40);
    for _ in 0..500 {
        let options = promoflow::pool::ImportOptions::default();
        if promoflow
            .import(csv.as_bytes(), &options, &mut |_| ())
            .is_ok()
        {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("{name} is refused for ever");
}

fn under(faults: impl Iterator<Item = Fault>) -> Seen {
    let (shop, disk, builder) = watched(|_| ());
    let promoflow = builder.open().unwrap();
    promoflow.codes_of(&codes("C", 6_000));
    let running = promoflow.start().unwrap();
    let mut seen = Seen::default();
    let (mut rounds, mut uploads) = (0, 0);
    for (number, fault) in faults.enumerate() {
        rounds += 1;
        disk.fail(fault);
        let all = thread::scope(|scope| {
            let senders: Vec<_> = (0..SENDERS)
                .map(|sender| {
                    let name = format!("e{number}-{sender}");
                    let (running, disk) = (&running, &disk);
                    scope.spawn(move || burst(running, disk, &name))
                })
                .collect();
            if number % 4 == 0 {
                uploads += 1;
                upload(&promoflow, &format!("U{number}"));
            }
            let joined = senders.into_iter().map(|sender| sender.join().unwrap());
            joined.collect::<Vec<_>>()
        });
        for one in all {
            seen.none += one.none;
            seen.some += one.some;
            seen.all += one.all;
            seen.sent += one.sent;
        }
    }
    disk.fail(Fault::None);
    went_well(&shop, &promoflow, &running);
    let sql = shop.sql();
    let counted = |table| column::<i64>(&sql, &format!("SELECT count(*) FROM {table}"));
    assert_eq!(counted("event"), [rounds * (SENDERS * AT_ONCE) as i64]);
    assert_eq!(counted("code"), [6_000 + uploads * 40]);
    // Many shared a commit, or this is no test of that. The dispatcher's commits count as well.
    let commits = usize::try_from(shop.clock.commits()).unwrap();
    assert!(seen.sent > 2 * commits, "{seen:?} in {commits} commits");
    seen
}

fn went_well(shop: &Shop, promoflow: &Promoflow, running: &Running) {
    running.rest_all().unwrap();
    // What a channel was to be asked again for.
    shop.clock.advance(3_600_000);
    running.rest_all().unwrap();
    all_went_once(shop, promoflow);
    let sound: Vec<String> = column(&shop.sql(), "PRAGMA integrity_check");
    assert_eq!(sound, ["ok"]);
}

#[test]
fn p7_a_write_that_fails_within_a_group_commit_denies_nothing_that_stands() {
    // A commit of so many writes some hundred pages.
    let seen = under((0..36).map(|number| Fault::Write(number * 7)));
    assert!(seen.none > 0, "{seen:?}");
}

#[test]
fn p7_a_sync_that_fails_within_a_group_commit_denies_nothing_that_stands() {
    let seen = under((0..8).map(Fault::Sync));
    assert!(seen.none > 0, "{seen:?}");
}

#[test]
fn p7_a_disk_that_fails_again_and_again_refuses_some_of_a_group_and_keeps_the_others() {
    let seen = under([3, 5, 9, 14, 23, 40, 61, 90].into_iter().map(Fault::Every));
    assert!(seen.some > 3, "{seen:?}");
}
