//! What only an upload in PostgreSQL shows: its slices, and claims of other hosts beside it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use promoflow_store::{CommitReply, InstallationStore, PoolStore, UploadState, UploadStore};
use promoflow_store_conformance::{Fixture, Harness, NOW, claim, code_group, head, row, segment};
use promoflow_test_postgres::TestDatabase;

use super::*;
use crate::tests::Postgres;
use promoflow_model::pool::Filter;
use promoflow_store::rules::slices::MAX_STAGE_AGE;

fn rows(count: usize, discount: Option<u8>) -> Vec<NewCode> {
    let row = |number| NewCode {
        discount,
        ..row(&format!("C-{number:03}"), None)
    };
    (0..count).rev().map(row).collect()
}

fn open(database: &TestDatabase) -> PostgresStore {
    PostgresStore::open(database.address()).unwrap()
}

fn staged<'s>(store: &'s PostgresStore, rows: &[NewCode]) -> staged::Staged<'s> {
    let mut staged = staged::Staged::new(store, head(Atomicity::Staged), &NOW).unwrap();
    staged.batch(rows).unwrap();
    staged
}

fn available(store: &PostgresStore, discount: u8) -> Vec<String> {
    let codes = store.available_codes(&code_group(discount), None, 1_000);
    codes.unwrap().into_iter().map(|code| code.code).collect()
}

fn slices(store: &PostgresStore) -> i64 {
    let count = |transaction: &Transaction<'_>| {
        let row = transaction.row("SELECT count(*) FROM upload_slice", &[])?;
        row.unwrap().get(0)
    };
    store.read(count).unwrap()
}

fn audit(store: &PostgresStore) {
    let audited = store.audit().unwrap();
    assert!(audited.iter().all(|one| one.holds), "{audited:?}");
}

#[test]
fn accepted_uploads_survive_their_host_and_others_do_not() {
    let database = promoflow_test_postgres::database();
    let (lost_host, store) = (open(&database), open(&database));
    std::mem::forget(staged(&lost_host, &rows(7, Some(5))));
    let mut decided = staged(&lost_host, &rows(10, None));
    let upload = decided.accept(&UploadEnd::completed(0, NOW)).unwrap();
    std::mem::forget(decided);
    drop(lost_host);

    assert!(available(&store, 0).is_empty());
    store.mark_uploads_interrupted(NOW).unwrap();
    assert_eq!(slices(&store), 3 + 4);
    let state = || store.upload(upload).unwrap().unwrap().0.state;
    assert_eq!(state(), UploadState::Running);

    store.finish_uploads(&NOW).unwrap();
    let expected: Vec<String> = rows(10, None).into_iter().map(|row| row.code).collect();
    assert_eq!(available(&store, 0), expected, "in the order of the upload");
    assert!(available(&store, 5).is_empty());
    assert_eq!(state(), UploadState::Completed);
    audit(&store);

    assert_eq!(slices(&store), 3);
    store
        .mark_uploads_interrupted(NOW.plus_millis(MAX_STAGE_AGE + 1))
        .unwrap();
    assert_eq!(slices(&store), 0);
}

#[test]
fn rows_that_another_upload_added_meanwhile_are_not_new() {
    let database = promoflow_test_postgres::database();
    let store = open(&database);
    let mut slow = staged::Staged::new(&store, head(Atomicity::Staged), &NOW).unwrap();
    let outcomes = slow.batch(&rows(8, None)).unwrap();
    assert!(outcomes.iter().all(|one| *one == RowOutcome::Inserted));
    let fast = Box::new(staged(&store, &rows(5, Some(20))));
    let fast = fast.finish(UploadEnd::completed(0, NOW)).unwrap();
    assert_eq!((fast.inserted, fast.updated, fast.unchanged), (5, 0, 0));
    // What the rows do not state stays as the other upload set it.
    let slow = Box::new(slow).finish(UploadEnd::completed(0, NOW)).unwrap();
    assert_eq!((slow.inserted, slow.updated, slow.unchanged), (3, 0, 5));
    assert_eq!(
        (available(&store, 0).len(), available(&store, 20).len()),
        (3, 5)
    );
    audit(&store);
}

