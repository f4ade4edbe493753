//! The store against a plain model, and units that a commit rejects.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use promoflow_model::clock::Timestamp;
use promoflow_model::event::Event;
use promoflow_model::pool::{Calendar, CodeGroup, DEFAULT_TYPE, Filter, NewCode};
use promoflow_store::{
    AcceptEvent, Atomicity, AvailableCode, CommitStore, ConfigVersion, Exhausted,
    InstallationStore, PoolStore, RetireResult, RowOutcome, RunId, RunStore, Segment, SegmentEnd,
    StagedClaim, Stale, Start, StepKey, StepRecord, UploadEnd, UploadHead, UploadState,
    UploadStore, WorkflowVersionId,
};

const NOW: Timestamp = Timestamp(1_000_000);

fn store() -> (TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("store.db")).unwrap();
    store
        .write(|connection, _| {
            // Segments need an existing workflow, but nothing else of it.
            connection.execute_batch(
                "INSERT INTO workflow (row, id, version, config_version, definition, created_at)
                 VALUES (1, 'w', 1, 0, '{}', 0)",
            )?;
            Ok(())
        })
        .unwrap();
    (folder, store)
}

fn code_group(discount: u8) -> CodeGroup {
    CodeGroup {
        code_type: DEFAULT_TYPE.into(),
        discount,
    }
}

fn row(code: &str, expires: Option<i64>) -> NewCode {
    NewCode {
        line: 1,
        code: code.into(),
        code_type: None,
        discount: None,
        expires: expires.map(Timestamp),
        in_use: None,
    }
}

fn head(atomicity: Atomicity) -> UploadHead {
    UploadHead {
        source: "test".into(),
        key: None,
        atomicity,
    }
}

fn upload(store: &SqliteStore, batches: &[Vec<NewCode>], atomicity: Atomicity) -> Vec<RowOutcome> {
    let head = head(atomicity);
    let mut session = store.begin_upload(head, &NOW).unwrap();
    let outcomes = batches
        .iter()
        .flat_map(|rows| session.batch(rows).unwrap())
        .collect();
    session
        .finish(UploadEnd::completed(0, Timestamp(0)))
        .unwrap();
    outcomes
}

fn dry_run(store: &SqliteStore, batches: &[Vec<NewCode>]) -> Vec<RowOutcome> {
    let mut session = store.begin_dry_run(&NOW).unwrap();
    let batches = batches.iter();
    batches
        .flat_map(|rows| session.batch(rows).unwrap())
        .collect()
}

fn claim(code_group: CodeGroup, code: AvailableCode) -> StagedClaim {
    StagedClaim {
        step: StepKey {
            step: "code".into(),
            visit: 1,
            ordinal: 0,
        },
        code_group,
        code,
        contact: "ann".into(),
    }
}

/// Creates a segment with one step that claims these codes and completes.
fn segment(run: Option<(RunId, u32)>, claims: Vec<StagedClaim>) -> Segment {
    Segment {
        trapped: false,
        resumed: None,
        contact_aliases: Vec::new(),
        has_unsent_message: false,
        run,
        attempt: 1,
        steps: vec![StepRecord {
            step: "code".into(),
            block: "get-promocode".into(),
            port: Some("next".into()),
            started_at: NOW,
            finished_at: NOW,
            data: serde_json::Map::new(),
            log: Vec::new(),
            error: None,
        }],
        claims,
        exhausted: Vec::new(),
        reuses: Vec::new(),
        deliveries: Vec::new(),
        end: SegmentEnd::Completed,
    }
}

fn accept(id: Option<&str>, segment: Option<Segment>) -> CommitUnit {
    let mut event = Event::new("birthday", "ann");
    event.id = id.map(str::to_owned);
    CommitUnit::Accept(Box::new(AcceptEvent {
        event,
        config: ConfigVersion(0),
        starts: vec![Start {
            workflow: WorkflowVersionId(1),
            rule: None,
            segment,
        }],
    }))
}

