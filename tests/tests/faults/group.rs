//! P7 when the disk fails in the middle of a group commit: some of the events may be rejected, but
//! no stored event is reported as rejected.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use promoflow::run::SubmitError;
use promoflow::{EngineHandle, Promoflow};
use promoflow_tests::powerloss::{Disk, Fault};
use promoflow_tests::{PromoflowExt, TestApp};

use crate::{assert_sent_once, birthday, codes, watched};

/// Sender threads, and the number of events that each has in flight.
const SENDERS: usize = 3;
const AT_ONCE: usize = 50;
/// Number of rejections after which the disk works again.
const MAX_REJECTIONS: usize = 4;

/// The results of events that were sent at once.
#[derive(Default)]
struct Answers {
    accepted: usize,
    refused: Vec<String>,
}

/// Sends events without waiting for each other.
fn send(running: &EngineHandle, ids: Vec<String>) -> Answers {
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
                assert!(!receipt.duplicate, "{id} was rejected but stored");
                answers.accepted += 1;
            }
            Err(SubmitError::Store(_)) => answers.refused.push(id),
            Err(error) => panic!("{id}: {error}"),
        }
    }
    answers
}

/// The effect of the faults on events that were sent together.
#[derive(Debug, Default)]
struct BurstCounts {
    /// Bursts of which no event, some events and all events were rejected.
    none: usize,
    some: usize,
    all: usize,
    sent: usize,
}

fn burst(app: &EngineHandle, disk: &Disk, name: &str) -> BurstCounts {
    let mut ids: Vec<String> = (0..AT_ONCE).map(|one| format!("{name}-{one}")).collect();
    let mut seen = BurstCounts::default();
    let mut refusals = 0;
    while !ids.is_empty() {
        seen.sent += ids.len();
        let answers = send(app, ids);
        match (answers.accepted, answers.refused.len()) {
            (_, 0) => seen.none += 1,
            (0, _) => seen.all += 1,
            _ => seen.some += 1,
        }
        ids = answers.refused;
        refusals += 1;
        if refusals == MAX_REJECTIONS {
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
    panic!("{name} is rejected every time");
}

fn under(faults: impl Iterator<Item = Fault>) -> BurstCounts {
    let (app, disk, builder) = watched(|_| ());
    let promoflow = builder.open().unwrap();
    promoflow.import_codes(&codes("C", 6_000));
    let running = promoflow.start().unwrap();
    let mut seen = BurstCounts::default();
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
    assert_completed(&app, &promoflow, &running);
    let database = app.inspect();
    let events = rounds * (SENDERS * AT_ONCE) as i64;
    assert_eq!(database.count("event"), Ok(events));
    assert_eq!(database.count("code"), Ok(6_000 + uploads * 40));
    // Requires that many events shared a commit. The dispatcher's commits count as well.
    let commits = usize::try_from(app.clock.commits()).unwrap();
    assert!(seen.sent > 2 * commits, "{seen:?} in {commits} commits");
    seen
}

fn assert_completed(app: &TestApp, promoflow: &Promoflow, running: &EngineHandle) {
    running.wait_all_idle().unwrap();
    // Deliveries that were to be retried.
    app.clock.advance(3_600_000);
    running.wait_all_idle().unwrap();
    assert_sent_once(app, promoflow);
    assert_eq!(app.inspect().integrity_errors(), Ok(Vec::new()));
}

#[test]
fn p7_a_failed_write_in_a_group_commit_rejects_no_stored_event() {
    // A commit of this many events writes some hundred pages.
    let seen = under((0..36).map(|number| Fault::Write(number * 7)));
    assert!(seen.none > 0, "{seen:?}");
}

#[test]
fn p7_a_failed_sync_in_a_group_commit_rejects_no_stored_event() {
    let seen = under((0..8).map(Fault::Sync));
    assert!(seen.none > 0, "{seen:?}");
}

#[test]
fn p7_a_repeatedly_failing_disk_rejects_part_of_a_group_and_stores_the_rest() {
    let seen = under([3, 5, 9, 14, 23, 40, 61, 90].into_iter().map(Fault::Every));
    assert!(seen.some > 3, "{seen:?}");
}
