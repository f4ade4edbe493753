//! The alert monitor: evaluates the alert rules, in the process that is the executor.
//!
//! Every second, and once more before the process ends, it evaluates the code groups that were
//! claimed from. Every minute, after a change of the pool or on request, it evaluates all groups.
//! It reads no more codes of a group than the thresholds require.
//!
//! A raised alert is stored before its event is sent, and the event's id comes from the stored
//! alert. If the process dies in between, the next one sends the event, which is accepted once. The
//! webhook notifications are stored together with the mark that the event was accepted.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::engine::{Shared, SubmitError};
use super::wakeup::Wakeup;
use super::worker::Task;
use crate::run::claim_rates::ClaimRates;
use crate::sync::lock;
use promoflow_model::alert;
use promoflow_model::alert::{Alert, Kind, Level, Rule, Rules, Subject, event_params};
use promoflow_model::clock::Timestamp;
use promoflow_model::event::Event;
use promoflow_model::pool::CodeGroup;
use promoflow_store::{ClaimMark, NewNotification, Result, Store};

/// Maximum time to wait for an evaluation of all code groups.
const MAX_EVALUATION: Duration = Duration::from_secs(60);
/// Interval between two checks of the latest claims.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Number of claims before its start that the monitor checks: the process that made them may have
/// died before it evaluated them.
const LOOKBACK_CLAIMS: u64 = 256;
/// Lifetime of cached rates, as a multiple of the time that reading them took.
const RATE_CACHE_FACTOR: u32 = 50;
/// Interval between two evaluations of all code groups: codes expire and rates change without
/// claims.
const FULL_INTERVAL: Duration = Duration::from_secs(60);

/// The state of a process's alert monitor.
pub(super) struct AlertMonitor {
    rules: Rules,
    installation: String,
    /// The place in the history of claims up to which they were checked; `None` to begin with the
    /// latest ones.
    mark: Option<ClaimMark>,
    /// The stored alerts; `None` if they are to be read.
    alerts: Option<HashMap<Subject, Alert>>,
    /// True if another process has changed an alert since they were read.
    is_outdated: bool,
    /// The pool's generation at the last full evaluation, and the time of the next one.
    generation: Option<u64>,
    next_full_evaluation: Instant,
    /// The cached rates and the time until which they are used.
    rates: Option<(Instant, ClaimRates)>,
}

/// Signals to the alert monitor: end, or evaluate now.
#[derive(Default)]
pub(super) struct MonitorControl {
    ending: AtomicBool,
    wakeup: Wakeup,
    /// Number of requests to evaluate all code groups.
    asked: AtomicU64,
    /// The last request that was completed.
    answered: Mutex<u64>,
    answer: Condvar,
}

impl MonitorControl {
    /// Makes the monitor check once more and end.
    pub(super) fn end(&self) {
        self.ending.store(true, Ordering::SeqCst);
        self.wakeup.notify();
    }

    /// Requests an evaluation of all code groups and waits until it is done.
    pub(super) fn evaluate_now(&self) {
        let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        self.wakeup.notify();
        let waited =
            self.answer
                .wait_timeout_while(lock(&self.answered), MAX_EVALUATION, |answered| {
                    *answered < number && !self.ending.load(Ordering::SeqCst)
                });
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn complete(&self, number: u64) {
        *lock(&self.answered) = number;
        self.answer.notify_all();
    }
}

impl AlertMonitor {
    /// Creates a monitor that starts with the latest claims.
    pub(super) fn new(shared: &Shared) -> Result<AlertMonitor> {
        let store = &shared.parts.store;
        Ok(AlertMonitor {
            rules: shared.parts.alerts.clone(),
            installation: store.installation()?,
            mark: None,
            alerts: None,
            is_outdated: false,
            generation: None,
            // A short-lived process makes no full evaluation.
            next_full_evaluation: Instant::now() + POLL_INTERVAL,
            rates: None,
        })
    }

    /// Evaluates the rules until the end is signalled.
    pub(super) fn run(mut self, shared: &Arc<Shared>) {
        let end = &shared.monitor_control;
        let mut seen = 0;
        loop {
            let last = end.ending.load(Ordering::SeqCst);
            let asked = end.asked.load(Ordering::SeqCst);
            if asked > *lock(&end.answered) {
                self.next_full_evaluation = Instant::now();
            }
            if shared.executes.load(Ordering::SeqCst)
                && let Err(error) = self.evaluate(shared, last)
            {
                tracing::error!("cannot evaluate the alert rules: {error}");
            }
            end.complete(asked);
            if last {
                return;
            }
            end.wakeup.wait(&mut seen, POLL_INTERVAL);
        }
    }

