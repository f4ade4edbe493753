//! P7 on a disk that is full, or fails now and then: what cannot be stored is refused, and the
//! process goes on.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use promoflow::pool::{ImportOptions, ImportReport};
use promoflow::run::SendError;
use promoflow::{Promoflow, Running};
use promoflow_tests::Teach;
use promoflow_tests::powerloss::{Disk, Fault};

use crate::{all_went_once, birthday, codes, column, watched};

fn import(promoflow: &Promoflow, csv: &str) -> Result<ImportReport, String> {
    promoflow
        .import(csv.as_bytes(), &ImportOptions::default(), &mut |_| ())
        .map_err(|error| error.to_string())
}

#[test]
fn p7_on_a_full_disk_events_and_uploads_are_refused_and_go_on_when_there_is_room() {
    let (shop, disk, builder) = watched(|_| ());
    let promoflow = builder.open().unwrap();
    promoflow.codes_of(&codes("C", 200));
    let running = promoflow.start().unwrap();
    running.send(birthday("before")).unwrap();
    running.rest_all().unwrap();

    disk.fail(Fault::Full);
    for number in 0..5 {
        let error = running
            .send(birthday(&format!("full-{number}")))
            .unwrap_err();
        assert!(matches!(error, SendError::Store(_)), "{error}");
        assert!(error.to_string().contains("full"), "{error}");
    }
    let error = import(&promoflow, &codes("D", 500)).unwrap_err();
    assert!(error.contains("the disk is full"), "{error}");
    assert!(disk.faults() > 0);
    let events: Vec<String> = column(&shop.sql(), "SELECT event_id FROM event");
    assert_eq!(events, ["before"]);

    disk.fail(Fault::None);
    for number in 0..5 {
        let receipt = running.send(birthday(&format!("full-{number}"))).unwrap();
        assert!(!receipt.duplicate);
    }
    assert_eq!(import(&promoflow, &codes("D", 500)).unwrap().inserted, 500);
    running.rest_all().unwrap();
    all_went_once(&shop, &promoflow);
    assert_eq!(shop.letters.sent().len(), 6);
}

#[test]
fn p7_a_full_disk_is_not_asked_again_at_once_however_many_wait() {
    let (shop, disk, builder) = watched(|_| ());
    let promoflow = builder.open().unwrap();
    promoflow.codes_of(&codes("C", 200));
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
        "{refused} refused, asked {asked} times"
    );
    disk.fail(Fault::None);
    for sender in 0..4 {
        let receipt = running.send(birthday(&format!("full-{sender}"))).unwrap();
        assert!(!receipt.duplicate);
    }
    running.rest_all().unwrap();
    all_went_once(&shop, &promoflow);
}

/// Sends an event until it is accepted; a refusal leaves nothing of it behind.
fn send(running: &Running, id: &str) -> u32 {
    for refusals in 0..50 {
        match running.send(birthday(id)) {
            Ok(receipt) => {
                assert!(!receipt.duplicate, "{id} was refused, and stored");
                return refusals;
            }
            Err(SendError::Store(_)) => {}
            Err(error) => panic!("{id}: {error}"),
        }
    }
    panic!("{id} is refused for ever");
}

fn sweep(name: &str, faults: impl Iterator<Item = Fault>) {
    let (shop, disk, builder) = watched(|_| ());
    let promoflow = builder.open().unwrap();
    promoflow.codes_of(&codes("C", 2_000));
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
        running.rest_all().unwrap();
    }
    disk.fail(Fault::None);
    assert!(refusals > 0 && disk.faults() > 5, "no fault was noticed");
    shop.clock.advance(3_600_000);
    running.rest_all().unwrap();
    all_went_once(&shop, &promoflow);
}

#[test]
fn p7_a_write_that_fails_is_refused_or_done_again() {
    sweep("write", (0..40).map(Fault::Write));
}

#[test]
fn p7_a_sync_that_fails_is_refused_or_done_again() {
    sweep("sync", (0..12).map(Fault::Sync));
}

#[test]
fn p7_a_database_opens_after_an_opening_that_failed() {
    let (shop, disk, _) = watched(|_| ());
    for number in 0..12 {
        let opens = |disk: &Disk, fault| {
            disk.fail(fault);
            let opened = shop.builder().open().map(|promoflow| {
                // Closing it copies the log into the file.
                drop(promoflow);
            });
            disk.fail(Fault::None);
            opened
        };
        // Whether it opens is its own affair; that it opens after is not.
        let _failed = opens(&disk, Fault::Write(number));
        opens(&disk, Fault::None).unwrap();
        let _failed = opens(&disk, Fault::Sync(number));
        shop.open().audited_or_empty();
    }
}

trait Sound {
    fn audited_or_empty(&self);
}

impl Sound for Promoflow {
    fn audited_or_empty(&self) {
        let audited = self.audit().unwrap();
        assert!(audited.iter().all(|one| one.holds), "{audited:#?}");
    }
}
