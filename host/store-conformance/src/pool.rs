//! The pool: states of codes, listings, counts.

use super::{Fixture, Harness, NOW, claim, code_group, row, segment};
use promoflow_model::clock::Timestamp;
use promoflow_model::pool::Filter;
use promoflow_store::{Atomicity, AvailableCode, StagedReuse};

/// A retired code stays in the pool and can be reinstated; a used one can be neither.
pub fn p9_unused_codes_are_only_retired<H: Harness>() {
    let fixture = Fixture::<H>::new();
    let store = fixture.store();
    fixture.add_codes(&["A", "B"]);
    let claims = vec![fixture.claim_first()];
    fixture.start(Some(segment(None, claims)));
    let (changes, generation) = (store.pool_changes(), store.pool_generation().unwrap());
    let codes = ["A", "B", "X"].map(str::to_owned);
    let retired = store.retire(&codes, true, &NOW).unwrap();
    assert_eq!(retired.retired, 1);
    assert_eq!(retired.already_used, ["A"]);
    assert_eq!(retired.unknown, ["X"]);
    assert!(store.pool_changes() > changes);
    assert!(store.pool_generation().unwrap() > generation);
    let (row, _) = store.code("B").unwrap().unwrap();
    assert!(row.in_use && row.used_by.is_none());
    assert!(fixture.first(&code_group(0)).is_none());
    store.retire(&codes, false, &NOW).unwrap();
    assert_eq!(fixture.first(&code_group(0)).unwrap().code, "B");
    fixture.audit();
}

/// A lease returns the next codes in the order of claiming, as often as it is asked, and takes
/// nothing out of the pool. A sole process holds all leases.
pub fn leases_change_nothing<H: Harness>() {
    let fixture = Fixture::<H>::new();
    let store = fixture.store();
    let rows = vec![row("C", None), row("B", Some(NOW.0 + 10)), row("A", None)];
    fixture.upload(&[rows], Atomicity::Batches);
    let lease = |after, limit| {
        let leased = store.lease(&code_group(0), after, limit).unwrap();
        assert!(!leased.others);
        (leased.codes, leased.end)
    };
    let names = |codes: &[AvailableCode]| -> Vec<String> {
        codes.iter().map(|code| code.code.clone()).collect()
    };
    let (first, end) = lease(None, 2);
    assert_eq!((names(&first), end), (vec!["B".into(), "C".into()], false));
    let (last, end) = lease(Some(first[1].position), 2);
    assert_eq!((names(&last), end), (vec!["A".into()], true));
    let available = store.available_codes(&code_group(0), None, 10).unwrap();
    assert_eq!(names(&available), ["B", "C", "A"]);
    assert_eq!(lease(None, 10).0, available);
    store.give_up(&code_group(0)).unwrap();
    let claims = vec![claim(code_group(0), available[0].clone())];
    fixture.start(Some(segment(None, claims)));
    assert_eq!(names(&lease(None, 10).0), ["C", "A"]);
    let other = store.lease(&code_group(20), None, 10).unwrap();
    assert!(other.codes.is_empty() && other.end && !other.others);
    fixture.audit();
}

/// Listings start after a code, and counts agree with them.
pub fn lists_and_counts_by_filter<H: Harness>() {
    let fixture = Fixture::<H>::new();
    let store = fixture.store();
    let mut rows = vec![
        row("A", Some(NOW.0 - 1)),
        row("B", Some(NOW.0 + 10)),
        row("C", None),
    ];
    rows[2].discount = Some(20);
    fixture.upload(&[rows], Atomicity::Batches);
    let page = |filter: &Filter, after, limit| -> Vec<String> {
        let rows = store.codes(filter, after, limit, NOW).unwrap();
        rows.into_iter().map(|row| row.code).collect()
    };
    let list = |filter: &Filter, after| page(filter, after, 10);
    let all = Filter::default();
    assert_eq!(list(&all, None), ["A", "B", "C"]);
    assert_eq!(list(&all, Some("A")), ["B", "C"]);
    assert_eq!(page(&all, Some("A"), 1), ["B"]);
    assert!(page(&all, None, 0).is_empty());
    assert!(list(&all, Some("C")).is_empty());
    let discounted = Filter {
        discount: Some(20),
        ..Filter::default()
    };
    assert_eq!(list(&discounted, None), ["C"]);
    let count = store.count_codes(&all, NOW).unwrap();
    assert_eq!((count.total, count.available, count.expired), (3, 2, 1));
    assert_eq!(
        store.code_groups().unwrap(),
        [code_group(0), code_group(20)]
    );
    let between =
        |to| store.count_available_between(&code_group(0), NOW, Timestamp(NOW.0 + to), 10);
    assert_eq!((between(9).unwrap(), between(10).unwrap()), (0, 1));
    let soon = Timestamp(NOW.0 + 10);
    let groups = store.pool_statistics(NOW, soon).unwrap().code_groups;
    assert_eq!((groups[0].available, groups[0].expired), (1, 1));
    assert_eq!(groups[0].expiring, 1);
    assert_eq!(groups[1].available, 1);
}