    fn evaluate(&mut self, shared: &Arc<Shared>, last: bool) -> Result<()> {
        let store = &shared.parts.store;
        let (mut alerts, first) = match self.alerts.take() {
            Some(alerts) => (alerts, false),
            None => {
                self.mark = None;
                let stored = store.alerts()?.into_iter();
                let mut alerts = stored.map(|one| (one.subject.clone(), one)).collect();
                self.clear_removed(shared, &mut alerts)?;
                (alerts, true)
            }
        };
        let judged = (|| {
            let mut code_groups = self.claimed_groups(&**store)?;
            if !last {
                let generation = Some(store.pool_generation()?);
                if (self.generation != generation && !first)
                    || Instant::now() >= self.next_full_evaluation
                {
                    self.generation = generation;
                    self.next_full_evaluation = Instant::now() + FULL_INTERVAL;
                    code_groups = store.code_groups()?;
                }
            }
            for code_group in code_groups {
                self.evaluate_group(shared, &code_group, &mut alerts)?;
            }
            Ok(())
        })();
        let pending = alerts.values().filter(|alert| !alert.notified);
        for alert in pending.cloned().collect::<Vec<_>>() {
            self.send_event(shared, alert, &mut alerts)?;
        }
        if !std::mem::take(&mut self.is_outdated) {
            self.alerts = Some(alerts);
        }
        judged
    }

    /// Stores an alert in place of the one that was read. Returns false if another process has
    /// changed that one; the alerts are then read again before the next evaluation.
    fn save(
        &mut self,
        shared: &Shared,
        alert: Alert,
        notifications: &[NewNotification],
        alerts: &mut HashMap<Subject, Alert>,
    ) -> Result<bool> {
        let previous = alerts.get(&alert.subject);
        let stored = shared
            .parts
            .store
            .save_alert(&alert, previous, notifications)?;
        if stored {
            alerts.insert(alert.subject.clone(), alert);
        } else {
            self.is_outdated = true;
        }
        Ok(stored)
    }

    /// Returns the code groups that were claimed from since the last call. Without a mark, returns
    /// those of the latest claims; the next full evaluation covers earlier ones.
    fn claimed_groups(&mut self, store: &dyn Store) -> Result<Vec<CodeGroup>> {
        let (code_groups, mark) = match &self.mark {
            Some(mark) => {
                let claimed = store.claimed_after(mark)?;
                (claimed.code_groups, claimed.mark)
            }
            None => {
                let mark = store.claim_mark()?;
                let latest = store.claimed_since(Timestamp(i64::MIN), LOOKBACK_CLAIMS)?;
                (latest.code_groups, mark)
            }
        };
        self.mark = Some(mark);
        Ok(code_groups.into_keys().collect())
    }

    /// Clears alerts whose rule was removed. If the rule is added again, its alert is raised again.
    fn clear_removed(
        &mut self,
        shared: &Shared,
        alerts: &mut HashMap<Subject, Alert>,
    ) -> Result<()> {
        let gone = alerts
            .values()
            .filter(|one| one.raised && self.rules.rule_for(&one.subject).is_none());
        for alert in gone.cloned().collect::<Vec<_>>() {
            let cleared = Alert {
                raised: false,
                notified: true,
                at: shared.parts.clock.now(),
                ..alert
            };
            self.save(shared, cleared, &[], alerts)?;
        }
        Ok(())
    }

