//! What the cases share: a store with one workflow, and short forms of rows and units.

use std::collections::HashSet;

use serde_json::{Map, json};

use super::Harness;
use promoflow_model::clock::Timestamp;
use promoflow_model::event::Event;
use promoflow_model::message::{ChannelKind, RenderedMessage};
use promoflow_model::pool::{CodeGroup, DEFAULT_TYPE, NewCode};
use promoflow_model::workflow::{Repeat, Start as StartCondition, Workflow};
use promoflow_store::{
    AcceptEvent, Atomicity, AttemptBatch, AvailableCode, CommitReply, CommitUnit, ConfigVersion,
    DUE_NOW, DeliveryId, RowOutcome, RunId, Segment, SegmentEnd, StagedClaim, StagedDelivery,
    Start, StartRule, StepKey, StepRecord, Store, UploadEnd, UploadHead, WorkflowVersionId,
};

/// The time of the cases.
pub const NOW: Timestamp = Timestamp(1_000_000);

/// Returns the code group of the default type with this discount.
pub fn code_group(discount: u8) -> CodeGroup {
    CodeGroup {
        code_type: DEFAULT_TYPE.into(),
        discount,
    }
}

/// Returns a row of an upload.
pub fn row(code: &str, expires: Option<i64>) -> NewCode {
    NewCode {
        line: 1,
        code: code.into(),
        code_type: None,
        discount: None,
        expires: expires.map(Timestamp),
        in_use: None,
    }
}

/// Returns the data of an upload.
pub fn head(atomicity: Atomicity) -> UploadHead {
    UploadHead {
        source: "test".into(),
        key: None,
        atomicity,
    }
}

fn step_key(step: &str) -> StepKey {
    StepKey {
        step: step.into(),
        visit: 1,
        ordinal: 0,
    }
}

/// Returns a claim of a code by the step `code` for the contact `ann`.
pub fn claim(code_group: CodeGroup, code: AvailableCode) -> StagedClaim {
    StagedClaim {
        step: step_key("code"),
        code_group,
        code,
        contact: "ann".into(),
    }
}

/// Returns a segment with one step that claims these codes and completes.
pub fn segment(run: Option<(RunId, u32)>, claims: Vec<StagedClaim>) -> Segment {
    let mut segment = Segment::without_effects(run, 1, None, SegmentEnd::Completed);
    segment.steps = vec![StepRecord {
        step: "code".into(),
        block: "get-promocode".into(),
        port: Some("next".into()),
        started_at: NOW,
        finished_at: NOW,
        data: Map::new(),
        log: Vec::new(),
        error: None,
    }];
    segment.claims = claims;
    segment
}

/// Returns a delivery by email of this text, staged by the step `code`.
pub(super) fn delivery(text: &str) -> StagedDelivery {
    StagedDelivery {
        step: step_key("code"),
        channel: ChannelKind::Email,
        address: "ann@example.com".into(),
        message: "m".into(),
        content: RenderedMessage {
            text: Some(text.into()),
            ..RenderedMessage::default()
        },
        alternatives: Vec::new(),
        due: DUE_NOW,
        expires: Timestamp::NEVER,
        hours: None,
    }
}

/// Returns a workflow that starts on `birthday` and has no steps.
pub fn workflow(id: &str) -> Workflow {
    Workflow {
        id: id.into(),
        name: id.into(),
        start: StartCondition {
            event: "birthday".into(),
            condition: None,
            repeat: Repeat::EveryTime,
            skip_if_running: false,
        },
        stop: None,
        steps: Vec::new(),
    }
}

/// A store with the workflow `w`.
pub struct Fixture<H> {
    /// The engine.
    pub harness: H,
    workflow: WorkflowVersionId,
}

impl<H: Harness> Fixture<H> {
    /// Creates a store and saves the workflow.
    pub fn new() -> Fixture<H> {
        let harness = H::create();
        let store = harness.store();
        store.save_workflow(&workflow("w"), NOW).unwrap();
        let workflow = store.workflows().unwrap()[0].row;
        Fixture { harness, workflow }
    }