/// Codes that differ in any byte differ, and are listed in the order of their bytes.
pub fn codes_are_ordered_by_bytes<H: Harness>() {
    let fixture = Fixture::<H>::new();
    let sorted = [
        "-1", "10", "9", "A", "B", "_", "a", "b", "Ä", "ä", "Я", "😀",
    ];
    let mut mixed = sorted.to_vec();
    mixed.sort_by_key(|code| (code.len(), std::cmp::Reverse(*code)));
    fixture.add_codes(&mixed);
    let list = |after: Option<&str>| -> Vec<String> {
        let page = fixture.store().codes(&Filter::default(), after, 100, NOW);
        page.unwrap().into_iter().map(|row| row.code).collect()
    };
    assert_eq!(list(None), sorted);
    for (index, code) in sorted.iter().enumerate() {
        assert_eq!(list(Some(code)), sorted[index + 1..], "{code}");
    }
}

/// Each claim is counted once after a mark and since a time.
pub fn claims_are_counted<H: Harness>() {
    let fixture = Fixture::<H>::new();
    let store = fixture.store();
    fixture.add_codes(&["A", "B", "C"]);
    let claims = || vec![fixture.claim_first()];
    fixture.start(Some(segment(None, claims())));
    let mark = store.claim_mark().unwrap();
    let statistics = store.pool_statistics(NOW, NOW).unwrap();
    assert_eq!(statistics.mark, mark);
    let none = store.claimed_after(&mark).unwrap();
    assert!(none.code_groups.is_empty());
    assert_eq!(none.mark, mark);
    fixture.start(Some(segment(None, claims())));
    assert_ne!(store.claim_mark().unwrap(), mark);
    let claimed = store.claimed_after(&mark).unwrap();
    assert_eq!(claimed.code_groups[&code_group(0)], 1);
    assert_eq!(claimed.mark, store.claim_mark().unwrap());
    let none = store.claimed_after(&claimed.mark).unwrap();
    assert!(none.code_groups.is_empty());
    let since = store.claimed_since(NOW, 10).unwrap();
    assert_eq!(since.code_groups[&code_group(0)], 2);
    assert_eq!(
        store.claimed_since(NOW, 1).unwrap().code_groups[&code_group(0)],
        1
    );
    let counts = store.run_statistics().unwrap();
    assert_eq!((counts.completed, counts.running), (2, 0));
}

/// A run finds the code that it claimed, and a contact the one that it keeps.
pub fn kept_codes_are_found<H: Harness>() {
    let fixture = Fixture::<H>::new();
    let store = fixture.store();
    fixture.add_codes(&["A"]);
    let mut staged = segment(None, vec![fixture.claim_first()]);
    staged.reuses = vec![StagedReuse {
        contact: "ann".into(),
        code_group: code_group(0),
        found: None,
        replaced_by: Some(0),
    }];
    let run = fixture.start(Some(staged));
    let of_run = store.claim_of_run(run, &code_group(0), NOW).unwrap();
    assert_eq!(of_run.as_ref().unwrap().code.code, "A");
    let kept = store.claim_kept_by_contact("ann", &code_group(0)).unwrap();
    assert_eq!(kept, of_run);
    let other = store.claim_kept_by_contact("bob", &code_group(0));
    assert_eq!(other.unwrap(), None);
}
