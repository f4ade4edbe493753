//! The store: the one trait through which state is read and committed.
//!
//! It is shaped by what its callers need, not by tables: commit a batch of [`Unit`]s at once,
//! lease the next codes of a lane, take an upload, tell what is due. Implementations:
//! [`sqlite`], embedded. The types in `model` are what crosses the line.

mod contacts;
mod executor;
mod model;

pub use contacts::{ContactOutcome, ContactSession, ContactStore, Directory};
pub use executor::{ExecutorLock, lock_path};
pub use model::*;

use std::collections::{BTreeSet, HashMap};

use thiserror::Error;

use promoflow_model::alert::Alert;
use promoflow_model::clock::{Clock, Timestamp};
use promoflow_model::event::Event;
use promoflow_model::key::Key;
use promoflow_model::message::{ChannelKind, Message};
use promoflow_model::pool::{Calendar, Filter, Lane};
use promoflow_model::trace_context::TraceParent;
use promoflow_model::workflow::Workflow;

/// Why the store could not do what was asked. Read by operators: the text says what to do where
/// that is known. Callers only ask whether trying again may help.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database cannot be opened, or is none of ours; the text says which and what to do.
    #[error("{0}")]
    Open(String),
    /// Another process held the database for too long. Trying again may help.
    #[error("the database is busy: another process held it for {seconds} seconds")]
    Busy {
        /// How long it was waited for.
        seconds: u64,
    },
    /// There is no room on the disk. Trying again helps once there is.
    #[error("the disk is full")]
    Full,
    /// The disk could not be read or written. Trying again may help.
    #[error("the disk failed: {0}")]
    Disk(String),
    /// The file or the database engine failed.
    #[error("the database failed: {0}")]
    Engine(String),
    /// Another release has changed how the database is laid out while this process had it open.
    /// Nothing is written any more, and trying again never helps.
    #[error(
        "another release brought the database to layout {found} while this process used it, which \
         knows layout {known}: nothing is written any more; use the release that did"
    )]
    Outdated {
        /// The layout that the database has.
        found: i32,
        /// The layout that this program reads and writes.
        known: i32,
    },
    /// An upload that is all or nothing was decided on, and some of its codes are not in the pool
    /// yet. [`Store::finish_uploads`] brings them in.
    #[error(
        "upload {upload} is taken, and some of its codes are not in the pool yet: {why}; they go in \
         by themselves once that is over"
    )]
    Unfinished {
        /// The upload.
        upload: UploadId,
        /// What kept them out.
        why: Box<StoreError>,
    },
    /// A stored row does not read as what it must be: the database was damaged or edited.
    #[error("the database holds {what} that cannot be read: {why}")]
    Damaged {
        /// What was read.
        what: String,
        /// What is wrong with it.
        why: String,
    },
}

/// What every method here returns.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Where all state lives. One store is shared by all threads of a process.
pub trait Store: ContactStore + Send + Sync {
    /// Whether this program may still use the database, which another release may have changed
    /// since it was opened ([`StoreError::Outdated`]).
    fn usable(&self) -> Result<()>;

    /// The calendar of the installation: UTC unless it was set.
    fn calendar(&self) -> Result<Calendar>;

    /// What tells this installation from others.
    fn installation(&self) -> Result<String>;

    /// Sets the time zone of the installation.
    fn set_calendar(&self, calendar: Calendar) -> Result<()>;

    /// Stores a message; the version is the old one where nothing changed.
    fn put_message(&self, message: &Message, at: Timestamp) -> Result<Applied>;

    /// The present version of every message, by id.
    fn messages(&self) -> Result<Vec<Message>>;

    /// A message as it was at that configuration.
    fn message_at(&self, id: &str, config: ConfigId) -> Result<Option<(u32, Message)>>;

    /// Stores a block's component under its digest.
    fn put_block(&self, block: &StoredBlock) -> Result<()>;

    /// The block of that digest.
    fn block(&self, digest: &str) -> Result<Option<StoredBlock>>;

    /// Stores a workflow; the version is the old one where nothing changed.
    fn put_workflow(&self, workflow: &Workflow, at: Timestamp) -> Result<Applied>;

    /// The present version of every workflow, by id.
    fn workflows(&self) -> Result<Vec<StoredWorkflow>>;

    /// A version of a workflow that runs refer to.
    fn workflow_version(&self, row: WorkflowRow) -> Result<Option<StoredWorkflow>>;

