//! Units: commit requests, and the replies to them.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::*;
use promoflow_model::clock::Timestamp;
use promoflow_model::event::CheckedEvent;
use promoflow_model::pool::CodeGroup;
use promoflow_model::retry::Backoff;
use promoflow_model::workflow::{Repeat, Workflow};

/// A commit request, which is committed or rejected as a whole.
#[derive(Clone, Debug)]
pub enum CommitUnit {
    /// An event, with a run for each workflow that it starts.
    Accept(Box<AcceptEvent>),
    /// The next segment of an existing run.
    Segment(Box<Segment>),
    /// Ends and starts of attempts to deliver.
    Attempts(Box<AttemptBatch>),
}

/// An event to accept.
#[derive(Clone, Debug)]
pub struct AcceptEvent {
    /// The event.
    pub event: CheckedEvent,
    /// The configuration that `starts` is based on. If it has changed, the unit is stale.
    pub config: ConfigVersion,
    /// The runs that it starts.
    pub starts: Vec<Start>,
}

/// A run to start.
#[derive(Clone, Debug)]
pub struct Start {
    /// The workflow version.
    pub workflow: WorkflowVersionId,
    /// The start rule, checked in the commit; `None`: it starts on every event.
    pub rule: Option<Arc<StartRule>>,
    /// The first segment, if it was executed already. It then shares the event's commit.
    pub segment: Option<Segment>,
}

/// The rule that limits a workflow's runs for one event key, across its versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartRule {
    /// The workflow's id.
    pub workflow: String,
    /// How often it starts.
    pub repeat: Repeat,
    /// True if it does not start while another of its runs is active.
    pub skip_if_running: bool,
    /// The type of the event that stops its runs.
    pub stop_event: Option<String>,
}

impl StartRule {
    /// Returns the rule of a workflow; `None` if it has none.
    pub fn for_workflow(workflow: &Workflow) -> Option<StartRule> {
        let start = &workflow.start;
        let asks =
            start.repeat != Repeat::EveryTime || start.skip_if_running || workflow.stop.is_some();
        asks.then(|| StartRule {
            workflow: workflow.id.clone(),
            repeat: start.repeat,
            skip_if_running: start.skip_if_running,
            stop_event: workflow.stop.as_ref().map(|stop| stop.event.clone()),
        })
    }
}

/// The work of a run between two waits: all effects of one commit.
#[derive(Clone, Debug)]
pub struct Segment {
    /// The run and the number of this segment, from 0; `None` for a run that starts in the same
    /// unit.
    pub run: Option<(RunId, u32)>,
    /// The attempts of this segment, including this one.
    pub attempt: u32,
    /// The steps in order.
    pub steps: Vec<StepRecord>,
    /// Codes to claim.
    pub claims: Vec<StagedClaim>,
    /// Claims that found no code. The commit checks that there still is none.
    pub exhausted: Vec<Exhausted>,
    /// Uses of the code that the contact keeps: found, or claimed now.
    pub reuses: Vec<StagedReuse>,
    /// Deliveries to store.
    pub deliveries: Vec<StagedDelivery>,
    /// The end of the run's wait. The commit checks that it is still valid.
    pub resumed: Option<WaitOutcome>,
    /// The contact's names, other than the event's key, under which this segment claims or keeps
    /// codes.
    pub contact_aliases: Vec<String>,
    /// True if a message was not sent because its contact cannot or must not be written to. Codes
    /// that no message of the run may carry are released when the run completes.
    pub has_unsent_message: bool,
    /// True if one of its blocks was stopped: it trapped or took too long.
    pub trapped: bool,
    /// The outcome.
    pub end: SegmentEnd,
}

impl Segment {
    /// Creates a segment of which only the outcome is kept.
    pub fn without_effects(
        run: Option<(RunId, u32)>,
        attempt: u32,
        resumed: Option<WaitOutcome>,
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
            contact_aliases: Vec::new(),
            has_unsent_message: false,
            trapped: false,
            end,
        }
    }
}

/// A wait for something other than a time. The run becomes due when it arrives.
#[derive(Clone, Debug, PartialEq)]
pub struct StagedWait {
    /// The waiting step, and the number of the effect that ends the wait.
    pub step: StepKey,
    /// The awaited thing.
    pub awaited: WaitFor,
}

/// The things that a run can wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitFor {
    /// A code. Waiting runs get codes in the order in which they started waiting, before any new
    /// run.
    Code {
        /// Its type and discount.
        code_group: CodeGroup,
        /// The code must be valid for at least that many more days when it is given.
        days: u32,
        /// The contact that gets the code.
        contact: String,
        /// True if the contact keeps the code.
        keeps_code: bool,
        /// The claim whose code the contact kept when the run asked. If the contact has kept
        /// another one since, the run gets that.
        found: Option<ClaimId>,
    },
    /// The reply to a request.
    Reply {
        /// The request's name, set by the block.
        request: String,
    },
}

impl std::fmt::Display for WaitFor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            WaitFor::Code { code_group, .. } => write!(
                f,
                "a promo code of type {} and discount {}",
                code_group.code_type, code_group.discount
            ),
            WaitFor::Reply { request } => write!(f, "the reply to {request}"),
        }
    }
}