    /// Returns the store.
    pub fn store(&self) -> &dyn Store {
        self.harness.store()
    }

    /// Uploads batches of codes and returns their outcomes.
    pub fn upload(&self, batches: &[Vec<NewCode>], atomicity: Atomicity) -> Vec<RowOutcome> {
        let mut session = self.store().begin_upload(head(atomicity), &NOW).unwrap();
        let outcomes = batches
            .iter()
            .flat_map(|rows| session.batch(rows).unwrap())
            .collect();
        session.finish(UploadEnd::completed(0, NOW)).unwrap();
        outcomes
    }

    /// Uploads codes without a discount that never expire.
    pub fn add_codes(&self, codes: &[&str]) {
        let rows = codes.iter().map(|code| row(code, None)).collect();
        self.upload(&[rows], Atomicity::Batches);
    }

    /// Returns the first available code of a group.
    pub fn first(&self, code_group: &CodeGroup) -> Option<AvailableCode> {
        let codes = self.store().available_codes(code_group, None, 1);
        codes.unwrap().pop()
    }

    /// Returns a claim of the first code without a discount.
    pub fn claim_first(&self) -> StagedClaim {
        claim(code_group(0), self.first(&code_group(0)).unwrap())
    }

    /// Returns a unit that accepts an event with this id about `ann`, which starts the workflow.
    pub fn accept(&self, id: Option<&str>, segment: Option<Segment>) -> CommitUnit {
        self.accept_under(None, id, segment)
    }

    /// Like [`accept`](Self::accept), under a start rule.
    pub fn accept_under(
        &self,
        rule: Option<StartRule>,
        id: Option<&str>,
        segment: Option<Segment>,
    ) -> CommitUnit {
        let mut event = Event::new("birthday", "ann");
        event.id = id.map(str::to_owned);
        event.params.insert("name".into(), json!("Ann"));
        self.accept_event(event, rule, segment)
    }

    /// Returns a unit that accepts an event, which starts the workflow.
    pub fn accept_event(
        &self,
        event: Event,
        rule: Option<StartRule>,
        segment: Option<Segment>,
    ) -> CommitUnit {
        CommitUnit::Accept(Box::new(AcceptEvent {
            event: event.checked().expect("the event is invalid"),
            config: self.config(),
            starts: vec![Start {
                workflow: self.workflow,
                rule: rule.map(Into::into),
                segment,
            }],
        }))
    }

    /// Returns the current configuration.
    pub fn config(&self) -> ConfigVersion {
        self.store().config().unwrap()
    }

    /// Commits units.
    pub fn commit(&self, units: &[CommitUnit]) -> Vec<CommitReply> {
        self.store().commit(units, &NOW).unwrap()
    }

    /// Starts a run, with its first segment, and returns it.
    pub fn start(&self, segment: Option<Segment>) -> RunId {
        let replies = self.commit(&[self.accept(None, segment)]);
        let CommitReply::Accepted { runs, .. } = &replies[0] else {
            panic!("{replies:?}")
        };
        runs[0].unwrap()
    }

    /// Commits attempts, and returns the reply.
    pub fn attempts(&self, batch: AttemptBatch) -> CommitReply {
        self.commit(&[CommitUnit::Attempts(Box::new(batch))])
            .remove(0)
    }

    /// Returns the only delivery.
    pub fn only_delivery(&self) -> DeliveryId {
        let due =
            self.store()
                .due_deliveries(&[ChannelKind::Email], NOW, 10, false, &HashSet::new());
        let due = due.unwrap().deliveries;
        assert_eq!(due.len(), 1, "{due:?}");
        due[0].id
    }

    /// Checks the promises against the stored rows.
    pub fn audit(&self) {
        for report in self.store().audit().unwrap() {
            assert!(report.holds, "{report:?}");
        }
    }

    /// Opens the store again.
    #[must_use]
    pub fn reopen(self) -> Fixture<H> {
        Fixture {
            harness: self.harness.reopen(),
            workflow: self.workflow,
        }
    }
}

impl<H: Harness> Default for Fixture<H> {
    fn default() -> Fixture<H> {
        Fixture::new()
    }
}