    /// Pauses or resumes a workflow; false where there is none of that id.
    fn set_workflow_state(&self, id: &str, state: WorkflowState) -> Result<bool>;

    /// Pauses a workflow for a reason that was no person's, and stores notices of that.
    fn pause_workflow(
        &self,
        id: &str,
        reason: &str,
        notices: &[NewNotice],
        at: Timestamp,
    ) -> Result<()>;

    /// The number of the present configuration: it grows with each message and workflow.
    fn config(&self) -> Result<ConfigId>;

    /// Begins an upload. Who waits for a code is given one by the time of its batch.
    fn begin_upload<'s>(
        &'s self,
        head: UploadHead,
        clock: &'s dyn Clock,
    ) -> Result<Box<dyn UploadSession + 's>>;

    /// Begins an upload that changes nothing, and that nobody waits for: its answers are those of
    /// an upload at that time.
    fn rehearse_upload<'s>(&'s self, clock: &'s dyn Clock) -> Result<Box<dyn UploadSession + 's>>;

    /// Brings in what is left of uploads that are all or nothing and were decided on: their process
    /// died on the way, or the disk was full.
    fn finish_uploads(&self, clock: &dyn Clock) -> Result<()>;

    /// The free codes of a lane in the order in which they are taken, after that position.
    fn free_codes(
        &self,
        lane: &Lane,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Vec<FreeCode>>;

    /// The latest code of a lane that a run has, if it expires at `needed` or later.
    fn held_by_run(&self, run: RunId, lane: &Lane, needed: Timestamp) -> Result<Option<HeldClaim>>;

    /// The code of a lane that a contact keeps.
    fn held_by_contact(&self, contact: &str, lane: &Lane) -> Result<Option<HeldClaim>>;

    /// A number that changes whenever codes were added to, changed in or taken from the pool
    /// other than by a segment's commit: what was leased before may be out of order.
    fn pool_generation(&self) -> Result<u64>;

    /// How often this process has changed the pool so. Costs nothing to ask; a change that was
    /// answered is counted.
    fn pool_changes(&self) -> u64;

    /// Gives each code that passes to `visit`, in the order of the codes' text. Constant memory.
    fn codes(
        &self,
        filter: &Filter,
        now: Timestamp,
        visit: &mut dyn FnMut(CodeRow) -> std::ops::ControlFlow<()>,
    ) -> Result<()>;

    /// One code, with the deliveries that carry it.
    fn code(&self, code: &str) -> Result<Option<(CodeRow, Vec<DeliveryId>)>>;

    /// How many codes pass.
    fn count_codes(&self, filter: &Filter, now: Timestamp) -> Result<PoolCount>;

    /// Sets unused codes aside (`retire`), or brings retired ones back.
    fn retire(&self, codes: &[String], retire: bool, clock: &dyn Clock) -> Result<Retired>;

    /// Commits all units in one durable transaction, each on its own: a unit that is refused
    /// leaves nothing behind and does not touch the others. The answers are in the order of the
    /// units. An error means that nothing was committed. The clock is asked once nobody else can
    /// write: what was valid before the wait for that may not be any more.
    fn commit(&self, units: &[Unit], clock: &dyn Clock) -> Result<Vec<Reply>>;

    /// Runs that may go on at `now`, the longest due first, without those in `but` and those of the
    /// workflows in `left_out`. One that cannot be read holds up none of the others.
    fn due_runs(
        &self,
        now: Timestamp,
        limit: usize,
        left_out: &[WorkflowRow],
        but: &dyn Fn(RunId) -> bool,
    ) -> Result<DueRuns>;

    /// Has runs fail that cannot be read, each for that reason. Nothing else of them changes, and
    /// they may be retried once they are repaired.
    fn fail_unreadable(&self, runs: &[(RunId, String)], now: Timestamp) -> Result<()>;

    /// Deliveries by these channels that may be tried at `now`, without those in `but`; fewer than
    /// `limit` where their contents reach [`MOST_PAGE_BYTES`]. Those that were to wait until now
    /// and those that never were take turns, each by themselves the longest due first, so that
    /// neither wait for the end of the others; `waited_first` says whose turn it is.
    fn due_deliveries(
        &self,
        kinds: &[ChannelKind],
        now: Timestamp,
        limit: usize,
        waited_first: bool,
        but: &dyn Fn(DeliveryId) -> bool,
    ) -> Result<DuePage>;

    /// Until when a side asked to be left alone, the last time that it did.
    fn pause(&self, side: Side<'_>) -> Result<Option<Timestamp>>;

    /// When the next run or delivery is due, after `now`.
    fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>>;

    /// Whether the runs from `first` to `last` rest at `now`: none may go on, and none of their
    /// deliveries is due; one that was tried and could not be taken is due later.
    fn rested(&self, first: RunId, last: RunId, now: Timestamp) -> Result<bool>;

    /// The launch history, the newest first.
    fn runs(&self, state: Option<RunState>, limit: usize) -> Result<Vec<RunRow>>;

    /// One run with its steps.
    fn run(&self, id: RunId) -> Result<Option<(RunRow, Vec<StepRecord>)>>;

    /// Why an event would not start a workflow of that rule at `now`, in words for its author;
    /// `None` where it would.
    fn held_off(
        &self,
        event: &Event,
        rule: &StartRule,
        now: Timestamp,
    ) -> Result<Option<&'static str>>;

    /// Hands a run the reply that it waits for, as JSON; false where it waits for none to that
    /// request.
    fn reply(&self, run: RunId, request: &str, reply: &str) -> Result<bool>;

    /// Does to a run what a person asks for. A run that is cancelled gives its codes back if
    /// none of them may have left the host, and its deliveries are called off with that.
    fn order_run(&self, id: RunId, order: Order, clock: &dyn Clock) -> Result<Ordered>;

    /// Does to a delivery what a person asks for.
    fn order_delivery(&self, id: DeliveryId, order: Order, clock: &dyn Clock) -> Result<Ordered>;

    /// The deliveries, the oldest first.
    fn deliveries(
        &self,
        state: Option<DeliveryState>,
        visit: &mut dyn FnMut(DeliveryRow) -> std::ops::ControlFlow<()>,
    ) -> Result<()>;

    /// One delivery.
    fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryRow>>;

    /// What a delivery went through.
    fn delivery_history(&self, id: DeliveryId) -> Result<Option<DeliveryHistory>>;

    /// A number that changes when another process or connection has committed.
    fn change_mark(&self) -> Result<u64>;

    /// Copies everything as it is at one moment into a new file, durably, while others write. A file
    /// that is there is left alone and an error.
    fn backup(&self, to: &std::path::Path) -> Result<()>;

    /// Re-derives the promises from the stored rows.
    fn audit(&self) -> Result<Vec<Audited>>;

    /// When a segment of a run was committed; `None` where it was not.
    fn segment_at(&self, run: RunId, segment: u32) -> Result<Option<Timestamp>>;

    /// Names the configuration's rows by number, for listings.
    fn workflow_names(&self) -> Result<HashMap<WorkflowRow, (String, u32)>>;

    /// The same as [`codes`](Self::codes), from the code after that one on.
    fn codes_after(
        &self,
        filter: &Filter,
        after: Option<&str>,
        now: Timestamp,
        visit: &mut dyn FnMut(CodeRow) -> std::ops::ControlFlow<()>,
    ) -> Result<()>;

    /// The launch history before that run, the newest first.
    fn runs_before(
        &self,
        state: Option<RunState>,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<RunRow>>;

    /// Up to so many deliveries after that one, the oldest first; fewer where their contents
    /// reach [`MOST_PAGE_BYTES`].
    fn deliveries_after(
        &self,
        state: Option<DeliveryState>,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Vec<DeliveryRow>>;

    /// How many codes each lane holds at `now`, and how many of those expire until `soon`. Reads
    /// the whole pool in the order of its indexes: to be asked seldom.
    fn census(&self, now: Timestamp, soon: Timestamp) -> Result<Census>;

    /// Every lane that ever had a code.
    fn lanes(&self) -> Result<Vec<Lane>>;

    /// Free codes of a lane that expire after `from`, and not after `to`. No more than `most` are
    /// read: where the answer is that many there may be more.
    fn free_between(&self, lane: &Lane, from: Timestamp, to: Timestamp, most: u64) -> Result<u64>;

    /// The names of the parameters that the last events of that type brought, of those that came
    /// last of all; `None`: of any type.
    fn event_params(&self, event_type: Option<&str>) -> Result<BTreeSet<String>>;

    /// Every alert that was ever raised.
    fn alerts(&self) -> Result<Vec<Alert>>;

    /// Stores an alert in the place of the one before about the same, and with it the notices of
    /// its event.
    fn put_alert(&self, alert: &Alert, notices: &[NewNotice]) -> Result<()>;

    /// Notices for a webhook that may be tried at `now`, the longest due first.
    fn due_notices(&self, webhook: &str, now: Timestamp, limit: usize) -> Result<Vec<Notice>>;

    /// An attempt to deliver a notice begins; false where it is not to be tried any more.
    fn begin_notice(&self, id: NoticeId) -> Result<bool>;

    /// An attempt to deliver a notice has ended; `paused`: who asks with that to be left
    /// alone until when.
    fn end_notice(
        &self,
        id: NoticeId,
        end: &NoticeEnd,
        paused: Option<(Side<'_>, Timestamp)>,
    ) -> Result<()>;

    /// The notices before that one, the newest first.
    fn notices(
        &self,
        state: Option<DeliveryState>,
        before: Option<NoticeId>,
        limit: usize,
    ) -> Result<Vec<Notice>>;

    /// The last claim; 0 where there is none.
    fn last_claim(&self) -> Result<ClaimId>;

    /// The claims after that one, by lane.
    fn claimed_after(&self, after: ClaimId) -> Result<Claimed>;

    /// The claims since a moment, by lane; of very many only the last `most`.
    fn claimed_since(&self, since: Timestamp, most: u64) -> Result<ClaimedSince>;

    /// The event of a run, with the trace that it came with.
    fn trace_of_run(&self, run: RunId) -> Result<Option<(EventRow, Option<TraceParent>)>>;

    /// How many runs and deliveries there are. Costs what is not done yet.
    fn tally(&self) -> Result<Tally>;

    /// The uploads before that one, the newest first.
    fn uploads(&self, before: Option<UploadId>, limit: usize) -> Result<Vec<UploadRow>>;

    /// One upload, with the first rows of it that were refused.
    fn upload(
        &self,
        id: UploadId,
    ) -> Result<Option<(UploadRow, Vec<promoflow_model::pool::RowError>)>>;

    /// Up to so many unused codes that an upload was the last to state, after that code.
    fn unused_of_upload(&self, id: UploadId, after: &str, limit: usize) -> Result<Vec<String>>;

    /// Marks the uploads of API keys that did not end as interrupted: their service has died.
    fn end_lost_uploads(&self, at: Timestamp) -> Result<()>;

    /// Marks an upload as interrupted, if it has no end.
    fn end_lost_upload(&self, id: UploadId, at: Timestamp) -> Result<()>;

    /// Adds an API key.
    fn put_key(&self, key: &Key) -> Result<()>;

    /// Every API key, revoked ones as well, the oldest first.
    fn keys(&self) -> Result<Vec<Key>>;

    /// Revokes an API key, for good; false where there is none of that id.
    fn revoke_key(&self, id: &str, at: Timestamp) -> Result<bool>;

    /// A number that grows with every key that is made or revoked.
    fn key_generation(&self) -> Result<u64>;

    /// What was answered under an Idempotency-Key of an API key since that moment.
    fn answer(&self, key: &str, under: &str, since: Timestamp) -> Result<Option<StoredAnswer>>;

    /// Remembers an answer, and forgets those before `since`.
    fn put_answer(
        &self,
        key: &str,
        under: &str,
        answer: &StoredAnswer,
        at: Timestamp,
        since: Timestamp,
    ) -> Result<()>;
}

/// An upload on its way: batches go in one after another.
pub trait UploadSession {
    /// Takes a batch of rows; the answers are in their order.
    fn batch(&mut self, rows: &[promoflow_model::pool::NewCode]) -> Result<Vec<RowOutcome>>;

    /// Its number; 0 while it has none.
    fn id(&self) -> UploadId;

    /// Codes of the pool that differ from one of these in upper and lower case only: each of these
    /// with another, for the spellings that people use.
    fn spelt_otherwise(&self, codes: &[String]) -> Result<Vec<(String, String)>>;

    /// Ends the upload and makes what it took durable. A session that is dropped instead leaves
    /// what its committed batches took, or nothing where the upload is atomic.
    fn finish(self: Box<Self>, end: UploadEnd) -> Result<FinishedUpload>;

    /// Ends the upload and takes nothing of it; for atomic uploads, and rehearsals, which take
    /// nothing anyhow.
    fn roll_back(self: Box<Self>) -> Result<()>;
}