fn first(store: &SqliteStore, code_group: &CodeGroup) -> Option<AvailableCode> {
    store.available_codes(code_group, None, 1).unwrap().pop()
}

fn holds(store: &SqliteStore) {
    for audited in store.audit().unwrap() {
        assert!(audited.holds, "{audited:?}");
    }
}

#[test]
fn second_unit_that_claims_a_code_is_stale_and_leaves_nothing() {
    let (_folder, store) = store();
    upload(&store, &[vec![row("A", None)]], Atomicity::Batches);
    let code = first(&store, &code_group(0)).unwrap();
    let unit = |id| {
        accept(
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
    holds(&store);
}

#[test]
fn code_that_expires_at_commit_time_is_stale() {
    let (_folder, store) = store();
    upload(
        &store,
        &[vec![row("A", Some(NOW.0)), row("B", Some(NOW.0 + 1))]],
        Atomicity::Batches,
    );
    let codes = store.available_codes(&code_group(0), None, 2).unwrap();
    let unit = |code: &AvailableCode| {
        accept(
            None,
            Some(segment(None, vec![claim(code_group(0), code.clone())])),
        )
    };
    let units: Vec<CommitUnit> = codes.iter().map(unit).collect();
    let replies = store.commit(&units, &NOW).unwrap();
    assert_eq!(replies[0], CommitReply::Stale(Stale::Code));
    assert!(matches!(replies[1], CommitReply::Accepted { .. }));
    holds(&store);
}

#[test]
fn exhausted_is_stale_if_a_suitable_code_is_available() {
    let (_folder, store) = store();
    upload(
        &store,
        &[vec![row("A", Some(NOW.0 + 10))]],
        Atomicity::Batches,
    );
    for (needed, stale) in [(10, true), (11, false)] {
        let mut exhausted = segment(None, Vec::new());
        exhausted.exhausted.push(Exhausted {
            code_group: code_group(0),
            expires: Timestamp(NOW.0 + needed),
        });
        let replies = store
            .commit(&[accept(None, Some(exhausted))], &NOW)
            .unwrap();
        let is = replies[0] == CommitReply::Stale(Stale::NotExhausted);
        assert_eq!(is, stale, "{needed}");
    }
}

#[test]
fn commits_a_segment_once_and_only_for_an_active_run() {
    let (_folder, store) = store();
    upload(
        &store,
        &[vec![row("A", None), row("B", None)]],
        Atomicity::Batches,
    );
    let replies = store.commit(&[accept(None, None)], &NOW).unwrap();
    let CommitReply::Accepted { runs, .. } = &replies[0] else {
        panic!("{replies:?}")
    };
    let run = runs[0].unwrap();
    let unit = |number| {
        let code = first(&store, &code_group(0)).unwrap();
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
    assert_eq!(first(&store, &code_group(0)).unwrap().code, "B");
    holds(&store);
}

#[test]
fn failed_unit_does_not_affect_the_others() {
    let (_folder, store) = store();
    store.commit(&[accept(Some("known"), None)], &NOW).unwrap();
    store
        .write(|connection, _| Ok(connection.execute_batch("UPDATE event SET params = '{'")?))
        .unwrap();
    let units = ["before", "known", "after"].map(|id| accept(Some(id), None));
    let replies = store.commit(&units, &NOW).unwrap();
    assert!(
        matches!(
            replies[..],
            [
                CommitReply::Accepted { .. },
                CommitReply::Failed(_),
                CommitReply::Accepted { .. }
            ]
        ),
        "{replies:?}"
    );
    assert!(store.commit(&units[1..2], &NOW).is_err());
}

#[test]
fn failing_disk_is_tried_once_for_all_units() {
    let units = ["one", "two", "three"].map(|id| accept(Some(id), None));
    let asked = std::cell::Cell::new(0);
    let failed = commit_individually(&units, |_| {
        asked.set(asked.get() + 1);
        Err(Error(StoreError::Disk("disk I/O error".into())))
    });
    assert!(matches!(failed, Err(Error(StoreError::Disk(_)))));
    assert_eq!(asked.get(), 1);
}

#[test]
fn failed_segment_commits_its_error_and_no_claim() {
    let (_folder, store) = store();
    upload(&store, &[vec![row("A", None)]], Atomicity::Batches);
    let code = first(&store, &code_group(0)).unwrap();
    let mut failed = segment(None, vec![claim(code_group(0), code)]);
    failed.end = SegmentEnd::Failed { error: "no".into() };
    store.commit(&[accept(None, Some(failed))], &NOW).unwrap();
    assert_eq!(first(&store, &code_group(0)).unwrap().code, "A");
    let runs = store.runs(None, None, 10).unwrap();
    assert_eq!(runs[0].error.as_deref(), Some("no"));
    holds(&store);
}

#[test]
fn rolled_back_or_dropped_atomic_upload_leaves_nothing() {
    for atomicity in [Atomicity::OneTransaction, Atomicity::Staged] {
        let (_folder, store) = store();
        let mut session = store.begin_upload(head(atomicity), &NOW).unwrap();
        session.batch(&[row("A", None)]).unwrap();
        session.roll_back().unwrap();
        let mut session = store.begin_upload(head(atomicity), &NOW).unwrap();
        session.batch(&[row("B", None)]).unwrap();
        drop(session);
        assert!(first(&store, &code_group(0)).is_none());
        upload(&store, &[vec![row("C", None)]], atomicity);
        assert_eq!(first(&store, &code_group(0)).unwrap().code, "C");
        holds(&store);
    }
}

#[test]
fn dry_run_blocks_nothing_and_is_never_blocked() {
    let (_folder, store) = store();
    let rows = |codes: &[&str]| codes.iter().map(|code| row(code, None)).collect::<Vec<_>>();
    upload(&store, &[rows(&["A"])], Atomicity::Batches);
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
    holds(&store);
}

/// An action on a pool.
#[derive(Clone, Debug)]
enum Deed {
    /// Uploads these batches.
    Upload(Vec<Vec<NewCode>>, Atomicity),
    Retire(Vec<String>),
    Reinstate(Vec<String>),
    /// Claims the first code of a code group in a segment.
    Claim(u8),
}

fn code() -> impl Strategy<Value = String> {
    (0_u8..12).prop_map(|number| format!("C{number}"))
}

fn new_code() -> impl Strategy<Value = NewCode> {
    (
        code(),
        prop::option::of(0_u8..2),
        prop::option::of(0_i64..4),
        prop::option::weighted(0.3, any::<bool>()),
    )
        .prop_map(|(code, discount, expires, in_use)| NewCode {
            discount,
            in_use,
            ..row(&code, expires.map(|later| NOW.0 + 1 + later))
        })
}

fn atomicity() -> impl Strategy<Value = Atomicity> {
    prop_oneof![
        Just(Atomicity::Batches),
        Just(Atomicity::OneTransaction),
        Just(Atomicity::Staged),
    ]
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let batches = || prop::collection::vec(prop::collection::vec(new_code(), 1..8), 1..3);
    let codes = || prop::collection::vec(code(), 1..4);
    let deed = prop_oneof![
        3 => (batches(), atomicity()).prop_map(|(rows, how)| Deed::Upload(rows, how)),
        1 => codes().prop_map(Deed::Retire),
        1 => codes().prop_map(Deed::Reinstate),
        3 => (0_u8..2).prop_map(Deed::Claim),
    ];
    prop::collection::vec(deed, 1..25)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Free,
    Retired,
    Used,
}

/// A code in the model.
#[derive(Clone, Debug, PartialEq)]
struct Held {
    place: usize,
    discount: u8,
    expires: Timestamp,
    state: State,
}

/// A pool as a plain table.
#[derive(Default)]
struct Model {
    codes: BTreeMap<String, Held>,
    rows: usize,
}

impl Model {
    fn upload(&mut self, rows: &[NewCode]) -> Vec<RowOutcome> {
        // The values from earlier lines of this upload, by code.
        let mut said: BTreeMap<String, (u8, Timestamp, bool)> = BTreeMap::new();
        let mut outcomes = Vec::new();
        for row in rows {
            self.rows += 1;
            let stated = |discount: u8, expires: Timestamp, in_use: bool| {
                (
                    row.discount.unwrap_or(discount),
                    row.expires.unwrap_or(expires),
                    row.in_use.unwrap_or(in_use),
                )
            };
            if let Some(&(discount, expires, in_use)) = said.get(&row.code) {
                let now = stated(discount, expires, in_use);
                outcomes.push(contradiction(now, (discount, expires, in_use)));
                continue;
            }
            let Some(held) = self.codes.get_mut(&row.code) else {
                let (discount, expires, in_use) = stated(0, Timestamp::NEVER, false);
                said.insert(row.code.clone(), (discount, expires, in_use));
                let state = if in_use { State::Retired } else { State::Free };
                let held = Held {
                    place: self.rows,
                    discount,
                    expires,
                    state,
                };
                self.codes.insert(row.code.clone(), held);
                outcomes.push(RowOutcome::Inserted);
                continue;
            };
            let now = stated(held.discount, held.expires, held.state == State::Retired);
            said.insert(row.code.clone(), now);
            let before = held.clone();
            if held.state != State::Used {
                (held.discount, held.expires) = (now.0, now.1);
                if now.2 {
                    held.state = State::Retired;
                }
            }
            outcomes.push(if *held == before {
                RowOutcome::Unchanged
            } else {
                RowOutcome::Updated
            });
        }
        outcomes
    }

    fn set(&mut self, codes: &[String], from: State, to: State) -> RetireResult {
        let mut done = RetireResult::default();
        for code in codes {
            match self.codes.get_mut(code) {
                None => done.unknown.push(code.clone()),
                Some(held) if held.state == State::Used => done.already_used.push(code.clone()),
                Some(held) if held.state == from => {
                    held.state = to;
                    done.retired += 1;
                }
                Some(_) => {}
            }
        }
        done
    }

    /// Returns the available codes of a code group in the order of claiming.
    fn free(&self, discount: u8) -> Vec<&String> {
        let mut free: Vec<(&String, &Held)> = self
            .codes
            .iter()
            .filter(|(_, held)| held.state == State::Free && held.discount == discount)
            .collect();
        free.sort_by_key(|(_, held)| (held.expires, held.place));
        free.into_iter().map(|(code, _)| code).collect()
    }
}

fn contradiction(now: (u8, Timestamp, bool), earlier: (u8, Timestamp, bool)) -> RowOutcome {
    let contradicts = |field, earlier: String| RowOutcome::Conflict { field, earlier };
    if now.0 != earlier.0 {
        contradicts("discount", earlier.0.to_string())
    } else if now.1 != earlier.1 {
        let utc = Calendar::new(chrono_tz::UTC);
        contradicts(
            "expirationDate",
            utc.format_expiry(earlier.1).unwrap_or_default(),
        )
    } else if now.2 != earlier.2 {
        contradicts("inUse", earlier.2.to_string())
    } else {
        RowOutcome::Unchanged
    }
}

fn does(store: &SqliteStore, model: &mut Model, deed: &Deed) -> Result<(), TestCaseError> {
    match deed {
        Deed::Upload(batches, how) => {
            let generation = store.pool_generation().unwrap();
            let dry_run_outcomes = dry_run(store, batches);
            prop_assert_eq!(store.pool_generation().unwrap(), generation);
            let outcomes = upload(store, batches, *how);
            prop_assert_eq!(dry_run_outcomes, outcomes.clone());
            let changed = outcomes
                .iter()
                .any(|one| matches!(one, RowOutcome::Inserted | RowOutcome::Updated));
            prop_assert_eq!(&outcomes, &model.upload(&batches.concat()));
            let sum = store.uploads(None, 1).unwrap().remove(0);
            let count = |wanted: RowOutcome| outcomes.iter().filter(|&o| *o == wanted).count();
            prop_assert_eq!(
                [sum.inserted, sum.updated, sum.unchanged],
                [
                    RowOutcome::Inserted,
                    RowOutcome::Updated,
                    RowOutcome::Unchanged
                ]
                .map(|one| count(one) as u64)
            );
            prop_assert_eq!(sum.state, UploadState::Completed);
            let raised = store.pool_generation().unwrap() != generation;
            prop_assert_eq!(
                raised,
                changed,
                "every change must raise the pool generation"
            );
        }
        Deed::Retire(codes) => {
            let done = store.retire(codes, true, &NOW).unwrap();
            prop_assert_eq!(done, model.set(codes, State::Free, State::Retired));
        }
        Deed::Reinstate(codes) => {
            let done = store.retire(codes, false, &NOW).unwrap();
            prop_assert_eq!(done, model.set(codes, State::Retired, State::Free));
        }
        Deed::Claim(discount) => {
            let code_group = code_group(*discount);
            let wanted = model.free(*discount).first().map(|code| (*code).clone());
            let found = first(store, &code_group);
            prop_assert_eq!(found.as_ref().map(|one| &one.code), wanted.as_ref());
            if let Some(found) = found {
                if let Some(held) = model.codes.get_mut(&found.code) {
                    held.state = State::Used;
                }
                let unit = accept(None, Some(segment(None, vec![claim(code_group, found)])));
                let replies = store.commit(&[unit], &NOW).unwrap();
                let taken = matches!(replies[0], CommitReply::Accepted { .. });
                prop_assert!(taken, "{:?}", replies);
            }
        }
    }
    Ok(())
}

fn agree(store: &SqliteStore, model: &Model) -> Result<(), TestCaseError> {
    let mut listed = Vec::new();
    store
        .codes(&Filter::default(), None, NOW, &mut |row| {
            listed.push(row);
            ControlFlow::Continue(())
        })
        .unwrap();
    prop_assert_eq!(listed.len(), model.codes.len());
    for (row, (code, held)) in listed.iter().zip(&model.codes) {
        prop_assert_eq!(&row.code, code);
        prop_assert_eq!(&row.code_group, &code_group(held.discount));
        prop_assert_eq!(row.expires, held.expires);
        prop_assert_eq!(row.in_use, held.state != State::Free);
        prop_assert_eq!(row.used_by.is_some(), held.state == State::Used);
    }
    for discount in 0..2 {
        let free = store
            .available_codes(&code_group(discount), None, 100)
            .unwrap();
        let free: Vec<&String> = free.iter().map(|one| &one.code).collect();
        prop_assert_eq!(free, model.free(discount));
    }
    let count = store.count_codes(&Filter::default(), NOW).unwrap();
    let of = |state| {
        model
            .codes
            .values()
            .filter(|one| one.state == state)
            .count() as u64
    };
    prop_assert_eq!(
        (count.total, count.available, count.used, count.retired),
        (
            model.codes.len() as u64,
            of(State::Free),
            of(State::Used),
            of(State::Retired)
        )
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]

    #[test]
    fn p6_pool_matches_a_plain_table(deeds in deeds()) {
        let (_folder, store) = store();
        let mut model = Model::default();
        for deed in &deeds {
            does(&store, &mut model, deed)?;
            agree(&store, &model)?;
        }
        for audited in store.audit().unwrap() {
            prop_assert!(audited.holds, "{:?}", audited);
        }
    }
}
