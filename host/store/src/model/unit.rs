//! What is committed, or refused, as a whole.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::*;
use promoflow_model::backoff::Backoff;
use promoflow_model::clock::Timestamp;
use promoflow_model::event::Event;
use promoflow_model::pool::Lane;
use promoflow_model::workflow::{Repeat, Workflow};

/// One thing that is committed, or refused, as a whole.
#[derive(Clone, Debug)]
pub enum Unit {
    /// An event, with a run for each workflow that it starts.
    Accept(Box<Accept>),
    /// The segment of a run that exists.
    Segment(Box<Segment>),
    /// Attempts to deliver end and begin.
    Attempts(Box<Attempts>),
}

/// An event to accept.
#[derive(Clone, Debug)]
pub struct Accept {
    /// The event.
    pub event: Event,
    /// The configuration that `starts` was made from; another one makes the unit stale.
    pub config: ConfigId,
    /// What it starts.
    pub starts: Vec<Start>,
}

/// A run to start.
#[derive(Clone, Debug)]
pub struct Start {
    /// Of this version of a workflow.
    pub workflow: WorkflowRow,
    /// Whether it may start is decided in the commit; `None`: for every event.
    pub rule: Option<Arc<StartRule>>,
    /// Its first segment, if it was executed already; it then shares the event's commit.
    pub segment: Option<Segment>,
}

/// What a workflow asks of its other runs for the same event key, whatever their versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartRule {
    /// The workflow's id.
    pub workflow: String,
    /// How often it starts.
    pub repeat: Repeat,
    /// Whether it does not start while another of its runs goes on.
    pub skip_if_running: bool,
    /// The type of the event that ends its runs.
    pub stop: Option<String>,
}

impl StartRule {
    /// What a workflow asks for; `None`: nothing.
    pub fn of(workflow: &Workflow) -> Option<StartRule> {
        let start = &workflow.start;
        let asks =
            start.repeat != Repeat::EveryTime || start.skip_if_running || workflow.stop.is_some();
        asks.then(|| StartRule {
            workflow: workflow.id.clone(),
            repeat: start.repeat,
            skip_if_running: start.skip_if_running,
            stop: workflow.stop.as_ref().map(|stop| stop.event.clone()),
        })
    }
}

/// What a run did between two waits: all that its commit makes true.
#[derive(Clone, Debug)]
pub struct Segment {
    /// The run and the number of this segment, from 0; `None` for a run that starts in the
    /// same unit.
    pub run: Option<(RunId, u32)>,
    /// Attempts that this segment has taken, this one included.
    pub attempt: u32,
    /// The steps, in order.
    pub steps: Vec<StepRecord>,
    /// Codes to take.
    pub claims: Vec<StagedClaim>,
    /// Claims that were told that nothing is left. Must still be true.
    pub exhausted: Vec<Exhausted>,
    /// Codes that the contact keeps: found, or taken now.
    pub reuses: Vec<StagedReuse>,
    /// Deliveries to make.
    pub deliveries: Vec<StagedDelivery>,
    /// What its run had waited for; must still be so.
    pub resumed: Option<Resumed>,
    /// Names other than the event's key by which the run's contact gets or keeps codes here.
    pub known_as: Vec<String>,
    /// A message was not sent, because its contact could not or must not be written to. Codes that
    /// no message of the run may carry go back when it completes.
    pub unsent: bool,
    /// A block of it was stopped: it trapped, or took too long.
    pub trapped: bool,
    /// How it ended.
    pub end: SegmentEnd,
}

impl Segment {
    /// A segment of which nothing is kept but how it ended.
    pub fn without_effects(
        run: Option<(RunId, u32)>,
        attempt: u32,
        resumed: Option<Resumed>,
        end: SegmentEnd,
    ) -> Segment {
        Segment {
            run,
            attempt,
            steps: Vec::new(),
            claims: Vec::new(),
            exhausted: Vec::new(),
            reuses: Vec::new(),
            deliveries: Vec::new(),
            resumed,
            known_as: Vec::new(),
            unsent: false,
            trapped: false,
            end,
        }
    }
}

/// What a run waits for beside the time. The run is due again when it is there.
#[derive(Clone, Debug, PartialEq)]
pub struct StagedWait {
    /// The step that waits, and the number of the effect that ends the wait.
    pub step: StepKey,
    /// What for.
    pub awaited: Awaited,
}

/// What a run may wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// A code that comes into the pool. Those who wait get it in the order in which they were
    /// stored, before anybody who comes later.
    Code {
        /// Its type and discount.
        lane: Lane,
        /// It stays valid for at least that many more days when it is given.
        days: u32,
        /// Whom it is for.
        contact: String,
        /// Whether the contact keeps it.
        keeps: bool,
        /// The claim whose code the contact kept when the run asked. One that it came to keep since
        /// serves the run.
        found: Option<ClaimId>,
    },
    /// The reply to a request.
    Reply {
        /// Which, as the block called it.
        request: String,
    },
}

