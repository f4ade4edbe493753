//! Units that a commit accepts or rejects.

use super::{Fixture, Harness, NOW, claim, code_group, row, segment};
use promoflow_model::clock::Timestamp;
use promoflow_store::{
    Atomicity, AvailableCode, CommitReply, CommitUnit, Exhausted, SegmentEnd, Stale,
};

/// Of two units of a batch that claim one code, the first gets it.
pub fn p1_second_unit_that_claims_a_code_is_stale_and_leaves_nothing<H: Harness>() {
    let fixture = Fixture::<H>::new();
    let store = fixture.store();
    fixture.upload(&[vec![row("A", None)]], Atomicity::Batches);
    let code = fixture.first(&code_group(0)).unwrap();
    let unit = |id| {
        fixture.accept(
            Some(id),
            Some(segment(None, vec![claim(code_group(0), code.clone())])),
        )
    };
    let replies = store
        .commit(&[unit("one"), unit("two"), unit("one")], &NOW)
        .unwrap();
    let [CommitReply::Accepted { event, runs }, stale, again] = replies.as_slice() else {
        panic!("{replies:?}")
    };
    assert_eq!(*stale, CommitReply::Stale(Stale::Code));
    let duplicate = CommitReply::Duplicate {
        event: *event,
        runs: runs.iter().flatten().copied().collect(),
    };
    assert_eq!(*again, duplicate);
    assert_eq!(store.runs(None, None, 10).unwrap().len(), 1);
    fixture.audit();
}

/// The commit checks the expiry again.
pub fn p8_code_that_expires_at_commit_time_is_stale<H: Harness>() {
    let fixture = Fixture::<H>::new();
    let store = fixture.store();
    fixture.upload(
        &[vec![row("A", Some(NOW.0)), row("B", Some(NOW.0 + 1))]],
        Atomicity::Batches,
    );
    let codes = store.available_codes(&code_group(0), None, 2).unwrap();
    let unit = |code: &AvailableCode| {
        fixture.accept(
            None,
            Some(segment(None, vec![claim(code_group(0), code.clone())])),
        )
    };
    let units: Vec<CommitUnit> = codes.iter().map(unit).collect();
    let replies = store.commit(&units, &NOW).unwrap();
    assert_eq!(replies[0], CommitReply::Stale(Stale::Code));
    assert!(matches!(replies[1], CommitReply::Accepted { .. }));
    fixture.audit();
}

/// The commit checks that there still is no code.
pub fn exhausted_is_stale_if_a_suitable_code_is_available<H: Harness>() {
    let fixture = Fixture::<H>::new();
    let store = fixture.store();
    fixture.upload(&[vec![row("A", Some(NOW.0 + 10))]], Atomicity::Batches);
    for (needed, stale) in [(10, true), (11, false)] {
        let mut exhausted = segment(None, Vec::new());
        exhausted.exhausted.push(Exhausted {
            code_group: code_group(0),
            expires: Timestamp(NOW.0 + needed),
        });
        let replies = store
            .commit(&[fixture.accept(None, Some(exhausted))], &NOW)
            .unwrap();
        let is = replies[0] == CommitReply::Stale(Stale::NotExhausted);
        assert_eq!(is, stale, "{needed}");
    }
}

/// A segment is committed in its turn, once.
pub fn p2_commits_a_segment_once_and_only_for_an_active_run<H: Harness>() {
    let fixture = Fixture::<H>::new();
    let store = fixture.store();
    fixture.upload(&[vec![row("A", None), row("B", None)]], Atomicity::Batches);
    let replies = store.commit(&[fixture.accept(None, None)], &NOW).unwrap();
    let CommitReply::Accepted { runs, .. } = &replies[0] else {
        panic!("{replies:?}")
    };
    let run = runs[0].unwrap();
    let unit = |number| {
        let code = fixture.first(&code_group(0)).unwrap();
        let next = segment(Some((run, number)), vec![claim(code_group(0), code)]);
        CommitUnit::Segment(Box::new(next))
    };
    assert_eq!(
        store.commit(&[unit(1)], &NOW).unwrap(),
        [CommitReply::Stale(Stale::Run)]
    );
    assert_eq!(store.commit(&[unit(0)], &NOW).unwrap(), [CommitReply::Done]);
    for number in [0, 1] {
        let again = store.commit(&[unit(number)], &NOW).unwrap();
        assert_eq!(again, [CommitReply::Stale(Stale::Run)], "{number}");
    }
    assert_eq!(fixture.first(&code_group(0)).unwrap().code, "B");
    fixture.audit();
}

/// Nothing but the error of a failed segment is kept.
pub fn p2_failed_segment_commits_its_error_and_no_claim<H: Harness>() {
    let fixture = Fixture::<H>::new();
    let store = fixture.store();
    fixture.upload(&[vec![row("A", None)]], Atomicity::Batches);
    let code = fixture.first(&code_group(0)).unwrap();
    let mut failed = segment(None, vec![claim(code_group(0), code)]);
    failed.end = SegmentEnd::Failed { error: "no".into() };
    store
        .commit(&[fixture.accept(None, Some(failed))], &NOW)
        .unwrap();
    assert_eq!(fixture.first(&code_group(0)).unwrap().code, "A");
    let runs = store.runs(None, None, 10).unwrap();
    assert_eq!(runs[0].error.as_deref(), Some("no"));
    fixture.audit();
}

/// A unit that was decided under an older configuration is to be decided again.
pub fn unit_of_another_configuration_is_stale<H: Harness>() {
    let fixture = Fixture::<H>::new();
    let unit = fixture.accept(Some("one"), None);
    fixture
        .store()
        .save_workflow(&super::fixture::workflow("other"), NOW)
        .unwrap();
    let replies = fixture.commit(&[unit]);
    assert_eq!(replies, [CommitReply::Stale(Stale::Config)]);
    assert!(fixture.store().runs(None, None, 10).unwrap().is_empty());
}
