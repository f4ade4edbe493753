//! What crosses the line between the store and its callers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::block::Description;
use crate::clock::Timestamp;
use crate::event::Event;
use crate::message::{ChannelKind, Content};
use crate::pool::Lane;
use crate::workflow::{Repeat, Workflow};

macro_rules! row_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.trim().parse().map($name)
            }
        }
    };
}

row_id!(
    /// A stored event.
    EventRow
);
row_id!(
    /// A run.
    RunId
);
row_id!(
    /// A claim.
    ClaimId
);
row_id!(
    /// A delivery.
    DeliveryId
);
row_id!(
    /// A stored version of a workflow.
    WorkflowRow
);
row_id!(
    /// A state of the configuration: all messages and workflows up to it.
    ConfigId
);

/// What became of an applied message or workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its version, counted from 1.
    pub version: u32,
    /// Whether it differs from the version before.
    pub changed: bool,
}

/// A block's component with what it says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredBlock {
    /// SHA-256 of the component, in hexadecimal.
    pub digest: String,
    /// What the block's `describe` answered.
    pub description: Description,
    /// The component.
    pub bytes: Vec<u8>,
}

/// Whether events start a workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkflowState {
    /// They do.
    Active,
    /// They don't.
    Paused,
}

/// A version of a workflow.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredWorkflow {
    /// The row that runs refer to.
    pub row: WorkflowRow,
    /// Counted from 1.
    pub version: u32,
    /// Of the workflow as a whole, whatever the version.
    pub state: WorkflowState,
    /// The definition.
    pub workflow: Workflow,
}

/// What is known of an upload as it begins.
#[derive(Clone, Debug)]
pub struct UploadHead {
    /// Where it came from: a file's name, or `-`.
    pub source: String,
    /// When.
    pub at: Timestamp,
    /// All or nothing: one transaction, which holds up other writers until it ends.
    pub atomic: bool,
}

/// What became of a row of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowOutcome {
    /// The code is new.
    Inserted,
    /// The code was known and unused, and something of it changed.
    Updated,
    /// Nothing changed: the row says what is stored, or the code is used.
    Unchanged,
    /// The same upload gave the code other attributes on an earlier line.
    Contradicts {
        /// The first field that differs, named as in an upload.
        field: &'static str,
        /// What the earlier line gave.
        earlier: String,
    },
}

/// Where a code stands in its lane. Codes are taken in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// When it expires.
    pub expires: Timestamp,
    /// Its number, given in the order of upload.
    pub id: i64,
}

/// A code that nobody has claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreeCode {
    /// Where it stands in its lane.
    pub position: Position,
    /// The code.
    pub code: String,
}

/// Who got a code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UsedBy {
    /// The run, as text.
    pub run: String,
    /// The step's id.
    pub step: String,
    /// The contact: the event's key.
    pub contact: String,
    /// When it was claimed, RFC 3339.
    pub at: String,
}

/// A code as listings show it.
#[derive(Clone, Debug, PartialEq)]
pub struct CodeRow {
    /// The code.
    pub code: String,
    /// Its type and discount.
    pub lane: Lane,
    /// When it expires.
    pub expires: Timestamp,
    /// Claimed or retired.
    pub in_use: bool,
    /// Who got it; `None` for unused and retired ones.
    pub used_by: Option<UsedBy>,
}

/// How many codes there are. `total` is the sum of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PoolCount {
    /// All that pass.
    pub total: u64,
    /// Free, and not expired.
    pub available: u64,
    /// Claimed.
    pub used: u64,
    /// Set aside.
    pub retired: u64,
    /// Free, but expired.
    pub expired: u64,
}

/// What became of codes that were to be retired or reinstated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Retired {
    /// How many changed.
    pub retired: u64,
    /// Codes that the pool does not hold.
    pub unknown: Vec<String>,
    /// Codes that a run has: they stay as they are.
    pub already_used: Vec<String>,
}

/// One thing that is committed, or refused, as a whole.
#[derive(Clone, Debug)]
pub enum Unit {
    /// An event, with a run for each workflow that it starts.
    Accept(Box<Accept>),
    /// The segment of a run that exists.
    Segment(Box<Segment>),
    /// Attempts to deliver begin.
    AttemptsStart(Vec<DeliveryId>),
    /// Attempts to deliver have ended.
    AttemptsEnd(Vec<AttemptEnd>),
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
    /// How it ended.
    pub end: SegmentEnd,
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
    },
    /// The run goes on later.
    Wait {
        /// The step that follows.
        step: u32,
        /// When; `None`: when something else wakes it.
        due: Option<Timestamp>,
        /// The run's values until then.
        data: Map<String, Value>,
    },
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

