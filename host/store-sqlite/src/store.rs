//! The [`Store`] implementation: each method delegates to its module.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::*;

impl Store for SqliteStore {
    fn check_schema(&self) -> StoreResult<()> {
        Ok(self.read(|connection| SCHEMA.check_version(connection))?)
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
            raise_setting(connection, "config-version")?;
            set_setting(connection, "time-zone", calendar.zone().name())
        })?)
    }

    fn save_message(&self, message: &Message, at: Timestamp) -> StoreResult<Applied> {
        Ok(self.write(|connection, _| catalog::save_message(connection, message, at))?)
    }

    fn messages(&self) -> StoreResult<Vec<Message>> {
        Ok(catalog::messages(self)?)
    }

    fn message_at(&self, id: &str, config: ConfigVersion) -> StoreResult<Option<(u32, Message)>> {
        Ok(catalog::message_at(self, id, config)?)
    }

    fn save_block(&self, block: &StoredBlock) -> StoreResult<()> {
        Ok(self.write(|connection, _| catalog::save_block(connection, block))?)
    }

    fn block(&self, digest: &str) -> StoreResult<Option<StoredBlock>> {
        Ok(catalog::block(self, digest)?)
    }

    fn save_workflow(&self, workflow: &Workflow, at: Timestamp) -> StoreResult<Applied> {
        Ok(self.write(|connection, _| catalog::save_workflow(connection, workflow, at))?)
    }

    fn workflows(&self) -> StoreResult<Vec<StoredWorkflow>> {
        Ok(catalog::workflows(self)?)
    }

    fn workflow_version(&self, row: WorkflowVersionId) -> StoreResult<Option<StoredWorkflow>> {
        Ok(catalog::workflow_version(self, row)?)
    }

    fn segment_at(&self, run: RunId, segment: u32) -> StoreResult<Option<Timestamp>> {
        Ok(runs::segment_at(self, run, segment)?)
    }

    fn workflow_names(&self) -> StoreResult<HashMap<WorkflowVersionId, (String, u32)>> {
        Ok(catalog::workflow_names(self)?)
    }

    fn set_workflow_state(&self, id: &str, state: WorkflowState) -> StoreResult<bool> {
        Ok(self.write(|connection, _| catalog::set_workflow_state(connection, id, state, None))?)
    }

    fn pause_workflow(
        &self,
        id: &str,
        reason: &str,
        notifications: &[NewNotification],
        at: Timestamp,
    ) -> StoreResult<()> {
        Ok(self.write(|connection, _| {
            for notification in notifications {
                notifications::put(connection, notification, at)?;
            }
            catalog::set_workflow_state(connection, id, WorkflowState::Paused, Some(reason))?;
            Ok(())
        })?)
    }

    fn config(&self) -> StoreResult<ConfigVersion> {
        Ok(self
            .read(|connection| number_setting(connection, "config-version").map(ConfigVersion))?)
    }

    fn begin_upload<'s>(
        &'s self,
        head: UploadHead,
        clock: &'s dyn Clock,
    ) -> StoreResult<Box<dyn UploadSession + 's>> {
        Ok(upload::begin(self, head, clock)?)
    }

    fn begin_dry_run<'s>(
        &'s self,
        clock: &'s dyn Clock,
    ) -> StoreResult<Box<dyn UploadSession + 's>> {
        Ok(Box::new(dry_run::DryRun::begin(self, clock)?))
    }

    fn finish_uploads(&self, clock: &dyn Clock) -> StoreResult<()> {
        Ok(upload::finish_accepted(self, clock)?)
    }

    fn available_codes(
        &self,
        code_group: &CodeGroup,
        after: Option<Position>,
        limit: usize,
    ) -> StoreResult<Vec<AvailableCode>> {
        Ok(self.read(|connection| codes::available_codes(connection, code_group, after, limit))?)
    }

    fn claim_of_run(
        &self,
        run: RunId,
        code_group: &CodeGroup,
        needed: Timestamp,
    ) -> StoreResult<Option<ReusableClaim>> {
        Ok(self.read(|connection| reuse::by_run(connection, run, code_group, needed))?)
    }

    fn claim_kept_by_contact(
        &self,
        contact: &str,
        code_group: &CodeGroup,
    ) -> StoreResult<Option<ReusableClaim>> {
        Ok(self.read(|connection| reuse::by_contact(connection, contact, code_group))?)
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
        Ok(codes::find_code(self, code)?)
    }

    fn count_codes(&self, filter: &Filter, now: Timestamp) -> StoreResult<PoolCount> {
        Ok(codes::count(self, filter, now)?)
    }

    fn retire(
        &self,
        codes: &[String],
        retire: bool,
        clock: &dyn Clock,
    ) -> StoreResult<RetireResult> {
        Ok(self.write_pool(|connection, _| codes::retire(connection, codes, retire, clock.now()))?)
    }

    fn commit(&self, units: &[CommitUnit], clock: &dyn Clock) -> StoreResult<Vec<CommitReply>> {
        let commit = |units: &[CommitUnit]| {
            self.write(|connection, code_groups| {
                let done = commit::commit(connection, code_groups, units, clock.now())?;
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
                commit_individually(units, commit)
            }
            other => other,
        }?)
    }

    fn due_runs(
        &self,
        now: Timestamp,
        limit: usize,
        excluded_workflows: &[WorkflowVersionId],
        is_excluded: &dyn Fn(RunId) -> bool,
    ) -> StoreResult<DueRuns> {
        Ok(self.read(|connection| {
            due_runs::page(connection, now, limit, excluded_workflows, is_excluded)
        })?)
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
        scheduled_first: bool,
        is_excluded: &dyn Fn(DeliveryId) -> bool,
    ) -> StoreResult<DuePage> {
        Ok(self.read(|connection| {
            due_deliveries::page(connection, kinds, now, limit, scheduled_first, is_excluded)
        })?)
    }

    fn throttled_until(&self, party: ThrottledParty<'_>) -> StoreResult<Option<Timestamp>> {
        Ok(self.read(|connection| throttles::of(connection, party))?)
    }

    fn next_due(&self, now: Timestamp) -> StoreResult<Option<Timestamp>> {
        Ok(self.read(|connection| runs::next_due(connection, now))?)
    }

    fn are_idle(&self, first: RunId, last: RunId, now: Timestamp) -> StoreResult<bool> {
        Ok(self.read(|connection| runs::are_idle(connection, first, last, now))?)
    }

    fn runs(&self, state: Option<RunState>, limit: usize) -> StoreResult<Vec<RunRow>> {
        Ok(runs::list(self, state, None, limit)?)
    }

    fn runs_before(
        &self,
        state: Option<RunState>,
        before: Option<RunId>,
        limit: usize,
    ) -> StoreResult<Vec<RunRow>> {
        Ok(runs::list(self, state, before, limit)?)
    }

    fn run(&self, id: RunId) -> StoreResult<Option<(RunRow, Vec<StepRecord>)>> {
        Ok(runs::find_run(self, id)?)
    }

    fn start_blocked_by(
        &self,
        event: &Event,
        rule: &StartRule,
        now: Timestamp,
    ) -> StoreResult<Option<&'static str>> {
        Ok(self.read(|connection| start_rules::start_blocked_by(connection, event, rule, now))?)
    }

    fn reply(&self, run: RunId, request: &str, reply: &str) -> StoreResult<bool> {
        Ok(self.write(|connection, _| waiting_runs::reply(connection, run, request, reply))?)
    }

    fn apply_run_action(
        &self,
        id: RunId,
        action: Action,
        clock: &dyn Clock,
    ) -> StoreResult<ActionResult> {
        Ok(self.write_pool(|connection, _| {
            actions::apply_to_run(connection, id, action, clock.now())
        })?)
    }

    fn apply_delivery_action(
        &self,
        id: DeliveryId,
        action: Action,
        clock: &dyn Clock,
    ) -> StoreResult<ActionResult> {
        Ok(self.write_pool(|connection, _| {
            actions::apply_to_delivery(connection, id, action, clock.now())
        })?)
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
            match rows.len() < limit && bytes < MAX_PAGE_BYTES {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        })?;
        Ok(rows)
    }

    fn delivery(&self, id: DeliveryId) -> StoreResult<Option<DeliveryRow>> {
        Ok(deliveries::find_delivery(self, id)?)
    }

    fn delivery_history(&self, id: DeliveryId) -> StoreResult<Option<DeliveryHistory>> {
        Ok(self.read(|connection| alternatives::load_history(connection, id))?)
    }

    fn data_version(&self) -> StoreResult<u64> {
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

    fn audit(&self) -> StoreResult<Vec<PromiseReport>> {
        Ok(self.read(audit::audit)?)
    }

    fn pool_statistics(&self, now: Timestamp, soon: Timestamp) -> StoreResult<PoolStatistics> {
        Ok(self.read(|connection| statistics::count(connection, now, soon))?)
    }

    fn event_params(&self, event_type: Option<&str>) -> StoreResult<BTreeSet<String>> {
        Ok(self.read(|connection| event_params::names(connection, event_type))?)
    }

    fn code_groups(&self) -> StoreResult<Vec<CodeGroup>> {
        Ok(self.read(alerts::code_groups)?)
    }

    fn count_available_between(
        &self,
        code_group: &CodeGroup,
        from: Timestamp,
        to: Timestamp,
        limit: u64,
    ) -> StoreResult<u64> {
        Ok(self.read(|connection| {
            alerts::count_available_between(connection, code_group, from, to, limit)
        })?)
    }

    fn alerts(&self) -> StoreResult<Vec<Alert>> {
        Ok(self.read(alerts::load_all)?)
    }

    fn save_alert(&self, alert: &Alert, notifications: &[NewNotification]) -> StoreResult<()> {
        Ok(self.write(|connection, _| {
            for notification in notifications {
                notifications::put(connection, notification, alert.at)?;
            }
            alerts::put(connection, alert)
        })?)
    }

    fn due_notifications(
        &self,
        webhook: &str,
        now: Timestamp,
        limit: usize,
    ) -> StoreResult<Vec<Notification>> {
        Ok(self.read(|connection| notifications::due(connection, webhook, now, limit))?)
    }

    fn begin_notification_attempt(&self, id: NotificationId) -> StoreResult<bool> {
        Ok(self.write(|connection, _| notifications::begin(connection, id))?)
    }

    fn end_notification_attempt(
        &self,
        id: NotificationId,
        end: &NotificationOutcome,
        paused: Option<(ThrottledParty<'_>, Timestamp)>,
    ) -> StoreResult<()> {
        Ok(self.write(|connection, _| {
            if let Some((party, until)) = paused {
                throttles::put(connection, party, until)?;
            }
            notifications::end(connection, id, end)
        })?)
    }

    fn notifications(
        &self,
        state: Option<DeliveryState>,
        before: Option<NotificationId>,
        limit: usize,
    ) -> StoreResult<Vec<Notification>> {
        Ok(self.read(|connection| notifications::list(connection, state, before, limit))?)
    }

    fn last_claim(&self) -> StoreResult<ClaimId> {
        Ok(self.read(statistics::last_claim)?)
    }

    fn claimed_after(&self, after: ClaimId) -> StoreResult<ClaimCount> {
        Ok(self.read(|connection| statistics::claimed_after(connection, after))?)
    }

    fn claimed_since(&self, since: Timestamp, limit: u64) -> StoreResult<ClaimCountSince> {
        Ok(self.read(|connection| statistics::claimed_since(connection, since, limit))?)
    }

    fn trace_of_run(&self, run: RunId) -> StoreResult<Option<(EventRowId, Option<TraceParent>)>> {
        Ok(self.read(|connection| traces::of_run(connection, run))?)
    }

    fn run_statistics(&self) -> StoreResult<RunStatistics> {
        Ok(self.read(statistics::run_statistics)?)
    }

    fn uploads(&self, before: Option<UploadId>, limit: usize) -> StoreResult<Vec<UploadRow>> {
        Ok(self.read(|connection| upload_history::list(connection, before, limit))?)
    }

    fn upload(
        &self,
        id: UploadId,
    ) -> StoreResult<Option<(UploadRow, Vec<promoflow_model::pool::RowError>)>> {
        Ok(self.read(|connection| upload_history::find_upload(connection, id))?)
    }

    fn unused_of_upload(
        &self,
        id: UploadId,
        after: &str,
        limit: usize,
    ) -> StoreResult<Vec<String>> {
        Ok(self.read(|connection| upload_history::unused(connection, id, after, limit))?)
    }

    fn mark_uploads_interrupted(&self, at: Timestamp) -> StoreResult<()> {
        Ok(self.write(|connection, _| {
            upload::delete_abandoned_slices(connection, at)?;
            upload_history::mark_all_interrupted(connection, at)
        })?)
    }

    fn mark_upload_interrupted(&self, id: UploadId, at: Timestamp) -> StoreResult<()> {
        Ok(self.write(|connection, _| upload_history::mark_interrupted(connection, id, at))?)
    }

    fn add_key(&self, key: &Key) -> StoreResult<()> {
        Ok(self.write(|connection, _| keys::put(connection, key))?)
    }

    fn keys(&self) -> StoreResult<Vec<Key>> {
        Ok(self.read(keys::load_all)?)
    }

    fn revoke_key(&self, id: &str, at: Timestamp) -> StoreResult<bool> {
        Ok(self.write(|connection, _| keys::revoke(connection, id, at))?)
    }

    fn key_generation(&self) -> StoreResult<u64> {
        Ok(self.read(|connection| {
            number_setting(connection, "key-generation").map(i64::unsigned_abs)
        })?)
    }

    fn stored_response(
        &self,
        key: &str,
        idempotency_key: &str,
        since: Timestamp,
    ) -> StoreResult<Option<StoredResponse>> {
        Ok(self.read(|connection| idempotency::find(connection, key, idempotency_key, since))?)
    }

    fn store_response(
        &self,
        key: &str,
        idempotency_key: &str,
        response: &StoredResponse,
        at: Timestamp,
        since: Timestamp,
    ) -> StoreResult<()> {
        Ok(self.write(|connection, _| {
            idempotency::put(connection, key, idempotency_key, response, at, since)
        })?)
    }
}
