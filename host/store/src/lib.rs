//! The store: the trait through which all state is read and committed.
//!
//! It is shaped by what its callers need, not by tables: commit a batch of [`CommitUnit`]s at once, lease
//! the next codes of a code group, import an upload, list what is due. The implementation is
//! SQLite (`promoflow-store-sqlite`). The types in `model` are the data that callers and the store exchange.

mod contacts;
mod executor_lock;
mod model;

pub use contacts::{ContactOutcome, ContactSession, ContactStore, Directory};
pub use executor_lock::{ExecutorLock, lock_path};
pub use model::*;

use std::collections::{BTreeSet, HashMap};

use thiserror::Error;

use promoflow_model::alert::Alert;
use promoflow_model::clock::{Clock, Timestamp};
use promoflow_model::event::Event;
use promoflow_model::key::Key;
use promoflow_model::message::{ChannelKind, Message};
use promoflow_model::pool::{Calendar, CodeGroup, Filter};
use promoflow_model::trace_context::TraceParent;
use promoflow_model::workflow::Workflow;

/// An error of the store. Operators read the text, which says what to do if that is known. Callers
/// only distinguish errors that a retry may fix.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database cannot be opened or is not a Promoflow database. The text says which and what
    /// to do.
    #[error("{0}")]
    Open(String),
    /// Another process held the database for too long. Retrying may help.
    #[error("the database is busy: another process held it for {seconds} seconds")]
    Busy {
        /// How long the store waited, in seconds.
        seconds: u64,
    },
    /// The disk is full. Retrying helps once there is room.
    #[error("the disk is full")]
    Full,
    /// Reading or writing the disk failed. Retrying may help.
    #[error("the disk failed: {0}")]
    Disk(String),
    /// The database engine failed.
    #[error("the database failed: {0}")]
    Engine(String),
    /// Another release migrated the schema while this process had the database open. This process
    /// writes nothing any more, and retrying never helps.
    #[error(
        "another release migrated the database to schema version {found} while this process was \
         using it; this release knows version {known} and writes nothing any more; start the newer \
         release"
    )]
    Outdated {
        /// The schema version of the database.
        found: i32,
        /// The schema version that this program reads and writes.
        known: i32,
    },
    /// An atomic upload is accepted, but some of its codes are not in the pool yet.
    /// [`Store::finish_uploads`] adds them.
    #[error(
        "upload {upload} is accepted, but some of its codes are not in the pool yet: {why}; they \
         are added automatically once this is resolved"
    )]
    Unfinished {
        /// The upload.
        upload: UploadId,
        /// The error that stopped it.
        why: Box<StoreError>,
    },
    /// A stored row has an invalid value: the database was damaged or edited by hand.
    #[error("cannot read {what} from the database: {why}")]
    Damaged {
        /// The row or value that was read.
        what: String,
        /// The reason.
        why: String,
    },
}

/// The result of the store's methods.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// All state of an installation. All threads of a process share one store.
pub trait Store: ContactStore + Send + Sync {
    /// Fails with [`StoreError::Outdated`] if another release migrated the database since it was
    /// opened.
    fn check_schema(&self) -> Result<()>;

    /// Returns the calendar of the installation; UTC unless it was set.
    fn calendar(&self) -> Result<Calendar>;

    /// Returns the identifier of this installation.
    fn installation(&self) -> Result<String>;

    /// Sets the time zone of the installation.
    fn set_calendar(&self, calendar: Calendar) -> Result<()>;

    /// Stores a message. If nothing changed, the version stays the same.
    fn save_message(&self, message: &Message, at: Timestamp) -> Result<Applied>;

    /// Returns the current version of every message, by id.
    fn messages(&self) -> Result<Vec<Message>>;

    /// Returns a message as it was in that configuration, with its version.
    fn message_at(&self, id: &str, config: ConfigVersion) -> Result<Option<(u32, Message)>>;

    /// Stores a block's component under its digest.
    fn save_block(&self, block: &StoredBlock) -> Result<()>;

    /// Returns the block with that digest.
    fn block(&self, digest: &str) -> Result<Option<StoredBlock>>;

    /// Stores a workflow. If nothing changed, the version stays the same.
    fn save_workflow(&self, workflow: &Workflow, at: Timestamp) -> Result<Applied>;

    /// Returns the current version of every workflow, by id.
    fn workflows(&self) -> Result<Vec<StoredWorkflow>>;

    /// Returns the version of a workflow that runs refer to by this row.
    fn workflow_version(&self, row: WorkflowVersionId) -> Result<Option<StoredWorkflow>>;

