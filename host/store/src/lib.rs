//! The store: the trait through which all state is read and committed.
//!
//! It is shaped by what its callers need, not by tables: commit a batch of [`Unit`]s at once, lease
//! the next codes of a code group, import an upload, list what is due. The implementation is
//! [`sqlite`], embedded. The types in `model` are the data that callers and the store exchange.

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
    fn usable(&self) -> Result<()>;

    /// Returns the calendar of the installation; UTC unless it was set.
    fn calendar(&self) -> Result<Calendar>;

    /// Returns the identifier of this installation.
    fn installation(&self) -> Result<String>;

    /// Sets the time zone of the installation.
    fn set_calendar(&self, calendar: Calendar) -> Result<()>;

    /// Stores a message. If nothing changed, the version stays the same.
    fn put_message(&self, message: &Message, at: Timestamp) -> Result<Applied>;

    /// Returns the current version of every message, by id.
    fn messages(&self) -> Result<Vec<Message>>;

    /// Returns a message as it was in that configuration, with its version.
    fn message_at(&self, id: &str, config: ConfigId) -> Result<Option<(u32, Message)>>;

    /// Stores a block's component under its digest.
    fn put_block(&self, block: &StoredBlock) -> Result<()>;

    /// Returns the block with that digest.
    fn block(&self, digest: &str) -> Result<Option<StoredBlock>>;

    /// Stores a workflow. If nothing changed, the version stays the same.
    fn put_workflow(&self, workflow: &Workflow, at: Timestamp) -> Result<Applied>;

    /// Returns the current version of every workflow, by id.
    fn workflows(&self) -> Result<Vec<StoredWorkflow>>;

    /// Returns the version of a workflow that runs refer to by this row.
    fn workflow_version(&self, row: WorkflowRow) -> Result<Option<StoredWorkflow>>;

    /// Pauses or resumes a workflow. Returns false if there is no workflow with that id.
    fn set_workflow_state(&self, id: &str, state: WorkflowState) -> Result<bool>;

    /// Pauses a workflow automatically, for this reason, and stores the notifications of that.
    fn pause_workflow(
        &self,
        id: &str,
        reason: &str,
        notices: &[NewNotice],
        at: Timestamp,
    ) -> Result<()>;

    /// Returns the number of the current configuration. Each applied message or workflow increases
    /// it.
    fn config(&self) -> Result<ConfigId>;

    /// Begins an upload. Runs that wait for a code get one as of the time of its batch.
    fn begin_upload<'s>(
        &'s self,
        head: UploadHead,
        clock: &'s dyn Clock,
    ) -> Result<Box<dyn UploadSession + 's>>;

    /// Begins an upload that changes nothing and blocks nothing. Its outcomes are those of a real
    /// upload at that time.
    fn rehearse_upload<'s>(&'s self, clock: &'s dyn Clock) -> Result<Box<dyn UploadSession + 's>>;

    /// Adds the remaining codes of atomic uploads that were accepted and not finished, because
    /// their process died or the disk was full.
    fn finish_uploads(&self, clock: &dyn Clock) -> Result<()>;

    /// Returns the available codes of a code group after that position, in the order of claiming.
    fn free_codes(
        &self,
        lane: &Lane,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Vec<FreeCode>>;

    /// Returns the latest code of a code group that a run has claimed, if it expires at `needed` or
    /// later.
    fn held_by_run(&self, run: RunId, lane: &Lane, needed: Timestamp) -> Result<Option<HeldClaim>>;

    /// Returns the code of a code group that a contact keeps.
    fn held_by_contact(&self, contact: &str, lane: &Lane) -> Result<Option<HeldClaim>>;

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
    fn retire(&self, codes: &[String], retire: bool, clock: &dyn Clock) -> Result<Retired>;

    /// Commits all units in one durable transaction. Units are independent: a rejected unit leaves
    /// nothing behind and does not affect the others. The replies are in the order of the units. An
    /// error means that nothing was committed. The clock is read once the write lock is held,
    /// because codes may expire while waiting for it.
    fn commit(&self, units: &[Unit], clock: &dyn Clock) -> Result<Vec<Reply>>;

    /// Returns runs that may continue at `now`, the longest due first, except those for which `but`
    /// is true and those of the workflows in `left_out`. A run that cannot be read does not block
    /// the others.
    fn due_runs(
        &self,
        now: Timestamp,
        limit: usize,
        left_out: &[WorkflowRow],
        but: &dyn Fn(RunId) -> bool,
    ) -> Result<DueRuns>;

    /// Fails runs that cannot be read, each with its reason. Nothing else of them changes, so they
    /// can be retried after a repair.
    fn fail_unreadable(&self, runs: &[(RunId, String)], now: Timestamp) -> Result<()>;

    /// Returns deliveries over these channels that may be attempted at `now`, except those for
    /// which `but` is true; fewer than `limit` if their contents reach [`MOST_PAGE_BYTES`].
    /// Deliveries that were scheduled for a later time and new ones alternate, each kind ordered by
    /// due time, so that neither starves the other. `waited_first` says which kind comes first.
    fn due_deliveries(
        &self,
        kinds: &[ChannelKind],
        now: Timestamp,
        limit: usize,
        waited_first: bool,
        but: &dyn Fn(DeliveryId) -> bool,
    ) -> Result<DuePage>;

    /// Returns the latest `Retry-After` deadline that this provider or webhook sent.
    fn pause(&self, side: Side<'_>) -> Result<Option<Timestamp>>;

    /// Returns the time after `now` at which the next run or delivery is due.
    fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>>;

    /// Returns true if the runs from `first` to `last` are idle at `now`: no run may continue, and
    /// none of their deliveries is due. A delivery that is to be retried is due later.
    fn rested(&self, first: RunId, last: RunId, now: Timestamp) -> Result<bool>;

    /// Lists runs, the newest first.
    fn runs(&self, state: Option<RunState>, limit: usize) -> Result<Vec<RunRow>>;

    /// Returns one run with its steps.
    fn run(&self, id: RunId) -> Result<Option<(RunRow, Vec<StepRecord>)>>;

    /// Returns why an event would not start a workflow with that rule at `now`, as text for the
    /// author; `None` if it would.
    fn held_off(
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
    fn order_run(&self, id: RunId, order: Order, clock: &dyn Clock) -> Result<Ordered>;

    /// Applies an operator's action to a delivery.
    fn order_delivery(&self, id: DeliveryId, order: Order, clock: &dyn Clock) -> Result<Ordered>;

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
    fn change_mark(&self) -> Result<u64>;

    /// Copies the database as it is at one moment into a new file, durably, without blocking
    /// writers. Fails if the file exists.
    fn backup(&self, to: &std::path::Path) -> Result<()>;

    /// Re-derives the promises from the stored rows.
    fn audit(&self) -> Result<Vec<Audited>>;

    /// Returns when a segment of a run was committed; `None` if it was not.
    fn segment_at(&self, run: RunId, segment: u32) -> Result<Option<Timestamp>>;

    /// Returns the id and version of each workflow row, for listings.
    fn workflow_names(&self) -> Result<HashMap<WorkflowRow, (String, u32)>>;

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
    /// contents reach [`MOST_PAGE_BYTES`].
    fn deliveries_after(
        &self,
        state: Option<DeliveryState>,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Vec<DeliveryRow>>;

    /// Counts the codes of each code group at `now`, and those of them that expire by `soon`. Reads
    /// the whole pool in index order, so call it seldom.
    fn census(&self, now: Timestamp, soon: Timestamp) -> Result<Census>;

    /// Returns every code group that ever had a code.
    fn lanes(&self) -> Result<Vec<Lane>>;

    /// Counts the available codes of a code group that expire after `from` and not after `to`.
    /// Reads at most `most` codes; if the count equals `most`, there may be more.
    fn free_between(&self, lane: &Lane, from: Timestamp, to: Timestamp, most: u64) -> Result<u64>;

    /// Returns the names of the parameters of recent events of that type; `None`: of any type.
    fn event_params(&self, event_type: Option<&str>) -> Result<BTreeSet<String>>;

    /// Returns every alert that was ever raised.
    fn alerts(&self) -> Result<Vec<Alert>>;

    /// Stores an alert, replacing the previous one about the same subject, together with the
    /// notifications of its event.
    fn put_alert(&self, alert: &Alert, notices: &[NewNotice]) -> Result<()>;

    /// Returns notifications for a webhook that may be attempted at `now`, the longest due first.
    fn due_notices(&self, webhook: &str, now: Timestamp, limit: usize) -> Result<Vec<Notice>>;

    /// Begins an attempt to deliver a notification. Returns false if it must not be attempted any
    /// more.
    fn begin_notice(&self, id: NoticeId) -> Result<bool>;

    /// Ends an attempt to deliver a notification. `paused`: the party that asked for a pause, and
    /// until when.
    fn end_notice(
        &self,
        id: NoticeId,
        end: &NoticeEnd,
        paused: Option<(Side<'_>, Timestamp)>,
    ) -> Result<()>;

    /// Lists notifications before notification `before`, the newest first.
    fn notices(
        &self,
        state: Option<DeliveryState>,
        before: Option<NoticeId>,
        limit: usize,
    ) -> Result<Vec<Notice>>;

    /// Returns the last claim, or 0 if there is none.
    fn last_claim(&self) -> Result<ClaimId>;

    /// Counts the claims after that one, by code group.
    fn claimed_after(&self, after: ClaimId) -> Result<Claimed>;

    /// Counts the claims since a time, by code group; at most the last `most`.
    fn claimed_since(&self, since: Timestamp, most: u64) -> Result<ClaimedSince>;

    /// Returns the event of a run, with the trace context that it arrived with.
    fn trace_of_run(&self, run: RunId) -> Result<Option<(EventRow, Option<TraceParent>)>>;

    /// Counts runs and deliveries. The cost grows with what is not finished yet.
    fn tally(&self) -> Result<Tally>;

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
    fn end_lost_uploads(&self, at: Timestamp) -> Result<()>;

    /// Marks an upload as interrupted if it has not ended.
    fn end_lost_upload(&self, id: UploadId, at: Timestamp) -> Result<()>;

    /// Adds an API key.
    fn put_key(&self, key: &Key) -> Result<()>;

    /// Lists every API key, including revoked ones, the oldest first.
    fn keys(&self) -> Result<Vec<Key>>;

    /// Revokes an API key permanently. Returns false if there is no key with that id.
    fn revoke_key(&self, id: &str, at: Timestamp) -> Result<bool>;

    /// Returns a number that grows with every created or revoked key.
    fn key_generation(&self) -> Result<u64>;

    /// Returns the response stored under an Idempotency-Key of an API key since that time.
    fn answer(&self, key: &str, under: &str, since: Timestamp) -> Result<Option<StoredAnswer>>;

    /// Stores a response, and deletes those from before `since`.
    fn put_answer(
        &self,
        key: &str,
        under: &str,
        answer: &StoredAnswer,
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
    fn spelt_otherwise(&self, codes: &[String]) -> Result<Vec<(String, String)>>;

    /// Ends the upload and makes its changes durable. Dropping the session instead keeps the
    /// committed batches, or nothing if the upload is atomic.
    fn finish(self: Box<Self>, end: UploadEnd) -> Result<FinishedUpload>;

    /// Ends the upload and discards it. For atomic uploads and dry runs.
    fn roll_back(self: Box<Self>) -> Result<()>;
}