impl std::fmt::Display for Awaited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Awaited::Code { lane, .. } => write!(
                f,
                "a promo code of type {} and discount {}",
                lane.code_type, lane.discount
            ),
            Awaited::Reply { request } => write!(f, "the reply to {request}"),
        }
    }
}

/// What ended a wait.
#[derive(Clone, Debug, PartialEq)]
pub struct Resumed {
    /// The number of the effect that ended it.
    pub ordinal: u32,
    /// What it was.
    pub why: Awakened,
}

/// What ends a wait.
#[derive(Clone, Debug, PartialEq)]
pub enum Awakened {
    /// There is a code: this one, or that which the contact keeps. In a segment that is to be
    /// committed, the one that its step took.
    Code(Option<GivenCode>),
    /// The reply.
    Reply(Value),
    /// The wait was given up.
    GaveUp,
}

/// A code that a run was given while it waited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenCode {
    /// Its type and discount.
    pub lane: Lane,
    /// The code.
    pub code: FreeCode,
}

/// How a segment ended.
#[derive(Clone, Debug)]
pub enum SegmentEnd {
    /// The run is done.
    Completed,
    /// The run failed for good; nothing that was staged is kept.
    Failed {
        /// Why, for the author.
        error: String,
    },
    /// Something was out of reach; nothing that was staged is kept.
    Retry {
        /// What.
        error: String,
        /// When to try again.
        due: Timestamp,
        /// What counts how often it was so.
        trouble: Trouble,
    },
    /// The run goes on later.
    Wait {
        /// The step that follows.
        step: u32,
        /// When; `None`: when something else wakes it.
        due: Option<Timestamp>,
        /// The run's values until then.
        data: Map<String, Value>,
        /// What else wakes it.
        wait: Option<StagedWait>,
    },
}

/// How often a step of a segment could not be done, for one kind of reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The step's id; empty where none had begun.
    pub step: String,
    /// The kind.
    pub kind: TroubleKind,
    /// Attempts that ended so.
    pub attempts: u32,
}

/// Why a step is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TroubleKind {
    /// Something that it needs was out of reach.
    Unavailable,
    /// Its block was stopped.
    Trapped,
}

impl TroubleKind {
    /// How the attempts follow each other, and after how many a step is given up.
    pub fn backoff(self) -> Backoff {
        match self {
            TroubleKind::Unavailable => Backoff::UNAVAILABLE,
            TroubleKind::Trapped => Backoff::TRAPPED,
        }
    }
}

/// A code that a step takes.
#[derive(Clone, Debug)]
pub struct StagedClaim {
    /// The step that claims.
    pub step: StepKey,
    /// The lane that the code stands in.
    pub lane: Lane,
    /// The code.
    pub code: FreeCode,
    /// Who gets it.
    pub contact: String,
}

/// That a step went by the code which its contact keeps. A contact keeps one of each lane.
#[derive(Clone, Debug)]
pub struct StagedReuse {
    /// The contact.
    pub contact: String,
    /// The lane of the code.
    pub lane: Lane,
    /// The claim whose code the contact keeps. Must still be so.
    pub found: Option<ClaimId>,
    /// Which of the segment's claims takes its place; `None`: that code serves again.
    pub replaced_by: Option<usize>,
}

/// A claim that may serve again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldClaim {
    /// The claim.
    pub id: ClaimId,
    /// Its code.
    pub code: FreeCode,
    /// When it was claimed.
    pub at: Timestamp,
}

/// A step's effect, named by the host: never by anything that a block chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepKey {
    /// The step's id.
    pub step: String,
    /// How often the run has come to this step, from 1.
    pub visit: u32,
    /// The number of this effect within the visit, from 0.
    pub ordinal: u32,
}

/// What a claim found nothing for.
#[derive(Clone, Debug)]
pub struct Exhausted {
    /// The lane.
    pub lane: Lane,
    /// The earliest expiry that would have done.
    pub expires: Timestamp,
}

/// The answer to a [`Unit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The event is stored with these runs.
    Accepted {
        /// The event's row.
        event: EventRow,
        /// A run for each start, in order; `None` where its rule did not allow it.
        runs: Vec<Option<RunId>>,
    },
    /// The event was stored before, with these runs.
    Duplicate {
        /// The event's row.
        event: EventRow,
        /// Its runs.
        runs: Vec<RunId>,
    },
    /// Another event has that id: refused.
    Conflict,
    /// These attempts have begun; the other deliveries were called off or have expired.
    Started(Vec<DeliveryId>),
    /// Committed.
    Done,
    /// The database refused it; nothing of it is stored.
    Failed(String),
    /// Something that the unit was made from is no longer so; make it anew.
    Stale(Stale),
}

/// What was no longer so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// A code was taken, changed or retired, or has expired.
    Code,
    /// A code is there where none was.
    NotExhausted,
    /// The contact keeps another code.
    Reuse,
    /// Workflows or messages were applied.
    Config,
    /// The run has gone on, or has ended.
    Run,
}
