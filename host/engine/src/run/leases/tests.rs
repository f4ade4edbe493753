//! Tests of the leases against a simple model of the available and the staged codes.

use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use promoflow_model::event::Event;
use promoflow_model::pool::NewCode;
use promoflow_store::{
    AcceptEvent, Atomicity, CommitReply, CommitUnit, Start, StepKey, UploadEnd, UploadHead,
    WorkflowVersionId,
};
use promoflow_store_conformance::{segment, workflow};
use promoflow_store_sqlite::SqliteStore;

const DAY: i64 = 86_400_000;

/// An operation on a code group.
#[derive(Clone, Debug)]
enum Operation {
    /// A segment claims a code that lasts for this many days.
    Take(u32),
    /// A staged segment is discarded.
    GiveBack(prop::sample::Index),
    /// A staged segment is committed.
    Commit(prop::sample::Index),
    /// A staged segment's commit failed without a reply, after it was done (true) or before.
    Forget(prop::sample::Index, bool),
    /// Codes that last for these numbers of days are uploaded.
    Upload(Vec<i64>),
    /// The clock moves forward or back by milliseconds.
    Tick(i64),
    /// The poller has noticed a change.
    PoolChanged,
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let index = any::<prop::sample::Index>;
    let operation = prop_oneof![
        8 => (0_u32..4).prop_map(Operation::Take),
        3 => index().prop_map(Operation::GiveBack),
        3 => index().prop_map(Operation::Commit),
        1 => (index(), any::<bool>()).prop_map(|(index, done)| Operation::Forget(index, done)),
        1 => prop::collection::vec(-1_i64..8, 1..24).prop_map(Operation::Upload),
        1 => (-2 * DAY..2 * DAY).prop_map(Operation::Tick),
        1 => Just(Operation::PoolChanged),
    ];
    prop::collection::vec(operation, 1..80)
}

/// Leases on a real store, next to the model.
struct Bench {
    _folder: TempDir,
    store: Arc<dyn Store>,
    workflow: WorkflowVersionId,
    leases: Leases,
    free: BTreeMap<Position, String>,
    staged: Vec<StagedClaim>,
    now: i64,
    uploaded: usize,
}

fn code_group() -> CodeGroup {
    CodeGroup {
        code_type: "birthday".into(),
        discount: 10,
    }
}

