//! P7 on a disk that is full or that fails sometimes: what cannot be stored is rejected, and the
//! process continues.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use promoflow::pool::{ImportOptions, ImportReport};
use promoflow::run::SubmitError;
use promoflow::{EngineHandle, Promoflow};
use promoflow_tests::PromoflowExt;
use promoflow_tests::powerloss::{Disk, Fault};

use crate::{assert_sent_once, birthday, codes, watched};

fn import(promoflow: &Promoflow, csv: &str) -> Result<ImportReport, String> {
    promoflow
        .import(csv.as_bytes(), &ImportOptions::default(), &mut |_| ())
        .map_err(|error| error.to_string())
}

#[test]
fn p7_a_full_disk_rejects_events_and_uploads_until_there_is_room() {
    let (app, disk, builder) = watched(|_| ());
    let promoflow = builder.open().unwrap();
    promoflow.import_codes(&codes("C", 200));
    let running = promoflow.start().unwrap();
    running.send(birthday("before")).unwrap();
    running.wait_all_idle().unwrap();

    disk.fail(Fault::Full);
    for number in 0..5 {
        let error = running
            .send(birthday(&format!("full-{number}")))
            .unwrap_err();
        assert!(matches!(error, SubmitError::Store(_)), "{error}");
        assert!(error.to_string().contains("full"), "{error}");
    }
    let error = import(&promoflow, &codes("D", 500)).unwrap_err();
    assert!(error.contains("the disk is full"), "{error}");
    assert!(disk.faults() > 0);
    let events = app.inspect().rows("SELECT event_id FROM event", &[]);
    assert_eq!(events, Ok(vec!["before".to_owned()]));

    disk.fail(Fault::None);
    for number in 0..5 {
        let receipt = running.send(birthday(&format!("full-{number}"))).unwrap();
        assert!(!receipt.duplicate);
    }
    assert_eq!(import(&promoflow, &codes("D", 500)).unwrap().inserted, 500);
    running.wait_all_idle().unwrap();
    assert_sent_once(&app, &promoflow);
    assert_eq!(app.channel.sent().len(), 6);
}

#[test]
fn p7_a_full_disk_is_retried_with_back_off_however_many_runs_wait() {
    let (app, disk, builder) = watched(|_| ());
    let promoflow = builder.open().unwrap();
    promoflow.import_codes(&codes("C", 200));
    let running = promoflow.start().unwrap();
    disk.fail(Fault::Full);
    let until = Instant::now() + Duration::from_secs(1);
    let refused = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for sender in 0..4 {
            let (running, refused) = (&running, &refused);
            scope.spawn(move || {
                while Instant::now() < until {
                    running
                        .send(birthday(&format!("full-{sender}")))
                        .unwrap_err();
                    refused.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    let (refused, asked) = (refused.into_inner(), disk.faults());
    assert!(
        refused >= 4 && asked < 150,
        "{refused} rejections, {asked} attempts to write"
    );
    disk.fail(Fault::None);
    for sender in 0..4 {
        let receipt = running.send(birthday(&format!("full-{sender}"))).unwrap();
        assert!(!receipt.duplicate);
    }
    running.wait_all_idle().unwrap();
    assert_sent_once(&app, &promoflow);
}

/// Sends an event until it is accepted. A rejected event must leave nothing behind.
fn send(running: &EngineHandle, id: &str) -> u32 {
    for refusals in 0..50 {
        match running.send(birthday(id)) {
            Ok(receipt) => {
                assert!(!receipt.duplicate, "{id} was rejected but stored");
                return refusals;
            }
            Err(SubmitError::Store(_)) => {}
            Err(error) => panic!("{id}: {error}"),
        }
    }
    panic!("{id} is rejected every time");
}

fn sweep(name: &str, faults: impl Iterator<Item = Fault>) {
    let (app, disk, builder) = watched(|_| ());
    let promoflow = builder.open().unwrap();
    promoflow.import_codes(&codes("C", 2_000));
    let running = promoflow.start().unwrap();
    let mut refusals = 0;
    for (number, fault) in faults.enumerate() {
        disk.fail(fault);
        refusals += send(&running, &format!("{name}-{number}"));
        let upload = codes(&format!("{name}{number}"), 50);
        if import(&promoflow, &upload).is_err() {
            refusals += 1;
            import(&promoflow, &upload).unwrap();
        }
        running.wait_all_idle().unwrap();
    }
    disk.fail(Fault::None);
    assert!(refusals > 0 && disk.faults() > 5, "no fault had an effect");
    app.clock.advance(3_600_000);
    running.wait_all_idle().unwrap();
    assert_sent_once(&app, &promoflow);
}

#[test]
fn p7_a_failed_write_is_reported_or_retried() {
    sweep("write", (0..40).map(Fault::Write));
}

#[test]
fn p7_a_failed_sync_is_reported_or_retried() {
    sweep("sync", (0..12).map(Fault::Sync));
}

#[test]
fn p7_a_database_opens_after_a_failed_attempt_to_open_it() {
    let (app, disk, _) = watched(|_| ());
    for number in 0..12 {
        let opens = |disk: &Disk, fault| {
            disk.fail(fault);
            let opened = app.builder().open().map(|promoflow| {
                // Closing the database copies the log into the file.
                drop(promoflow);
            });
            disk.fail(Fault::None);
            opened
        };
        // Opening may succeed or fail here; opening it afterwards must succeed.
        let _failed = opens(&disk, Fault::Write(number));
        opens(&disk, Fault::None).unwrap();
        let _failed = opens(&disk, Fault::Sync(number));
        app.open().assert_audit_or_empty();
    }
}

trait AuditExt {
    fn assert_audit_or_empty(&self);
}

impl AuditExt for Promoflow {
    fn assert_audit_or_empty(&self) {
        let audited = self.audit().unwrap();
        assert!(audited.iter().all(|one| one.holds), "{audited:#?}");
    }
}
