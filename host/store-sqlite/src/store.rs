//! The [`Store`] implementation: each method delegates to its module.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::*;

impl Store for SqliteStore {
    fn usable(&self) -> StoreResult<()> {
        Ok(self.read(layouts::must_be_present)?)
    }

    fn calendar(&self) -> StoreResult<Calendar> {
        Ok(self.read(calendar)?)
    }

    fn installation(&self) -> StoreResult<String> {
        Ok(self.read(|connection| setting(connection, "installation"))?)
    }

    fn set_calendar(&self, calendar: Calendar) -> StoreResult<()> {
        Ok(self.write(|connection, _| {
            // The executor reloads its configuration, and units based on the old one become stale.
            raise_setting(connection, "config")?;
            set_setting(connection, "time-zone", calendar.zone().name())
        })?)
    }

    fn put_message(&self, message: &Message, at: Timestamp) -> StoreResult<Applied> {
        Ok(self.write(|connection, _| catalog::put_message(connection, message, at))?)
    }

    fn messages(&self) -> StoreResult<Vec<Message>> {
        Ok(catalog::messages(self)?)
    }

    fn message_at(&self, id: &str, config: ConfigId) -> StoreResult<Option<(u32, Message)>> {
        Ok(catalog::message_at(self, id, config)?)
    }

    fn put_block(&self, block: &StoredBlock) -> StoreResult<()> {
        Ok(self.write(|connection, _| catalog::put_block(connection, block))?)
    }

    fn block(&self, digest: &str) -> StoreResult<Option<StoredBlock>> {
        Ok(catalog::block(self, digest)?)
    }

    fn put_workflow(&self, workflow: &Workflow, at: Timestamp) -> StoreResult<Applied> {
        Ok(self.write(|connection, _| catalog::put_workflow(connection, workflow, at))?)
    }

    fn workflows(&self) -> StoreResult<Vec<StoredWorkflow>> {
        Ok(catalog::workflows(self)?)
    }

    fn workflow_version(&self, row: WorkflowRow) -> StoreResult<Option<StoredWorkflow>> {
        Ok(catalog::workflow_version(self, row)?)
    }

    fn segment_at(&self, run: RunId, segment: u32) -> StoreResult<Option<Timestamp>> {
        Ok(history::segment_at(self, run, segment)?)
    }

    fn workflow_names(&self) -> StoreResult<HashMap<WorkflowRow, (String, u32)>> {
        Ok(catalog::workflow_names(self)?)
    }

    fn set_workflow_state(&self, id: &str, state: WorkflowState) -> StoreResult<bool> {
        Ok(self.write(|connection, _| catalog::set_workflow_state(connection, id, state, None))?)
    }

    fn pause_workflow(
        &self,
        id: &str,
        reason: &str,
        notices: &[NewNotice],
        at: Timestamp,
    ) -> StoreResult<()> {
        Ok(self.write(|connection, _| {
            for notice in notices {
                notices::put(connection, notice, at)?;
            }
            catalog::set_workflow_state(connection, id, WorkflowState::Paused, Some(reason))?;
            Ok(())
        })?)
    }

    fn config(&self) -> StoreResult<ConfigId> {
        Ok(self.read(|connection| number_setting(connection, "config").map(ConfigId))?)
    }