impl Bench {
    fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("leases.db")).unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        store.save_workflow(&workflow("w"), Timestamp(0)).unwrap();
        Bench {
            workflow: store.workflows().unwrap()[0].row,
            leases: Leases::new(store.clone()),
            store,
            _folder: folder,
            free: BTreeMap::new(),
            staged: Vec::new(),
            now: 100 * DAY,
            uploaded: 0,
        }
    }

    fn needed(&self, days: u32) -> Timestamp {
        Timestamp(self.now + 1 + i64::from(days) * DAY)
    }

    fn upload(&mut self, lasting: &[i64]) {
        let rows: Vec<NewCode> = lasting
            .iter()
            .enumerate()
            .map(|(line, days)| NewCode {
                line: line as u64,
                code: format!("C{}", self.uploaded + line),
                code_type: Some(code_group().code_type),
                discount: Some(code_group().discount),
                expires: Some(Timestamp(self.now + days * DAY)),
                in_use: None,
            })
            .collect();
        self.uploaded += rows.len();
        let now = Timestamp(self.now);
        let head = UploadHead {
            source: String::new(),
            key: None,
            atomicity: Atomicity::Batches,
        };
        let mut session = self.store.begin_upload(head, &now).unwrap();
        session.batch(&rows).unwrap();
        session
            .finish(UploadEnd::completed(0, Timestamp(0)))
            .unwrap();
        let all = self
            .store
            .available_codes(&code_group(), None, usize::MAX)
            .unwrap();
        self.free = all
            .into_iter()
            .map(|one| (one.position, one.code))
            .collect();
        // The store still contains staged codes until their commit.
        for claim in &self.staged {
            self.free.remove(&claim.code.position);
        }
    }

    fn take(&mut self, days: u32) -> Result<(), TestCaseError> {
        let needed = self.needed(days);
        let first = self.free.keys().find(|one| one.expires >= needed).copied();
        let on_the_way = self
            .staged
            .iter()
            .any(|claim| claim.code.position.expires >= needed);
        // A code of another group, so that the segment does not block.
        let own = [Position {
            expires: Timestamp::NEVER,
            id: -1,
        }];
        match self.leases.take(&code_group(), days, needed, &own).unwrap() {
            LeaseOutcome::Code(code) => {
                prop_assert_eq!(Some(code.position), first);
                prop_assert_eq!(self.free.remove(&code.position), Some(code.code.clone()));
                self.staged.push(StagedClaim {
                    step: StepKey {
                        step: "code".into(),
                        visit: 1,
                        ordinal: 0,
                    },
                    code_group: code_group(),
                    code,
                    contact: "ann".into(),
                });
            }
            LeaseOutcome::Exhausted => prop_assert!(first.is_none() && !on_the_way),
            LeaseOutcome::Busy => prop_assert!(first.is_none() && on_the_way),
        }
        Ok(())
    }

    /// Commits the claim of a code, as the run of another event does.
    fn commit(&self, claim: &StagedClaim) {
        let unit = CommitUnit::Accept(Box::new(AcceptEvent {
            event: Event::new("birthday", "ann").checked().unwrap(),
            config: self.store.config().unwrap(),
            starts: vec![Start {
                workflow: self.workflow,
                rule: None,
                segment: Some(segment(None, vec![claim.clone()])),
            }],
        }));
        // Long ago, because the code may have expired since it was leased.
        let replies = self.store.commit(&[unit], &Timestamp(0)).unwrap();
        assert!(
            matches!(replies[0], CommitReply::Accepted { .. }),
            "the leases returned a code that is not in the pool: {replies:?}"
        );
    }

    fn settled(&mut self, index: &prop::sample::Index) -> Option<StagedClaim> {
        (!self.staged.is_empty()).then(|| self.staged.swap_remove(index.index(self.staged.len())))
    }

    fn give_back(&mut self, claim: &StagedClaim) {
        let code = claim.code.clone();
        self.free.insert(code.position, code.code);
    }

    fn apply(&mut self, operation: &Operation) -> Result<(), TestCaseError> {
        match operation {
            Operation::Take(days) => self.take(*days)?,
            Operation::GiveBack(index) => {
                if let Some(claim) = self.settled(index) {
                    self.give_back(&claim);
                    self.leases.give_back(&[claim]);
                }
            }
            Operation::Commit(index) => {
                if let Some(claim) = self.settled(index) {
                    self.commit(&claim);
                    self.leases.committed(&[claim]);
                }
            }
            Operation::Forget(index, done) => {
                if let Some(claim) = self.settled(index) {
                    if *done {
                        self.commit(&claim);
                    } else {
                        self.give_back(&claim);
                    }
                    self.leases.forget(&[claim]);
                }
            }
            Operation::Upload(lasting) => self.upload(lasting),
            Operation::Tick(millis) => self.now += millis,
            Operation::PoolChanged => self.leases.pool_changed(&ChangedGroups::All),
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn claims_return_the_first_available_code_that_lasts(operations in operations()) {
        let mut bench = Bench::new();
        bench.upload(&[0, 1, 2, 3, 3, 4, 5, 2, 1, 7, 3, 2, 2, 4, 4, 6, 1, 0, 5, 3]);
        for operation in &operations {
            bench.apply(operation)?;
        }
        // At the end every available code is returned once.
        bench.now -= 10 * DAY;
        while !bench.free.is_empty() {
            bench.take(0)?;
        }
    }
}

#[test]
fn a_returned_code_wakes_a_waiting_claim() {
    let mut bench = Bench::new();
    bench.upload(&[5]);
    bench.take(0).unwrap();
    let claim = bench.staged.remove(0);
    let (leases, needed) = (&bench.leases, bench.needed(0));
    let began = Instant::now();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(move || leases.take(&code_group(), 0, needed, &[]));
        std::thread::sleep(Duration::from_millis(50));
        leases.give_back(std::slice::from_ref(&claim));
        let taken = waiting.join().unwrap().unwrap();
        assert!(matches!(taken, LeaseOutcome::Code(code) if code == claim.code));
    });
    assert!(began.elapsed() < MAX_WAIT, "the claim was not woken");
}