    /// Pauses or resumes a workflow. Returns false if there is no workflow with that id.
    fn set_workflow_state(&self, id: &str, state: WorkflowState) -> Result<bool>;

    /// Pauses a workflow automatically, for this reason, and stores the notifications of that.
    fn pause_workflow(
        &self,
        id: &str,
        reason: &str,
        notifications: &[NewNotification],
        at: Timestamp,
    ) -> Result<()>;

    /// Returns the number of the current configuration. Each applied message or workflow increases
    /// it.
    fn config(&self) -> Result<ConfigVersion>;

    /// Begins an upload. Runs that wait for a code get one as of the time of its batch.
    fn begin_upload<'s>(
        &'s self,
        head: UploadHead,
        clock: &'s dyn Clock,
    ) -> Result<Box<dyn UploadSession + 's>>;

    /// Begins an upload that changes nothing and blocks nothing. Its outcomes are those of a real
    /// upload at that time.
    fn begin_dry_run<'s>(&'s self, clock: &'s dyn Clock) -> Result<Box<dyn UploadSession + 's>>;

    /// Adds the remaining codes of atomic uploads that were accepted and not finished, because
    /// their process died or the disk was full.
    fn finish_uploads(&self, clock: &dyn Clock) -> Result<()>;

    /// Returns the available codes of a code group after that position, in the order of claiming.
    fn available_codes(
        &self,
        code_group: &CodeGroup,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Vec<AvailableCode>>;

    /// Returns the latest code of a code group that a run has claimed, if it expires at `needed` or
    /// later.
    fn claim_of_run(
        &self,
        run: RunId,
        code_group: &CodeGroup,
        needed: Timestamp,
    ) -> Result<Option<ReusableClaim>>;

    /// Returns the code of a code group that a contact keeps.
    fn claim_kept_by_contact(
        &self,
        contact: &str,
        code_group: &CodeGroup,
    ) -> Result<Option<ReusableClaim>>;

    /// Returns a number that changes whenever codes are added, changed or removed other than by a
    /// segment's commit. Earlier leases may then be out of order.
    fn pool_generation(&self) -> Result<u64>;

    /// Returns how often this process has changed the pool in that way. Free of cost; includes
    /// every change whose call has returned.
    fn pool_changes(&self) -> u64;

    /// Calls `visit` for each matching code, ordered by the codes' text, in constant memory.
    fn codes(
        &self,
        filter: &Filter,
        now: Timestamp,
        visit: &mut dyn FnMut(CodeRow) -> std::ops::ControlFlow<()>,
    ) -> Result<()>;

    /// Returns one code, with the deliveries that carry it.
    fn code(&self, code: &str) -> Result<Option<(CodeRow, Vec<DeliveryId>)>>;

    /// Counts the matching codes.
    fn count_codes(&self, filter: &Filter, now: Timestamp) -> Result<PoolCount>;

    /// Retires unused codes (`retire`), or reinstates retired ones.
    fn retire(&self, codes: &[String], retire: bool, clock: &dyn Clock) -> Result<RetireResult>;

    /// Commits all units in one durable transaction. Units are independent: a rejected unit leaves
    /// nothing behind and does not affect the others. The replies are in the order of the units. An
    /// error means that nothing was committed. The clock is read once the write lock is held,
    /// because codes may expire while waiting for it.
    fn commit(&self, units: &[CommitUnit], clock: &dyn Clock) -> Result<Vec<CommitReply>>;

    /// Returns runs that may continue at `now`, the longest due first, except those for which `is_excluded`
    /// is true and those of the workflows in `excluded_workflows`. A run that cannot be read does not block
    /// the others.
    fn due_runs(
        &self,
        now: Timestamp,
        limit: usize,
        excluded_workflows: &[WorkflowVersionId],
        is_excluded: &dyn Fn(RunId) -> bool,
    ) -> Result<DueRuns>;

    /// Fails runs that cannot be read, each with its reason. Nothing else of them changes, so they
    /// can be retried after a repair.
    fn fail_unreadable(&self, runs: &[(RunId, String)], now: Timestamp) -> Result<()>;

    /// Returns deliveries over these channels that may be attempted at `now`, except those for
    /// which `is_excluded` is true; fewer than `limit` if their contents reach [`MAX_PAGE_BYTES`].
    /// Deliveries that were scheduled for a later time and new ones alternate, each kind ordered by
    /// due time, so that neither starves the other. `scheduled_first` says which kind comes first.
    fn due_deliveries(
        &self,
        kinds: &[ChannelKind],
        now: Timestamp,
        limit: usize,
        scheduled_first: bool,
        is_excluded: &dyn Fn(DeliveryId) -> bool,
    ) -> Result<DuePage>;

    /// Returns the latest `Retry-After` deadline that this provider or webhook sent.
    fn throttled_until(&self, party: ThrottledParty<'_>) -> Result<Option<Timestamp>>;

    /// Returns the time after `now` at which the next run or delivery is due.
    fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>>;

    /// Returns true if the runs from `first` to `last` are idle at `now`: no run may continue, and
    /// none of their deliveries is due. A delivery that is to be retried is due later.
    fn are_idle(&self, first: RunId, last: RunId, now: Timestamp) -> Result<bool>;

    /// Lists runs, the newest first.
    fn runs(&self, state: Option<RunState>, limit: usize) -> Result<Vec<RunRow>>;

    /// Returns one run with its steps.
    fn run(&self, id: RunId) -> Result<Option<(RunRow, Vec<StepRecord>)>>;

    /// Returns why an event would not start a workflow with that rule at `now`, as text for the
    /// author; `None` if it would.
    fn start_blocked_by(
        &self,
        event: &Event,
        rule: &StartRule,
        now: Timestamp,
    ) -> Result<Option<&'static str>>;

    /// Stores the reply that a run waits for, as JSON. Returns false if the run does not wait for a
    /// reply to that request.
    fn reply(&self, run: RunId, request: &str, reply: &str) -> Result<bool>;

    /// Applies an operator's action to a run. Cancelling a run releases its codes if none of them
    /// may have left the host, and cancels its deliveries.
    fn apply_run_action(
        &self,
        id: RunId,
        action: Action,
        clock: &dyn Clock,
    ) -> Result<ActionResult>;

    /// Applies an operator's action to a delivery.
    fn apply_delivery_action(
        &self,
        id: DeliveryId,
        action: Action,
        clock: &dyn Clock,
    ) -> Result<ActionResult>;

    /// Calls `visit` for each delivery, the oldest first.
    fn deliveries(
        &self,
        state: Option<DeliveryState>,
        visit: &mut dyn FnMut(DeliveryRow) -> std::ops::ControlFlow<()>,
    ) -> Result<()>;

    /// Returns one delivery.
    fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryRow>>;

    /// Returns the attempts, alternatives and deadlines of a delivery.
    fn delivery_history(&self, id: DeliveryId) -> Result<Option<DeliveryHistory>>;

    /// Returns a number that changes when another process or connection has committed.
    fn data_version(&self) -> Result<u64>;

    /// Copies the database as it is at one moment into a new file, durably, without blocking
    /// writers. Fails if the file exists.
    fn backup(&self, to: &std::path::Path) -> Result<()>;

    /// Re-derives the promises from the stored rows.
    fn audit(&self) -> Result<Vec<PromiseReport>>;

    /// Returns when a segment of a run was committed; `None` if it was not.
    fn segment_at(&self, run: RunId, segment: u32) -> Result<Option<Timestamp>>;

    /// Returns the id and version of each workflow row, for listings.
    fn workflow_names(&self) -> Result<HashMap<WorkflowVersionId, (String, u32)>>;

    /// Same as [`codes`](Self::codes), starting after code `after`.
    fn codes_after(
        &self,
        filter: &Filter,
        after: Option<&str>,
        now: Timestamp,
        visit: &mut dyn FnMut(CodeRow) -> std::ops::ControlFlow<()>,
    ) -> Result<()>;

    /// Lists runs before run `before`, the newest first.
    fn runs_before(
        &self,
        state: Option<RunState>,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<RunRow>>;

    /// Lists up to `limit` deliveries after delivery `after`, the oldest first; fewer if their
    /// contents reach [`MAX_PAGE_BYTES`].
    fn deliveries_after(
        &self,
        state: Option<DeliveryState>,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Vec<DeliveryRow>>;

    /// Counts the codes of each code group at `now`, and those of them that expire by `soon`. Reads
    /// the whole pool in index order, so call it seldom.
    fn pool_statistics(&self, now: Timestamp, soon: Timestamp) -> Result<PoolStatistics>;

    /// Returns every code group that ever had a code.
    fn code_groups(&self) -> Result<Vec<CodeGroup>>;

    /// Counts the available codes of a code group that expire after `from` and not after `to`.
    /// Reads at most `limit` codes; if the count equals `limit`, there may be more.
    fn count_available_between(
        &self,
        code_group: &CodeGroup,
        from: Timestamp,
        to: Timestamp,
        limit: u64,
    ) -> Result<u64>;

    /// Returns the names of the parameters of recent events of that type; `None`: of any type.
    fn event_params(&self, event_type: Option<&str>) -> Result<BTreeSet<String>>;

    /// Returns every alert that was ever raised.
    fn alerts(&self) -> Result<Vec<Alert>>;

    /// Stores an alert, replacing the previous one about the same subject, together with the
    /// notifications of its event.
    fn save_alert(&self, alert: &Alert, notifications: &[NewNotification]) -> Result<()>;

    /// Returns notifications for a webhook that may be attempted at `now`, the longest due first.
    fn due_notifications(
        &self,
        webhook: &str,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Notification>>;

    /// Begins an attempt to deliver a notification. Returns false if it must not be attempted any
    /// more.
    fn begin_notification_attempt(&self, id: NotificationId) -> Result<bool>;

    /// Ends an attempt to deliver a notification. `paused`: the party that asked for a pause, and
    /// until when.
    fn end_notification_attempt(
        &self,
        id: NotificationId,
        end: &NotificationOutcome,
        paused: Option<(ThrottledParty<'_>, Timestamp)>,
    ) -> Result<()>;

    /// Lists notifications before notification `before`, the newest first.
    fn notifications(
        &self,
        state: Option<DeliveryState>,
        before: Option<NotificationId>,
        limit: usize,
    ) -> Result<Vec<Notification>>;

    /// Returns the last claim, or 0 if there is none.
    fn last_claim(&self) -> Result<ClaimId>;

    /// Counts the claims after that one, by code group.
    fn claimed_after(&self, after: ClaimId) -> Result<ClaimCount>;

    /// Counts the claims since a time, by code group; at most the last `limit`.
    fn claimed_since(&self, since: Timestamp, limit: u64) -> Result<ClaimCountSince>;

    /// Returns the event of a run, with the trace context that it arrived with.
    fn trace_of_run(&self, run: RunId) -> Result<Option<(EventRowId, Option<TraceParent>)>>;

    /// Counts runs and deliveries. The cost grows with what is not finished yet.
    fn run_statistics(&self) -> Result<RunStatistics>;

    /// Lists uploads before that one, the newest first.
    fn uploads(&self, before: Option<UploadId>, limit: usize) -> Result<Vec<UploadRow>>;

    /// Returns one upload, with the first of its rejected rows.
    fn upload(
        &self,
        id: UploadId,
    ) -> Result<Option<(UploadRow, Vec<promoflow_model::pool::RowError>)>>;

    /// Lists up to `limit` unused codes last stated by an upload, after that code.
    fn unused_of_upload(&self, id: UploadId, after: &str, limit: usize) -> Result<Vec<String>>;

    /// Marks unfinished uploads of API keys as interrupted, because their service has died.
    fn mark_uploads_interrupted(&self, at: Timestamp) -> Result<()>;

    /// Marks an upload as interrupted if it has not ended.
    fn mark_upload_interrupted(&self, id: UploadId, at: Timestamp) -> Result<()>;

    /// Adds an API key.
    fn add_key(&self, key: &Key) -> Result<()>;

    /// Lists every API key, including revoked ones, the oldest first.
    fn keys(&self) -> Result<Vec<Key>>;

    /// Revokes an API key permanently. Returns false if there is no key with that id.
    fn revoke_key(&self, id: &str, at: Timestamp) -> Result<bool>;

    /// Returns a number that grows with every created or revoked key.
    fn key_generation(&self) -> Result<u64>;

    /// Returns the response stored under an Idempotency-Key of an API key since that time.
    fn stored_response(
        &self,
        key: &str,
        idempotency_key: &str,
        since: Timestamp,
    ) -> Result<Option<StoredResponse>>;

    /// Stores a response, and deletes those from before `since`.
    fn store_response(
        &self,
        key: &str,
        idempotency_key: &str,
        response: &StoredResponse,
        at: Timestamp,
        since: Timestamp,
    ) -> Result<()>;
}

/// An upload in progress, to which batches are added.
pub trait UploadSession {
    /// Imports a batch of rows. Returns their outcomes in order.
    fn batch(&mut self, rows: &[promoflow_model::pool::NewCode]) -> Result<Vec<RowOutcome>>;

    /// Returns the upload's number, or 0 while it has none.
    fn id(&self) -> UploadId;

    /// Returns pairs of one of these codes and a code of the pool that differs from it only in
    /// letter case, in the spellings that people use.
    fn other_spellings(&self, codes: &[String]) -> Result<Vec<(String, String)>>;

    /// Ends the upload and makes its changes durable. Dropping the session instead keeps the
    /// committed batches, or nothing if the upload is atomic.
    fn finish(self: Box<Self>, end: UploadEnd) -> Result<UploadSummary>;

    /// Ends the upload and discards it. For atomic uploads and dry runs.
    fn roll_back(self: Box<Self>) -> Result<()>;
}