    fn begin_upload<'s>(
        &'s self,
        head: UploadHead,
        clock: &'s dyn Clock,
    ) -> StoreResult<Box<dyn UploadSession + 's>> {
        Ok(upload::begin(self, head, clock)?)
    }

    fn rehearse_upload<'s>(
        &'s self,
        clock: &'s dyn Clock,
    ) -> StoreResult<Box<dyn UploadSession + 's>> {
        Ok(Box::new(rehearsal::Rehearsal::begin(self, clock)?))
    }

    fn finish_uploads(&self, clock: &dyn Clock) -> StoreResult<()> {
        Ok(upload::finish_decided(self, clock)?)
    }

    fn free_codes(
        &self,
        lane: &Lane,
        after: Option<Position>,
        limit: usize,
    ) -> StoreResult<Vec<FreeCode>> {
        Ok(self.read(|connection| codes::free_codes(connection, lane, after, limit))?)
    }

    fn held_by_run(
        &self,
        run: RunId,
        lane: &Lane,
        needed: Timestamp,
    ) -> StoreResult<Option<HeldClaim>> {
        Ok(self.read(|connection| reuse::by_run(connection, run, lane, needed))?)
    }

    fn held_by_contact(&self, contact: &str, lane: &Lane) -> StoreResult<Option<HeldClaim>> {
        Ok(self.read(|connection| reuse::by_contact(connection, contact, lane))?)
    }

    fn pool_generation(&self) -> StoreResult<u64> {
        Ok(self.read(|connection| {
            number_setting(connection, "pool-generation").map(i64::unsigned_abs)
        })?)
    }

    fn pool_changes(&self) -> u64 {
        self.pool_changes.load(Ordering::SeqCst)
    }

    fn codes(
        &self,
        filter: &Filter,
        now: Timestamp,
        visit: &mut dyn FnMut(CodeRow) -> ControlFlow<()>,
    ) -> StoreResult<()> {
        Ok(codes::list(self, filter, None, now, visit)?)
    }

    fn codes_after(
        &self,
        filter: &Filter,
        after: Option<&str>,
        now: Timestamp,
        visit: &mut dyn FnMut(CodeRow) -> ControlFlow<()>,
    ) -> StoreResult<()> {
        Ok(codes::list(self, filter, after, now, visit)?)
    }

    fn code(&self, code: &str) -> StoreResult<Option<(CodeRow, Vec<DeliveryId>)>> {
        Ok(codes::one(self, code)?)
    }

    fn count_codes(&self, filter: &Filter, now: Timestamp) -> StoreResult<PoolCount> {
        Ok(codes::count(self, filter, now)?)
    }

    fn retire(&self, codes: &[String], retire: bool, clock: &dyn Clock) -> StoreResult<Retired> {
        Ok(self.write_pool(|connection, _| codes::retire(connection, codes, retire, clock.now()))?)
    }

    fn commit(&self, units: &[Unit], clock: &dyn Clock) -> StoreResult<Vec<Reply>> {
        let commit = |units: &[Unit]| {
            self.write(|connection, lanes| {
                let done = commit::commit(connection, lanes, units, clock.now())?;
                failpoint::pass(Failpoint::InsideCommit);
                Ok(done)
            })
            .map(|(replies, released)| {
                if released {
                    self.pool_changed();
                }
                replies
            })
        };
        Ok(match commit(units) {
            Err(
                error @ Error(
                    StoreError::Engine(_) | StoreError::Disk(_) | StoreError::Damaged { .. },
                ),
            ) if units.len() > 1 => {
                // One of the units cannot be committed, for whatever reason; committed
                // individually, only that one fails. A failing disk may serve the units before it
                // fails again.
                tracing::warn!("the batch failed and is committed unit by unit: {error}");
                one_by_one(units, commit)
            }
            other => other,
        }?)
    }

    fn due_runs(
        &self,
        now: Timestamp,
        limit: usize,
        left_out: &[WorkflowRow],
        but: &dyn Fn(RunId) -> bool,
    ) -> StoreResult<DueRuns> {
        Ok(self.read(|connection| due_runs::page(connection, now, limit, left_out, but))?)
    }

    fn fail_unreadable(&self, runs: &[(RunId, String)], now: Timestamp) -> StoreResult<()> {
        Ok(self.write(|connection, _| {
            let mut runs = runs.iter();
            runs.try_for_each(|(run, why)| due_runs::fail_unreadable(connection, *run, why, now))
        })?)
    }

    fn due_deliveries(
        &self,
        kinds: &[ChannelKind],
        now: Timestamp,
        limit: usize,
        waited_first: bool,
        but: &dyn Fn(DeliveryId) -> bool,
    ) -> StoreResult<DuePage> {
        Ok(self.read(|connection| due::page(connection, kinds, now, limit, waited_first, but))?)
    }

    fn pause(&self, side: Side<'_>) -> StoreResult<Option<Timestamp>> {
        Ok(self.read(|connection| pauses::of(connection, side))?)
    }

    fn next_due(&self, now: Timestamp) -> StoreResult<Option<Timestamp>> {
        Ok(self.read(|connection| history::next_due(connection, now))?)
    }

    fn rested(&self, first: RunId, last: RunId, now: Timestamp) -> StoreResult<bool> {
        Ok(self.read(|connection| history::rested(connection, first, last, now))?)
    }

    fn runs(&self, state: Option<RunState>, limit: usize) -> StoreResult<Vec<RunRow>> {
        Ok(history::list(self, state, None, limit)?)
    }

    fn runs_before(
        &self,
        state: Option<RunState>,
        before: Option<RunId>,
        limit: usize,
    ) -> StoreResult<Vec<RunRow>> {
        Ok(history::list(self, state, before, limit)?)
    }

    fn run(&self, id: RunId) -> StoreResult<Option<(RunRow, Vec<StepRecord>)>> {
        Ok(history::one(self, id)?)
    }

    fn held_off(
        &self,
        event: &Event,
        rule: &StartRule,
        now: Timestamp,
    ) -> StoreResult<Option<&'static str>> {
        Ok(self.read(|connection| starts::held_off(connection, event, rule, now))?)
    }

    fn reply(&self, run: RunId, request: &str, reply: &str) -> StoreResult<bool> {
        Ok(self.write(|connection, _| waiters::reply(connection, run, request, reply))?)
    }

    fn order_run(&self, id: RunId, order: Order, clock: &dyn Clock) -> StoreResult<Ordered> {
        Ok(self.write_pool(|connection, _| orders::run(connection, id, order, clock.now()))?)
    }

    fn order_delivery(
        &self,
        id: DeliveryId,
        order: Order,
        clock: &dyn Clock,
    ) -> StoreResult<Ordered> {
        Ok(self.write_pool(|connection, _| orders::delivery(connection, id, order, clock.now()))?)
    }

    fn deliveries(
        &self,
        state: Option<DeliveryState>,
        visit: &mut dyn FnMut(DeliveryRow) -> ControlFlow<()>,
    ) -> StoreResult<()> {
        Ok(deliveries::list(self, state, None, visit)?)
    }

    fn deliveries_after(
        &self,
        state: Option<DeliveryState>,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> StoreResult<Vec<DeliveryRow>> {
        let mut rows = Vec::new();
        let mut bytes = 0;
        if limit == 0 {
            return Ok(rows);
        }
        deliveries::list(self, state, after, &mut |row| {
            bytes += row.size();
            rows.push(row);
            match rows.len() < limit && bytes < MOST_PAGE_BYTES {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        })?;
        Ok(rows)
    }

    fn delivery(&self, id: DeliveryId) -> StoreResult<Option<DeliveryRow>> {
        Ok(deliveries::one(self, id)?)
    }

    fn delivery_history(&self, id: DeliveryId) -> StoreResult<Option<DeliveryHistory>> {
        Ok(self.read(|connection| alternatives::history(connection, id))?)
    }

    fn change_mark(&self) -> StoreResult<u64> {
        let watcher = lock(&self.watcher);
        let mark: i64 = watcher
            .prepare_cached("PRAGMA data_version")
            .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
            .map_err(Error::from)?;
        Ok(mark.unsigned_abs())
    }

    fn backup(&self, to: &Path) -> StoreResult<()> {
        Ok(backup::write(self, to)?)
    }

    fn audit(&self) -> StoreResult<Vec<Audited>> {
        Ok(self.read(audit::audit)?)
    }

    fn census(&self, now: Timestamp, soon: Timestamp) -> StoreResult<Census> {
        Ok(self.read(|connection| census::count(connection, now, soon))?)
    }

    fn event_params(&self, event_type: Option<&str>) -> StoreResult<BTreeSet<String>> {
        Ok(self.read(|connection| event_params::names(connection, event_type))?)
    }

    fn lanes(&self) -> StoreResult<Vec<Lane>> {
        Ok(self.read(alerts::lanes)?)
    }

    fn free_between(
        &self,
        lane: &Lane,
        from: Timestamp,
        to: Timestamp,
        most: u64,
    ) -> StoreResult<u64> {
        Ok(self.read(|connection| alerts::free_between(connection, lane, from, to, most))?)
    }

    fn alerts(&self) -> StoreResult<Vec<Alert>> {
        Ok(self.read(alerts::all)?)
    }

    fn put_alert(&self, alert: &Alert, notices: &[NewNotice]) -> StoreResult<()> {
        Ok(self.write(|connection, _| {
            for notice in notices {
                notices::put(connection, notice, alert.at)?;
            }
            alerts::put(connection, alert)
        })?)
    }

    fn due_notices(&self, webhook: &str, now: Timestamp, limit: usize) -> StoreResult<Vec<Notice>> {
        Ok(self.read(|connection| notices::due(connection, webhook, now, limit))?)
    }

    fn begin_notice(&self, id: NoticeId) -> StoreResult<bool> {
        Ok(self.write(|connection, _| notices::begin(connection, id))?)
    }

    fn end_notice(
        &self,
        id: NoticeId,
        end: &NoticeEnd,
        paused: Option<(Side<'_>, Timestamp)>,
    ) -> StoreResult<()> {
        Ok(self.write(|connection, _| {
            if let Some((side, until)) = paused {
                pauses::put(connection, side, until)?;
            }
            notices::end(connection, id, end)
        })?)
    }

    fn notices(
        &self,
        state: Option<DeliveryState>,
        before: Option<NoticeId>,
        limit: usize,
    ) -> StoreResult<Vec<Notice>> {
        Ok(self.read(|connection| notices::list(connection, state, before, limit))?)
    }

    fn last_claim(&self) -> StoreResult<ClaimId> {
        Ok(self.read(census::last_claim)?)
    }

    fn claimed_after(&self, after: ClaimId) -> StoreResult<Claimed> {
        Ok(self.read(|connection| census::claimed_after(connection, after))?)
    }

    fn claimed_since(&self, since: Timestamp, most: u64) -> StoreResult<ClaimedSince> {
        Ok(self.read(|connection| census::claimed_since(connection, since, most))?)
    }

    fn trace_of_run(&self, run: RunId) -> StoreResult<Option<(EventRow, Option<TraceParent>)>> {
        Ok(self.read(|connection| traces::of_run(connection, run))?)
    }

    fn tally(&self) -> StoreResult<Tally> {
        Ok(self.read(census::tally)?)
    }

    fn uploads(&self, before: Option<UploadId>, limit: usize) -> StoreResult<Vec<UploadRow>> {
        Ok(self.read(|connection| uploads::list(connection, before, limit))?)
    }

    fn upload(
        &self,
        id: UploadId,
    ) -> StoreResult<Option<(UploadRow, Vec<promoflow_model::pool::RowError>)>> {
        Ok(self.read(|connection| uploads::one(connection, id))?)
    }

    fn unused_of_upload(
        &self,
        id: UploadId,
        after: &str,
        limit: usize,
    ) -> StoreResult<Vec<String>> {
        Ok(self.read(|connection| uploads::unused(connection, id, after, limit))?)
    }

    fn end_lost_uploads(&self, at: Timestamp) -> StoreResult<()> {
        Ok(self.write(|connection, _| {
            upload::forget_lost(connection, at)?;
            uploads::end_lost(connection, at)
        })?)
    }

    fn end_lost_upload(&self, id: UploadId, at: Timestamp) -> StoreResult<()> {
        Ok(self.write(|connection, _| uploads::end_lost_one(connection, id, at))?)
    }

    fn put_key(&self, key: &Key) -> StoreResult<()> {
        Ok(self.write(|connection, _| keys::put(connection, key))?)
    }

    fn keys(&self) -> StoreResult<Vec<Key>> {
        Ok(self.read(keys::all)?)
    }

    fn revoke_key(&self, id: &str, at: Timestamp) -> StoreResult<bool> {
        Ok(self.write(|connection, _| keys::revoke(connection, id, at))?)
    }

    fn key_generation(&self) -> StoreResult<u64> {
        Ok(self.read(|connection| {
            number_setting(connection, "key-generation").map(i64::unsigned_abs)
        })?)
    }

    fn answer(
        &self,
        key: &str,
        under: &str,
        since: Timestamp,
    ) -> StoreResult<Option<StoredAnswer>> {
        Ok(self.read(|connection| answers::find(connection, key, under, since))?)
    }

    fn put_answer(
        &self,
        key: &str,
        under: &str,
        answer: &StoredAnswer,
        at: Timestamp,
        since: Timestamp,
    ) -> StoreResult<()> {
        Ok(self.write(|connection, _| answers::put(connection, key, under, answer, at, since))?)
    }
}