#[test]
fn a_waiting_claim_is_exhausted_when_the_codes_are_committed() {
    let mut bench = Bench::new();
    bench.upload(&[5]);
    bench.take(0).unwrap();
    let claim = bench.staged.remove(0);
    let (leases, needed) = (&bench.leases, bench.needed(0));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(move || leases.take(&code_group(), 0, needed, &[]));
        std::thread::sleep(Duration::from_millis(20));
        bench.commit(&claim);
        leases.committed(std::slice::from_ref(&claim));
        assert!(matches!(
            waiting.join().unwrap().unwrap(),
            LeaseOutcome::Exhausted
        ));
    });
}

#[test]
fn a_claim_is_exhausted_if_its_own_segment_holds_the_last_code() {
    let mut bench = Bench::new();
    bench.upload(&[5]);
    bench.take(0).unwrap();
    let own = [bench.staged[0].code.position];
    let taken = bench.leases.take(&code_group(), 0, bench.needed(0), &own);
    assert!(matches!(taken.unwrap(), LeaseOutcome::Exhausted));
}

/// A pool that another process claims from too.
#[derive(Default)]
struct OtherProcess {
    /// True while the other process has leased the only code.
    has_leased: AtomicBool,
    /// The only code, if it is available.
    code: Mutex<Option<AvailableCode>>,
    given_up: Mutex<Vec<CodeGroup>>,
}

impl LeaseStore for OtherProcess {
    fn lease(&self, _: &CodeGroup, _: Option<Position>, _: usize) -> Result<Leased> {
        let others = self.has_leased.load(Ordering::SeqCst);
        let code = self.code.lock().unwrap().clone();
        Ok(Leased {
            codes: code.filter(|_| !others).into_iter().collect(),
            end: true,
            others,
        })
    }

    fn give_up(&self, code_group: &CodeGroup) -> Result<()> {
        self.given_up.lock().unwrap().push(code_group.clone());
        Ok(())
    }

    fn pool_changes(&self) -> u64 {
        0
    }
}

#[test]
fn a_claim_waits_for_the_codes_that_others_have_leased() {
    let code = AvailableCode {
        position: Position {
            expires: Timestamp::NEVER,
            id: 1,
        },
        code: "A".into(),
    };
    for comes_back in [true, false] {
        let store = Arc::new(OtherProcess {
            has_leased: AtomicBool::new(true),
            code: Mutex::new(comes_back.then(|| code.clone())),
            given_up: Mutex::default(),
        });
        let leases = Leases::new(store.clone());
        let own = [code.position];
        let busy = leases.take(&code_group(), 0, Timestamp(1), &own).unwrap();
        assert!(matches!(busy, LeaseOutcome::Busy), "{busy:?}");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| leases.take(&code_group(), 0, Timestamp(1), &[]));
            std::thread::sleep(Duration::from_millis(20));
            assert!(!waiting.is_finished());
            store.has_leased.store(false, Ordering::SeqCst);
            match waiting.join().unwrap().unwrap() {
                LeaseOutcome::Code(taken) => assert!(comes_back && taken == code),
                LeaseOutcome::Exhausted => assert!(!comes_back),
                LeaseOutcome::Busy => panic!("the claim did not look again"),
            }
        });
    }
}

#[test]
fn bounds_the_cached_groups_and_windows() {
    let store = Arc::new(OtherProcess::default());
    let leases = Leases::new(store.clone());
    let code_group = |number: usize| CodeGroup {
        code_type: format!("t{number}"),
        discount: 0,
    };
    for number in 0..MAX_GROUPS + 10 {
        let taken = leases
            .take(&code_group(number), 0, Timestamp(1), &[])
            .unwrap();
        assert!(matches!(taken, LeaseOutcome::Exhausted));
    }
    let given_up = store.given_up.lock().unwrap().len();
    assert_eq!(given_up, MAX_GROUPS, "the leases on dropped groups end");
    for days in 0..100 {
        leases
            .take(&code_group(0), days, Timestamp(1), &[])
            .unwrap();
    }
    let table = leases.table();
    assert!(table.code_groups.len() <= MAX_GROUPS);
    assert!(table.code_groups[&code_group(0)].windows.len() <= MAX_WINDOWS);
}