#[test]
fn several_hosts_finish_an_upload_together() {
    let database = promoflow_test_postgres::database();
    let stores = [open(&database), open(&database), open(&database)];
    let mut upload = staged(&stores[0], &rows(90, None));
    let id = upload.accept(&UploadEnd::completed(0, NOW)).unwrap();
    thread::scope(|scope| {
        for store in &stores {
            scope.spawn(|| store.finish_uploads(&NOW).unwrap());
        }
    });
    let (row, _) = stores[0].upload(id).unwrap().unwrap();
    assert_eq!((row.state, row.inserted), (UploadState::Completed, 90));
    assert_eq!(available(&stores[0], 0).len(), 90);
    audit(&stores[0]);
}

/// Uploads new codes, and another expiry for the codes of `known`, while another host claims.
fn upload_beside_claims(atomicity: Atomicity, batches: usize) {
    let fixture = Fixture::<Postgres>::new();
    let other = fixture.harness.another();
    let known: Vec<String> = (0..batches * 10)
        .map(|number| format!("K-{number}"))
        .collect();
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    fixture.add_codes(&names);
    let (is_uploaded, claimed) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for thread in 0..3 {
            let (fixture, other, is_uploaded, claimed) =
                (&fixture, other.store(), &is_uploaded, &claimed);
            scope.spawn(move || {
                while !is_uploaded.load(Ordering::SeqCst) {
                    let codes = other.available_codes(&code_group(0), None, 20).unwrap();
                    // Two threads want the same codes, and one those that come later.
                    let Some(code) = codes.into_iter().nth(thread / 2 * 15) else {
                        continue;
                    };
                    let claims = vec![claim(code_group(0), code)];
                    let unit = fixture.accept(None, Some(segment(None, claims)));
                    let replies = other.commit(&[unit], &NOW).unwrap();
                    if let CommitReply::Accepted { .. } = replies[0] {
                        claimed.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
        while claimed.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
        let batches: Vec<Vec<NewCode>> = (0..batches)
            .map(|batch| {
                let expires = Some(NOW.0 + 1_000);
                let moved = known[batch * 10..][..10]
                    .iter()
                    .map(|code| row(code, expires));
                let new = (0..10).map(|number| row(&format!("N-{batch}-{number}"), expires));
                moved.chain(new).collect()
            })
            .collect();
        let outcomes = fixture.upload(&batches, atomicity);
        is_uploaded.store(true, Ordering::SeqCst);
        let inserted = outcomes.iter().filter(|one| **one == RowOutcome::Inserted);
        assert_eq!(inserted.count(), known.len());
    });
    let count = fixture
        .store()
        .count_codes(&Filter::default(), NOW)
        .unwrap();
    let claimed = claimed.load(Ordering::SeqCst) as u64;
    assert_eq!(count.total, 2 * known.len() as u64);
    assert_eq!(
        (count.used, count.available),
        (claimed, count.total - claimed)
    );
    fixture.audit();
}

#[test]
fn p1_codes_are_available_or_claimed_after_an_upload_beside_claims() {
    upload_beside_claims(Atomicity::Batches, 30);
}

#[test]
fn p1_codes_are_available_or_claimed_after_a_staged_upload_beside_claims() {
    upload_beside_claims(Atomicity::Staged, 10);
}

#[test]
fn p1_codes_are_available_or_claimed_after_an_atomic_upload_beside_claims() {
    upload_beside_claims(Atomicity::OneTransaction, 10);
}

#[test]
fn what_rows_said_is_found_by_their_codes() {
    let values = |expires| promoflow_store::rules::upload::CodeValues {
        code_group: 1,
        expires: Timestamp(expires),
        in_use: false,
    };
    let mut seen = Seen::default();
    for number in 0..1_000 {
        seen.put(&format!("C-{number}"), values(number % 7));
    }
    for number in 0..1_000 {
        assert_eq!(seen.get(&format!("C-{number}")), Some(values(number % 7)));
    }
    assert_eq!(seen.get("C-1000"), None);
}