/// A delivery that a step stages.
#[derive(Clone, Debug)]
pub struct StagedDelivery {
    /// The step that sends.
    pub step: StepKey,
    /// How.
    pub channel: ChannelKind,
    /// To whom.
    pub address: String,
    /// The message's id.
    pub message: String,
    /// What the contact gets.
    pub content: Content,
    /// Not before.
    pub due: Timestamp,
    /// Given up at this moment: with the first code that it may carry.
    pub expires: Timestamp,
}

/// A step as the launch history shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepRecord {
    /// The step's id.
    pub step: String,
    /// The block's name.
    pub block: String,
    /// The port that the run left by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// The values that it set.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub data: Map<String, Value>,
    /// What it noted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    /// Why it has no port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The end of an attempt to deliver.
#[derive(Clone, Debug)]
pub struct AttemptEnd {
    /// The delivery.
    pub delivery: DeliveryId,
    /// What came of it.
    pub outcome: AttemptOutcome,
}

/// What came of an attempt to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The channel took it.
    Delivered,
    /// Not now.
    Later {
        /// Why.
        error: String,
        /// When to try again.
        due: Timestamp,
    },
    /// Never.
    Refused {
        /// Why.
        error: String,
    },
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

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// May go on.
    Running,
    /// Goes on later.
    Waiting,
    /// Done.
    Completed,
    /// Ended by an error.
    Failed,
    /// Ended by a person.
    Cancelled,
}

/// A run that may go on.
#[derive(Clone, Debug)]
pub struct DueRun {
    /// The run.
    pub id: RunId,
    /// The version of the workflow.
    pub workflow: WorkflowRow,
    /// The configuration that it started with.
    pub config: ConfigId,
    /// The number of its next segment.
    pub segment: u32,
    /// The step that the segment begins with.
    pub step: u32,
    /// Attempts that the segment has taken.
    pub attempt: u32,
    /// The run's values; the event's parameters before the first segment.
    pub data: Map<String, Value>,
    /// The event's key.
    pub key: String,
}

/// A run as listings show it.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    /// The run.
    pub id: RunId,
    /// The version of the workflow.
    pub workflow: WorkflowRow,
    /// The event: its id, or its row where it has none.
    pub event: String,
    /// The event's key.
    pub key: String,
    /// How it stands.
    pub state: RunState,
    /// Why it failed, or what its last attempt met.
    pub error: Option<String>,
    /// When it started.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Option<Timestamp>,
}

/// How a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// To be tried, now or later.
    Pending,
    /// The channel took it.
    Delivered,
    /// Given up.
    Failed,
    /// Called off.
    Cancelled,
}

/// A delivery that may be tried.
#[derive(Clone, Debug)]
pub struct DueDelivery {
    /// The delivery.
    pub id: DeliveryId,
    /// How.
    pub channel: ChannelKind,
    /// To whom.
    pub address: String,
    /// The message's id.
    pub message: String,
    /// What the contact gets.
    pub content: Content,
    /// Given up at this moment.
    pub expires: Timestamp,
    /// Attempts until now.
    pub attempts: u32,
}

/// A delivery as listings show it.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryRow {
    /// The delivery.
    pub id: DeliveryId,
    /// The run that staged it.
    pub run: RunId,
    /// How.
    pub channel: ChannelKind,
    /// To whom.
    pub address: String,
    /// The message's id.
    pub message: String,
    /// What the contact gets.
    pub content: Content,
    /// How it stands.
    pub state: DeliveryState,
    /// Attempts until now.
    pub attempts: u32,
    /// Why the last attempt did not do.
    pub error: Option<String>,
}

/// What a person may do to a run or a delivery by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It ends for good.
    Cancel,
    /// It is tried again, now.
    Retry,
}

/// What became of an [`Order`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ordered {
    /// It is done.
    Done {
        /// Codes that went back to the pool.
        released: u64,
        /// Deliveries that were called off.
        called_off: u64,
    },
    /// There is none of that number.
    Unknown,
    /// It cannot be done, for this reason; nothing was changed.
    Refused(&'static str),
}

/// What an audit found about one promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Audited {
    /// `P1`.
    pub promise: String,
    /// Whether it holds.
    pub holds: bool,
    /// How many rows were looked at.
    pub checked: u64,
    /// The offending rows, a text each; at most 100.
    pub violations: Vec<String>,
}