/// The end of a wait.
#[derive(Clone, Debug, PartialEq)]
pub struct WaitOutcome {
    /// The number of the effect that ended it.
    pub ordinal: u32,
    /// The reason.
    pub reason: WakeReason,
}

/// The reason why a wait ends.
#[derive(Clone, Debug, PartialEq)]
pub enum WakeReason {
    /// A code is available: this one, or the one that the contact keeps. In a segment to be
    /// committed, the one that its step claimed.
    Code(Option<GrantedCode>),
    /// The reply arrived.
    Reply(Value),
    /// The wait timed out.
    TimedOut,
}

/// A code reserved for a waiting run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantedCode {
    /// Its type and discount.
    pub code_group: CodeGroup,
    /// The code.
    pub code: AvailableCode,
}

/// The outcome of a segment.
#[derive(Clone, Debug)]
pub enum SegmentEnd {
    /// The run is done.
    Completed,
    /// The run failed permanently; none of its staged effects are kept.
    Failed {
        /// The error, for the author.
        error: String,
    },
    /// The segment is retried; none of its staged effects are kept.
    Retry {
        /// The error.
        error: String,
        /// When to retry.
        due: Timestamp,
        /// The retry state.
        retry_state: RetryState,
    },
    /// The run continues later.
    Wait {
        /// The next step.
        step: u32,
        /// When to continue; `None`: only when `wait` ends.
        due: Option<Timestamp>,
        /// The run's values.
        data: Map<String, Value>,
        /// The wait that may end before that time.
        wait: Option<StagedWait>,
    },
}

/// The number of failed attempts of a step in one segment, for one kind of failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryState {
    /// The step's id; empty if none had begun.
    pub step: String,
    /// The kind of failure.
    pub kind: FailureKind,
    /// The number of attempts that failed.
    pub attempts: u32,
}

/// The kind of failure after which a step is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum FailureKind {
    /// The block returned `unavailable`.
    Unavailable,
    /// The block was stopped.
    Trapped,
}

impl FailureKind {
    /// Returns the back-off of this kind of failure.
    pub fn backoff(self) -> Backoff {
        match self {
            FailureKind::Unavailable => Backoff::UNAVAILABLE,
            FailureKind::Trapped => Backoff::TRAPPED,
        }
    }
}

/// A code that a step claims.
#[derive(Clone, Debug)]
pub struct StagedClaim {
    /// The step that claims.
    pub step: StepKey,
    /// The code's code group.
    pub code_group: CodeGroup,
    /// The code.
    pub code: AvailableCode,
    /// The contact that gets the code.
    pub contact: String,
}

/// A step's use of the code that its contact keeps. A contact keeps one code of each code group.
#[derive(Clone, Debug)]
pub struct StagedReuse {
    /// The contact.
    pub contact: String,
    /// The code group.
    pub code_group: CodeGroup,
    /// The claim whose code the contact keeps. The commit checks that it is still kept.
    pub found: Option<ClaimId>,
    /// The index of the segment's claim that replaces it; `None`: the kept code is reused.
    pub replaced_by: Option<usize>,
}

/// A claim whose code can be reused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReusableClaim {
    /// The claim.
    pub id: ClaimId,
    /// Its code.
    pub code: AvailableCode,
    /// When it was claimed.
    pub at: Timestamp,
}

/// The key of a step's effect. The host assigns it; a block cannot influence it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepKey {
    /// The step's id.
    pub step: String,
    /// The visit of the run to this step, from 1.
    pub visit: u32,
    /// The number of the effect within the visit, from 0.
    pub ordinal: u32,
}

/// A claim that found no code.
#[derive(Clone, Debug)]
pub struct Exhausted {
    /// The code group.
    pub code_group: CodeGroup,
    /// The earliest expiry that the claim accepted.
    pub expires: Timestamp,
}

/// The reply to a [`CommitUnit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitReply {
    /// The event is stored with these runs.
    Accepted {
        /// The event's row.
        event: EventRowId,
        /// A run for each start, in order; `None` if its rule did not allow it.
        runs: Vec<Option<RunId>>,
    },
    /// The event was already stored, with these runs.
    Duplicate {
        /// The event's row.
        event: EventRowId,
        /// Its runs.
        runs: Vec<RunId>,
    },
    /// The id belongs to another event, so this one is rejected.
    Conflict,
    /// These attempts have begun, each with its number. The other deliveries were cancelled or have
    /// expired.
    Started(Vec<(DeliveryId, u32)>),
    /// Committed.
    Done,
    /// The database rejected the unit; nothing of it is stored.
    Failed(String),
    /// The unit is based on outdated state; create it again.
    Stale(Stale),
}

/// The outdated part of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// A code was claimed, changed or retired, or has expired.
    Code,
    /// A code is available although a claim found none.
    NotExhausted,
    /// The contact keeps another code.
    Reuse,
    /// Workflows or messages were applied.
    Config,
    /// The run has continued or ended.
    Run,
}
