//! P6: no upload makes a used code unused, changes its recipient, or brings a retired code back.

use std::io::Write;
use std::thread;

use promoflow::contact::ContactOptions;
use promoflow::event::Event;
use promoflow::pool::{Filter, ImportOptions};
use promoflow::store::RunId;
use promoflow_tests::{Helper, PromoflowExt, TestApp, until};

use crate::HELPER;

const FILE: &str = "\
code,expirationDate,discount,type,inUse
A,2026-12-31,10,birthday,false
B,2026-12-31,10,birthday,false
C,2026-12-31,10,birthday,false
D,2026-12-31,10,birthday,true
";

#[test]
fn p6_uploading_the_same_file_again_changes_nothing() {
    let (_shop, promoflow) = TestApp::with_codes(0);
    assert_eq!(promoflow.import_codes(FILE).inserted, 4);
    let running = promoflow.start().unwrap();
    promoflow.birthday(&running, "ann@example.com");
    promoflow.retire(&["B".into()]).unwrap();
    let before = promoflow.all_codes();
    let again = promoflow.import_codes(FILE);
    assert_eq!((again.inserted, again.updated, again.unchanged), (0, 0, 4));
    assert_eq!(promoflow.all_codes(), before);
    promoflow.assert_audit();
}

#[test]
fn p6_no_upload_brings_back_a_used_or_retired_code() {
    let (_shop, promoflow) = TestApp::with_codes(0);
    promoflow.import_codes(FILE);
    let running = promoflow.start().unwrap();
    assert_eq!(
        promoflow.birthday(&running, "ann@example.com").as_deref(),
        Some("A")
    );
    let used = promoflow.code("A").unwrap();
    for change in [
        "code,inUse\nA,false\nD,false\n",
        "code,expirationDate,discount,type,inUse\nA,2031-01-01,20,other,false\n",
        "code\nA\n",
        "code,inUse\nA,true\n",
    ] {
        promoflow.import_codes(change);
        assert_eq!(promoflow.code("A").unwrap(), used, "{change}");
        let (retired, _) = promoflow.code("D").unwrap().unwrap();
        assert!(retired.in_use, "{change}");
    }
    assert_eq!(promoflow.available_codes(), ["B", "C"]);
    let moved = "code,discount,type\nD,50,birthday\n";
    promoflow.import_codes(moved);
    let (retired, _) = promoflow.code("D").unwrap().unwrap();
    assert!(
        retired.in_use,
        "a retired code that is changed stays retired"
    );
    assert_eq!(retired.code_group.discount, 50);
    promoflow.assert_audit();
}

#[test]
fn p6_an_upload_updates_unused_codes() {
    let (_shop, promoflow) = TestApp::with_codes(0);
    promoflow.import_codes(FILE);
    let report = promoflow.import_codes(
        "code,expirationDate,discount,type,inUse\n\
         A,2026-12-31,20,birthday,false\n\
         B,2026-12-30,10,birthday,false\n\
         C,2026-12-31,10,birthday,true\n",
    );
    assert_eq!(report.updated, 3);
    let running = promoflow.start().unwrap();
    assert_eq!(
        promoflow.birthday(&running, "ann@example.com").as_deref(),
        Some("B")
    );
    assert_eq!(promoflow.birthday(&running, "ben@example.com"), None);
    assert_eq!(promoflow.available_codes(), ["A"]);
    promoflow.assert_audit();
}

#[test]
fn p6_uploads_during_events_duplicate_and_revive_no_code() {
    let (_shop, promoflow) = TestApp::with_codes(200);
    let running = promoflow.start().unwrap();
    let file: String = "code,expirationDate,discount,type,inUse\n".to_owned()
        + &(0..200)
            .map(|number| format!("C-{number:04},2999-12-31,10,birthday,false\n"))
            .collect::<String>();
    // The same codes with another date: each upload moves the unused ones.
    let moved = file.replace("2999-12-31", "2999-11-30");
    let runs: Vec<RunId> = thread::scope(|scope| {
        let uploads = scope.spawn(|| {
            for _ in 0..6 {
                promoflow.import_codes(&moved);
                promoflow.import_codes(&file);
            }
        });
        let mut runs = Vec::new();
        for number in 0..250 {
            let address = format!("u{number}@example.com");
            let event = Event::new("birthday", &address).with_param("EmailAddress", address);
            runs.extend(running.send(event).unwrap().runs);
        }
        uploads.join().unwrap();
        runs
    });
    running.wait_idle(&runs).unwrap();
    let mut got: Vec<String> = runs
        .iter()
        .filter_map(|run| promoflow.code_of(*run))
        .collect();
    assert_eq!(got.len(), 200);
    got.sort();
    got.dedup();
    assert_eq!(got.len(), 200, "a code went to two runs");
    assert!(promoflow.available_codes().is_empty());
    promoflow.assert_audit();
}

#[test]
fn p6_a_large_upload_uses_little_memory() {
    let (app, promoflow) = TestApp::with_codes(0);
    let mut helper = Helper::start(HELPER, &app, &["import", "200000"]);
    helper.expect("inserted 200000");
    let peak: u64 = helper.line().unwrap().parse().unwrap();
    helper.end();
    assert!(peak < 100 * 1024, "{peak} KiB at the peak");
    let count = promoflow.count(&Filter::default()).unwrap();
    assert_eq!((count.total, count.available), (200_000, 200_000));
    promoflow.assert_audit();
}

#[test]
fn a_slow_strict_upload_delays_no_event() {
    let (_shop, promoflow) = TestApp::with_codes(3);
    let running = promoflow.start().unwrap();
    let strict = ImportOptions {
        strict: true,
        ..ImportOptions::default()
    };
    let dry_run = ImportOptions {
        dry_run: true,
        ..ImportOptions::default()
    };
    for options in [dry_run, strict] {
        let (reader, mut writer) = std::io::pipe().unwrap();
        thread::scope(|scope| {
            let import = scope.spawn(|| promoflow.import(reader, &options, &mut |_| ()).unwrap());
            writer.write_all(b"code\nX\n").unwrap();
            let event = scope.spawn(|| promoflow.birthday(&running, "ann@example.com"));
            until(|| event.is_finished());
            drop(writer);
            assert_eq!(import.join().unwrap().inserted, 1);
        });
    }
    let (reader, mut writer) = std::io::pipe().unwrap();
    let options = ContactOptions {
        strict: true,
        ..ContactOptions::default()
    };
    thread::scope(|scope| {
        let import = scope.spawn(|| promoflow.import_contacts(reader, options, &mut |_| ()));
        writer.write_all(b"email\nann@example.com\n").unwrap();
        let event = scope.spawn(|| promoflow.birthday(&running, "ann@example.com"));
        until(|| event.is_finished());
        drop(writer);
        import.join().unwrap().unwrap();
    });
}
