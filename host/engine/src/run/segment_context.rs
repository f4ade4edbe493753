//! The context of a segment: what its steps can reach, and what they have staged so far.
//!
//! Each part has one owner: the run's values, the contacts, the codes, the effects. A step's sandbox
//! gets the whole context, and its host functions ([`HostFunctions`]) lead to the parts.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::claim::{SegmentCodes, claim_code};
use super::leases::Leases;
use super::plan::Plan;
use super::run_contacts::RunContacts;
use super::run_values::{RunValues, to_value};
use super::segment::{EngineContext, SegmentInput};
use super::send::stage_delivery;
use super::staged_effects::{EffectKeys, StagedEffects};
use promoflow_block_host::{
    ClaimError, ClaimRequest, HostFunctions, LogLevel, Outcome, Promocode, SendError, SendRequest,
    SetError,
};
use promoflow_model::block::Value;
use promoflow_model::clock::{Clock, Timestamp};
use promoflow_model::contact::identifies_contact;
use promoflow_model::pool::Calendar;
use promoflow_store::{RunId, StagedWait, Store, WaitFor, WaitOutcome, WakeReason};

/// The context of a segment. Each step's sandbox gets it in turn.
pub(super) struct SegmentContext {
    pub(super) services: Services,
    /// The run; `None` until it is stored.
    pub(super) run: Option<RunId>,
    pub(super) values: RunValues,
    pub(super) contacts: RunContacts,
    pub(super) codes: SegmentCodes,
    pub(super) keys: EffectKeys,
    pub(super) staged: StagedEffects,
    pub(super) journal: StepJournal,
}

/// The services of the engine that the steps of a segment use.
pub(super) struct Services {
    pub(super) store: Arc<dyn Store>,
    pub(super) leases: Arc<Leases>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) calendar: Calendar,
    pub(super) plan: Arc<Plan>,
}

/// The part of a step's history that the step writes.
#[derive(Default)]
pub(super) struct StepJournal {
    pub(super) data: Map<String, Json>,
    pub(super) log: Vec<String>,
    /// The reason why the step may leave by a port that is not connected: no code was left, or the
    /// contact cannot be reached.
    pub(super) cause: Option<String>,
}

impl SegmentContext {
    /// Creates the context of a segment and moves the run's values out of the segment's input.
    pub(super) fn new(input: &mut SegmentInput, engine: &EngineContext) -> SegmentContext {
        let calendar = engine.calendar();
        SegmentContext {
            services: Services {
                store: Arc::clone(&engine.store),
                leases: Arc::clone(&engine.leases),
                clock: Arc::clone(&engine.clock),
                calendar,
                plan: Arc::clone(&input.plan),
            },
            run: input.run.map(|(run, _)| run),
            values: RunValues::new(
                input.key.clone(),
                std::mem::take(&mut input.data),
                std::mem::take(&mut input.set),
                calendar.local(engine.clock.now()),
                engine.interrupt.clone(),
            ),
            contacts: RunContacts::new(
                Arc::clone(&engine.store),
                input.contacts,
                engine.contact_overlay.clone(),
            ),
            codes: SegmentCodes::new(
                input.codes.clone(),
                std::mem::take(&mut input.claimed_in_batch),
            ),
            keys: EffectKeys::new(input.visits.clone()),
            staged: StagedEffects::default(),
            journal: StepJournal::default(),
        }
    }

    /// Enters a step, or continues it after a wait.
    pub(super) fn enter(&mut self, step: &str, resumed: Option<&WaitOutcome>) {
        self.keys.enter(step, resumed);
        if let Some(WakeReason::Code(given)) = resumed.map(|resumed| &resumed.reason) {
            self.codes.given = given.clone();
        }
    }

    /// Returns the wait that a step ends with and its timeout; `None` if it ends otherwise.
    pub(super) fn wait(&mut self, outcome: &Outcome) -> Option<(StagedWait, Option<Timestamp>)> {
        let (awaited, give_up) = match outcome {
            Outcome::WaitForCode { selector, give_up } => {
                let awaiting = self.codes.awaiting.take().unwrap_or_default();
                let awaited = WaitFor::Code {
                    code_group: selector.code_group.clone(),
                    days: selector.days,
                    contact: awaiting
                        .contact
                        .unwrap_or_else(|| self.values.key().to_owned()),
                    keeps_code: awaiting.keeps,
                    found: awaiting.kept,
                };
                (awaited, *give_up)
            }
            Outcome::WaitForReply { request, give_up } => {
                let request = request.clone();
                (WaitFor::Reply { request }, *give_up)
            }
            Outcome::Port(_) | Outcome::WaitUntil { .. } => return None,
        };
        let step = self.keys.next_key();
        Some((StagedWait { step, awaited }, give_up))
    }

    /// Returns the end of the wait before this segment, without a received code that the step did
    /// not claim.
    pub(super) fn resumed(&self, input: &SegmentInput) -> Option<WaitOutcome> {
        let mut resumed = input.resumed.clone()?;
        if self.codes.given.is_some() {
            resumed.reason = WakeReason::Code(None);
        }
        Some(resumed)
    }
}

impl HostFunctions for SegmentContext {
    fn get(&self, name: &str) -> Option<Value> {
        self.values.data().get(name).map(to_value)
    }

    fn set(&mut self, name: &str, value: Value) -> Result<(), SetError> {
        let value = self.values.set(name, value)?;
        self.journal.data.insert(name.to_owned(), value);
        if identifies_contact(name) {
            self.contacts.forget();
        }
        Ok(())
    }

    fn names(&self) -> Vec<String> {
        self.values.data().keys().cloned().collect()
    }

    fn key(&self) -> &str {
        self.values.key()
    }

    fn claim(&mut self, request: ClaimRequest) -> Result<Promocode, ClaimError> {
        claim_code(self, request)
    }

    fn send(&mut self, request: SendRequest) -> Result<u32, SendError> {
        let sent = stage_delivery(self, request);
        if let Err(SendError::Unreachable(why) | SendError::NoConsent(why)) = &sent {
            self.staged.has_unsent_message = true;
            self.journal.cause = Some(why.clone());
        }
        sent
    }

    fn log(&mut self, level: LogLevel, text: &str) {
        let level = match level {
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
        };
        self.journal.log.push(format!("{level}: {text}"));
    }
}