    fn evaluate_group(
        &mut self,
        shared: &Shared,
        code_group: &CodeGroup,
        alerts: &mut HashMap<Subject, Alert>,
    ) -> Result<()> {
        let store = &shared.parts.store;
        let rules: Vec<Rule> = self.rules.of(code_group).cloned().collect();
        for rule in rules {
            let now = shared.parts.clock.now();
            let claims_per_day = match rule.kind {
                Kind::Exhaustion => self.claims_per_day(shared, code_group, now)?,
                Kind::Available | Kind::Expiring => 0.0,
            };
            let until = match rule.kind {
                Kind::Expiring => {
                    let calendar = shared.context.calendar();
                    calendar
                        .expiry_needed(now, rule.within_days)
                        .plus_millis(-1)
                }
                Kind::Available | Kind::Exhaustion => Timestamp::NEVER,
            };
            let thresholds = Level::ALL.map(|level| (level, rule.codes_at(level, claims_per_day)));
            let enough = thresholds.iter().map(|(_, codes)| rule.count_limit(*codes));
            let enough = enough.max().unwrap_or(0);
            let counted = store.count_available_between(code_group, now, until, enough)?;
            for (level, codes) in thresholds {
                let subject = Subject {
                    kind: rule.kind,
                    code_group: code_group.clone(),
                    level,
                };
                let known = alerts.get(&subject);
                let before = known.is_some_and(|alert| alert.raised);
                let raised = rule.is_raised(codes, counted, before);
                if raised == before {
                    continue;
                }
                // A code group that was used up long before it was monitored raises no alert.
                let old = raised && known.is_none() && counted == 0 && rule.kind == Kind::Available;
                let silent = old && self.claims_per_day(shared, code_group, now)? == 0.0;
                let crossing = known.map_or(0, |alert| alert.sequence);
                #[allow(clippy::cast_precision_loss, reason = "days are rounded to a tenth")]
                let days_left = (claims_per_day > 0.0).then(|| counted as f64 / claims_per_day);
                let alert = Alert {
                    raised,
                    sequence: crossing + i64::from(raised),
                    notified: !raised || silent,
                    params: event_params(&rule, &subject, counted, days_left),
                    at: now,
                    subject,
                };
                let raised = (raised && !silent).then(|| alert.clone());
                if self.save(shared, alert, &[], alerts)?
                    && let Some(alert) = raised
                {
                    shared.parts.observers.alert_raised(&alert);
                }
            }
        }
        Ok(())
    }

    /// Returns the number of claims per day from a code group.
    fn claims_per_day(
        &mut self,
        shared: &Shared,
        code_group: &CodeGroup,
        now: Timestamp,
    ) -> Result<f64> {
        let began = Instant::now();
        if self.rates.as_ref().is_none_or(|(until, _)| *until <= began) {
            let rates = ClaimRates::read(&*shared.parts.store, now)?;
            let kept = POLL_INTERVAL.max(began.elapsed() * RATE_CACHE_FACTOR);
            self.rates = Some((began + kept, rates));
        }
        let rates = self.rates.as_ref();
        Ok(rates.map_or(0.0, |(_, rates)| rates.claims_per_day(code_group)))
    }

    /// Sends the event of an alert and waits until it is stored. If that fails, the next check
    /// sends it again.
    fn send_event(
        &mut self,
        shared: &Arc<Shared>,
        mut alert: Alert,
        alerts: &mut HashMap<Subject, Alert>,
    ) -> Result<()> {
        let mut notifications = Vec::new();
        match alert.event(&self.installation).checked() {
            Err(error) => {
                tracing::error!("invalid alert event: {error}");
                alert.notified = true;
            }
            Ok(event) => {
                let for_webhooks = self.notifications(&alert, &event);
                let event = Box::new(event);
                let (answer, answered) = channel();
                let answer = Box::new(move |receipt| {
                    let _gone = answer.send(receipt);
                });
                shared.submit(Task::Event { event, answer });
                match answered.recv() {
                    Ok(Ok(_)) => {
                        alert.notified = true;
                        notifications = for_webhooks;
                    }
                    // Another event has this id: the next check uses the next one.
                    Ok(Err(SubmitError::Conflict(id))) => {
                        tracing::error!(
                            "the id of an alert event is already used by another event: {id}"
                        );
                        alert.sequence += 1;
                    }
                    Ok(Err(error)) => {
                        tracing::error!("the alert event was not stored, retrying: {error}");
                        return Ok(());
                    }
                    Err(_) => return Ok(()),
                }
            }
        }
        self.save(shared, alert, &notifications, alerts)?;
        Ok(())
    }

    /// Returns the notification for each webhook of the alert's rule.
    fn notifications(&self, alert: &Alert, event: &Event) -> Vec<NewNotification> {
        let rule = self.rules.rule_for(&alert.subject);
        let webhooks = rule.map(|rule| rule.webhooks.iter());
        let notification = |webhook: &String| NewNotification {
            webhook: webhook.clone(),
            event: alert::event_json(event).to_string(),
        };
        webhooks.into_iter().flatten().map(notification).collect()
    }
}
