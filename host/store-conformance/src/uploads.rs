//! Uploads of codes: atomicity, dry runs and history.

use super::{Fixture, Harness, NOW, code_group, head, row};
use promoflow_model::clock::Timestamp;
use promoflow_model::pool::RowError;
use promoflow_store::{Atomicity, RowOutcome, Store, UploadEnd, UploadState, UploadSummary};

/// An atomic upload that does not finish leaves nothing.
pub fn rolled_back_or_dropped_atomic_upload_leaves_nothing<H: Harness>() {
    for atomicity in [Atomicity::OneTransaction, Atomicity::Staged] {
        let fixture = Fixture::<H>::new();
        let store = fixture.store();
        let mut session = store.begin_upload(head(atomicity), &NOW).unwrap();
        session.batch(&[row("A", None)]).unwrap();
        session.roll_back().unwrap();
        let mut session = store.begin_upload(head(atomicity), &NOW).unwrap();
        session.batch(&[row("B", None)]).unwrap();
        drop(session);
        assert!(fixture.first(&code_group(0)).is_none());
        fixture.upload(&[vec![row("C", None)]], atomicity);
        assert_eq!(fixture.first(&code_group(0)).unwrap().code, "C");
        fixture.audit();
    }
}

/// A dry run sees what others commit meanwhile and changes nothing.
pub fn dry_run_blocks_nothing_and_is_never_blocked<H: Harness>() {
    let fixture = Fixture::<H>::new();
    let store = fixture.store();
    let rows = |codes: &[&str]| codes.iter().map(|code| row(code, None)).collect::<Vec<_>>();
    fixture.upload(&[rows(&["A"])], Atomicity::Batches);
    let mut session = store.begin_dry_run(&NOW).unwrap();
    use RowOutcome::{Inserted, Unchanged};
    let took = session.batch(&rows(&["A", "B"])).unwrap();
    assert_eq!(took, [Unchanged, Inserted]);
    // An upload in progress holds the writer.
    let head = head(Atomicity::OneTransaction);
    let mut real = store.begin_upload(head, &NOW).unwrap();
    real.batch(&rows(&["B", "C"])).unwrap();
    assert_eq!(session.batch(&rows(&["C"])).unwrap(), [Inserted]);
    real.finish(UploadEnd::completed(0, Timestamp(0))).unwrap();
    let took = session.batch(&rows(&["B", "D", "C"])).unwrap();
    assert_eq!(took, [Unchanged, Inserted, Unchanged]);
    session.roll_back().unwrap();
    assert_eq!(store.uploads(None, 10).unwrap().len(), 2);
    assert!(store.code("D").unwrap().is_none());
    fixture.audit();
}

/// Each upload is recorded with its counts, its first errors and its end.
pub fn history_and_interruption<H: Harness>() {
    let fixture = Fixture::<H>::new();
    let store = fixture.store();
    let mut session = store.begin_upload(head(Atomicity::Batches), &NOW).unwrap();
    let rows = [row("A", None), row("a", None)];
    session.batch(&rows).unwrap();
    let spelled = session.other_spellings(&["A".into()]).unwrap();
    assert_eq!(spelled, [("a".to_owned(), "A".to_owned())]);
    let id = session.id();
    let error = RowError {
        line: 3,
        field: "code".into(),
        message: "is empty".into(),
        ..RowError::default()
    };
    let end = UploadEnd {
        rejections: vec![error.clone()],
        warnings: vec!["two codes differ only in letter case".into()],
        ..UploadEnd::completed(1, NOW)
    };
    let summary = session.finish(end).unwrap();
    let expected = UploadSummary {
        upload: Some(id),
        inserted: 2,
        ..UploadSummary::default()
    };
    assert_eq!(summary, expected);
    let (stored, rejections) = store.upload(id).unwrap().unwrap();
    assert_eq!((stored.state, stored.rejected), (UploadState::Completed, 1));
    assert_eq!(stored.warnings.len(), 1);
    assert_eq!(rejections[0].message, error.message);

    let begin = |store: &dyn Store| {
        let session = store.begin_upload(head(Atomicity::Batches), &NOW).unwrap();
        session.id()
    };
    let (one, two) = (begin(store), begin(store));
    let state = |id| store.upload(id).unwrap().unwrap().0.state;
    assert_eq!(state(one), UploadState::Running);
    store.mark_upload_interrupted(one, NOW).unwrap();
    assert_eq!(state(one), UploadState::Interrupted);
    assert_eq!(state(two), UploadState::Running);
    store.mark_upload_interrupted(id, NOW).unwrap();
    assert_eq!(state(id), UploadState::Completed);
    store.finish_uploads(&NOW).unwrap();
    let listed = store.uploads(Some(two), 1).unwrap();
    assert_eq!(listed[0].id, one);
}

/// An upload is interrupted by the end of its process, and by nothing that another process does.
pub fn only_uploads_of_ended_processes_are_interrupted<H: Harness>() {
    let fixture = Fixture::<H>::new();
    let store = fixture.store();
    let begin = |store: &dyn Store| {
        let mut session = store.begin_upload(head(Atomicity::Batches), &NOW).unwrap();
        session.batch(&[row("A", None)]).unwrap();
        session.id()
    };
    let state = |id| store.upload(id).unwrap().unwrap().0.state;
    let (ended, running) = (fixture.harness.another(), fixture.harness.another());
    let (one, two, own) = (begin(ended.store()), begin(running.store()), begin(store));
    store.mark_uploads_interrupted(NOW).unwrap();
    assert_eq!([one, two, own].map(state), [UploadState::Running; 3]);
    drop(ended);
    store.mark_uploads_interrupted(NOW).unwrap();
    assert_eq!(state(one), UploadState::Interrupted);
    assert_eq!([two, own].map(state), [UploadState::Running; 2]);
    drop(running);
    let fixture = fixture.reopen();
    let state = |id| fixture.store().upload(id).unwrap().unwrap().0.state;
    fixture.store().mark_uploads_interrupted(NOW).unwrap();
    assert_eq!([two, own].map(state), [UploadState::Interrupted; 2]);
    fixture.audit();
}

/// The unused codes of an upload are those that it was the last to state.
pub fn unused_codes_of_an_upload<H: Harness>() {
    let fixture = Fixture::<H>::new();
    fixture.add_codes(&["A", "B", "C"]);
    let id = fixture.store().uploads(None, 1).unwrap()[0].id;
    let claims = vec![fixture.claim_first()];
    fixture.start(Some(super::segment(None, claims)));
    let unused = |after: &str| fixture.store().unused_of_upload(id, after, 10).unwrap();
    assert_eq!(unused(""), ["B", "C"]);
    assert_eq!(unused("B"), ["C"]);
}
