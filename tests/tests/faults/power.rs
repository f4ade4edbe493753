//! P7: acknowledged work survives power loss with `synchronous=FULL`, and does not without it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use promoflow::{EngineHandle, Promoflow};
use promoflow_test_support::inspect;
use promoflow_tests::powerloss::{Disk, Survives};
use promoflow_tests::{PromoflowExt, RecordingChannel, SentMessage, TestApp};

use crate::{birthday, codes, watched};

const CUTS: u64 = 40;
/// Every n-th cut continues with the remaining files.
const RESTART_INTERVAL: u64 = 10;

/// The acknowledgements up to a moment.
#[derive(Clone, Default)]
struct Acknowledged {
    events: Vec<String>,
    uploads: Vec<String>,
}

type Ledger = Arc<Mutex<Acknowledged>>;

/// The effect of a power cut.
#[derive(Debug, Default)]
struct Lost {
    acknowledged: usize,
    /// Messages that left although no attempt is stored.
    messages: usize,
    checked: usize,
}

#[test]
fn p7_acknowledged_work_survives_power_loss() {
    let lost = cuts(false);
    assert_eq!((lost.acknowledged, lost.messages), (0, 0), "{lost:?}");
    assert!(lost.checked > 1_000, "{lost:?}");
}

#[test]
fn p7_with_synchronous_normal_power_loss_loses_acknowledged_work() {
    let lost = cuts(true);
    assert!(lost.acknowledged > 0 && lost.messages > 0, "{lost:?}");
}

fn cuts(weak: bool) -> Lost {
    let (app, disk, builder) = watched(|disk| {
        if weak {
            disk.weaken();
        }
    });
    let promoflow = builder.open().unwrap();
    promoflow.import_codes(&codes("FIRST", 20_000));
    let running = promoflow.start().unwrap();
    let (ledger, ends) = (Ledger::default(), AtomicBool::new(false));
    let mut lost = Lost::default();
    thread::scope(|scope| {
        for sender in 0..3 {
            let (running, ledger, ends) = (&running, &ledger, &ends);
            scope.spawn(move || send(running, sender, ledger, ends));
        }
        scope.spawn(|| upload(&promoflow, &ledger, &ends));
        // Signals the senders even if a check below panics; otherwise the scope would never end.
        let _ending = StopOnDrop(&ends);
        for cut in 0..CUTS {
            thread::sleep(Duration::from_millis(3 + cut % 17));
            one_cut(&app, &disk, cut, weak, &ledger, &mut lost);
        }
    });
    running.wait_all_idle().unwrap();
    promoflow.assert_audit();
    lost
}

struct StopOnDrop<'e>(&'e AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn send(running: &EngineHandle, sender: usize, ledger: &Ledger, ends: &AtomicBool) {
    for number in 0..4_000 {
        if ends.load(Ordering::SeqCst) {
            return;
        }
        let id = format!("e{sender}-{number}");
        running.send(birthday(&id)).unwrap();
        ledger.lock().unwrap().events.push(id);
    }
}

fn upload(promoflow: &Promoflow, ledger: &Ledger, ends: &AtomicBool) {
    for number in 0..1_000 {
        if ends.load(Ordering::SeqCst) {
            return;
        }
        let prefix = format!("U{number}");
        promoflow.import_codes(&codes(&prefix, 20));
        let mut ledger = ledger.lock().unwrap();
        ledger
            .uploads
            .extend((0..20).map(|code| format!("{prefix}-{code}")));
        drop(ledger);
        thread::sleep(Duration::from_millis(5));
    }
}

fn one_cut(app: &TestApp, disk: &Disk, cut: u64, weak: bool, ledger: &Ledger, lost: &mut Lost) {
    let acknowledged = ledger.lock().unwrap().clone();
    let messages = app.channel.sent();
    let folder = app.sibling(&format!("cut-{cut}"));
    std::fs::create_dir(&folder).unwrap();
    let survives = match cut % 2 {
        0 => Survives::Nothing,
        _ => Survives::Some(cut),
    };
    disk.after_power_cut(&folder, survives).unwrap();
    let database = folder.join("shop.db");
    count_lost(&database, &acknowledged, &messages, lost);
    let after = RecordingChannel::default();
    let builder = app.builder_at(&database, &after).create(false);
    let promoflow = builder.open().unwrap();
    if weak {
        // A cut may lose everything, so that there is nothing to check.
        let audited = promoflow.audit().unwrap();
        assert!(audited.iter().all(|promise| promise.holds), "{audited:?}");
    } else {
        promoflow.assert_audit();
    }
    if !weak && cut % RESTART_INTERVAL == RESTART_INTERVAL - 1 {
        restart(&promoflow, &database, &messages, &after);
    }
    drop(promoflow);
    std::fs::remove_dir_all(&folder).unwrap();
}

fn count_lost(
    database: &PathBuf,
    acknowledged: &Acknowledged,
    messages: &[SentMessage],
    lost: &mut Lost,
) {
    let database = inspect(database).unwrap();
    assert_eq!(database.integrity_errors(), Ok(Vec::new()));
    let set = |sql: &str| -> HashSet<String> {
        let rows = database.rows(sql, &[]).unwrap();
        rows.into_iter().collect()
    };
    let events = set("SELECT event_id FROM event");
    let codes = set("SELECT code FROM code");
    let attempts = set("SELECT 'delivery-' || delivery FROM attempt");
    let gone = |acknowledged: &[String], there: &HashSet<String>| {
        acknowledged
            .iter()
            .filter(|one| !there.contains(*one))
            .count()
    };
    lost.acknowledged += gone(&acknowledged.events, &events) + gone(&acknowledged.uploads, &codes);
    lost.messages += messages
        .iter()
        .filter(|one| !attempts.contains(&one.id))
        .count();
    lost.checked += acknowledged.events.len() + acknowledged.uploads.len() + messages.len();
}

/// Restarts after the cut: every accepted event is completed, and messages that left before the cut
/// leave at most once more, under the same identity.
fn restart(
    promoflow: &Promoflow,
    database: &Path,
    before: &[SentMessage],
    after: &RecordingChannel,
) {
    let running = promoflow.start().unwrap();
    running.wait_all_idle().unwrap();
    drop(running);
    promoflow.assert_audit();
    let unexpected = "SELECT id FROM delivery WHERE state <> 'delivered'";
    let unexpected: Vec<i64> = inspect(database).unwrap().rows(unexpected, &[]).unwrap();
    assert!(unexpected.is_empty(), "not delivered: {unexpected:?}");
    let mut carriers = HashMap::new();
    for message in before.iter().chain(&after.sent()) {
        let first = carriers
            .entry(message.text.clone())
            .or_insert(message.id.clone());
        assert_eq!(*first, message.id, "{} left twice", message.text);
    }
}
