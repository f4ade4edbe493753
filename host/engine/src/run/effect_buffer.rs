//! The effect buffer: the effects that a segment stages, and the host functions of its blocks.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use chrono::DateTime;
use chrono_tz::Tz;
use promoflow_velocity::{Allowance, MAX_WORK};
use serde_json::{Map, Value as Json};

use super::contact_overlay::ContactOverlay;
use super::leases::Leases;
use super::plan::Plan;
use super::run_contact::RunContact;
use super::segment::{EngineContext, SegmentInput};
use promoflow_block_host::{
    ClaimError, ClaimRequest, HostFunctions, LogLevel, Outcome, Promocode, SendError, SendRequest,
    SetError,
};
use promoflow_document::nesting::check_depth;
use promoflow_model::block::Value;
use promoflow_model::clock::{Clock, Timestamp};
use promoflow_model::contact::identifies_contact;
use promoflow_model::message::{RenderedMessage, Values};
use promoflow_model::pool::{Calendar, CodeGroup};
use promoflow_store::{
    AvailableCode, ClaimId, Exhausted, GrantedCode, Position, RunId, StagedClaim, StagedDelivery,
    StagedReuse, StagedWait, StepKey, Store, WaitFor, WaitOutcome, WakeReason,
};

/// Maximum number of values of a run.
const MAX_VALUES: usize = 200;
/// Maximum size of all values of a run together, in bytes.
const MAX_VALUE_BYTES: usize = 256 * 1024;
/// Maximum length of a value's name, in characters.
const MAX_NAME_CHARS: usize = 100;

/// The effects that a segment stages. Each block's sandbox gets it in turn.
pub(super) struct EffectBuffer {
    pub(super) host: Option<HostContext>,
    data: Map<String, Json>,
    /// The names of the values that steps of the run have set.
    set: BTreeSet<String>,
    /// The values in the form that templates read; computed on first use.
    values: OnceCell<Values>,
    /// The work limit that all templates of the current step share.
    allowance: Arc<Allowance>,
    interrupt: Option<Arc<AtomicBool>>,
    /// The current time, the same for all templates of a segment; read on first use.
    now: OnceCell<Option<DateTime<Tz>>>,
    pub(super) key: String,
    /// The run; `None` until it is stored.
    pub(super) run: Option<RunId>,
    /// The codes that the segment holds: newly claimed and reused ones.
    pub(super) codes: Vec<HeldCode>,
    /// Codes staged by other segments of the same commit request.
    pub(super) claimed_in_batch: Vec<Position>,
    /// The steps entered, in order; a step's visits are counted from it.
    visited: Vec<String>,
    /// Number of times that earlier segments left each step.
    visits: HashMap<String, u32>,
    /// The code that the run received while it waited, until its step claims it.
    pub(super) given: Option<GrantedCode>,
    /// Set if the last claim must wait: true if the contact keeps the code.
    pub(super) wait_keeps_code: Option<bool>,
    /// The contact name under which the run waits.
    pub(super) waiting_alias: Option<String>,
    /// The claim of the code that this contact keeps and that cannot be reused.
    pub(super) kept_claim: Option<ClaimId>,
    ordinal: u32,
    /// The run's contact; looked up on first use.
    pub(super) run_contact: Option<RunContact>,
    pub(super) staged: StagedEffects,
    pub(super) journal: StepJournal,
    pub(super) is_contended: bool,
}

/// A code that the segment holds.
#[derive(Clone)]
pub(super) struct HeldCode {
    pub(super) code_group: CodeGroup,
    pub(super) code: AvailableCode,
    /// True if the contact keeps the code.
    pub(super) kept: bool,
}

/// The host services that a segment uses.
pub(super) struct HostContext {
    pub(super) store: Arc<dyn Store>,
    pub(super) leases: Arc<Leases>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) calendar: Calendar,
    pub(super) plan: Arc<Plan>,
    /// True if the contact directory is enabled.
    pub(super) contacts: bool,
    /// The contact overlay of a test run, which must not change the store.
    pub(super) contact_overlay: Option<Arc<ContactOverlay>>,
}

/// The staged effects, which the commit makes permanent.
#[derive(Default)]
pub(super) struct StagedEffects {
    pub(super) claims: Vec<StagedClaim>,
    pub(super) exhausted: Vec<Exhausted>,
    pub(super) reuses: Vec<StagedReuse>,
    pub(super) deliveries: Vec<StagedDelivery>,
    /// For each claim, the number of deliveries staged before it; those cannot contain its code.
    pub(super) deliveries_before_claim: Vec<usize>,
    /// Names other than the event key under which codes were claimed or kept.
    pub(super) contact_aliases: Vec<String>,
    /// True if a message was not staged because its contact is unreachable or has unsubscribed.
    pub(super) has_unsent_message: bool,
}

impl StagedEffects {
    /// Removes and returns the claims whose codes no message can contain. Keeps a claim if a later
    /// claim found its code group exhausted, because returning the code would make that wrong.
    pub(super) fn take_unused(&mut self) -> Vec<StagedClaim> {
        let (deliveries, exhausted) = (&self.deliveries, &self.exhausted);
        let before = &self.deliveries_before_claim;
        let unused = |number: usize, claim: &StagedClaim| {
            let mut after = deliveries
                .iter()
                .skip(before.get(number).map_or(0, |sent| *sent));
            after.all(StagedDelivery::is_codeless)
                && !exhausted
                    .iter()
                    .any(|other| other.code_group == claim.code_group)
        };
        let claims = std::mem::take(&mut self.claims);
        let (mut kept, mut taken, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for (number, claim) in claims.into_iter().enumerate() {
            if unused(number, &claim) {
                places.push(None);
                taken.push(claim);
            } else {
                places.push(Some(kept.len()));
                kept.push(claim);
            }
        }
        self.claims = kept;
        self.reuses.retain_mut(|reuse| match reuse.replaced_by {
            None => true,
            Some(number) => {
                reuse.replaced_by = places.get(number).copied().flatten();
                reuse.replaced_by.is_some()
            }
        });
        taken
    }
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

impl EffectBuffer {
    /// Creates the buffer of a segment and moves the run's values out of the segment's input.
    pub(super) fn new(input: &mut SegmentInput, context: &EngineContext) -> EffectBuffer {
        EffectBuffer {
            host: Some(HostContext {
                store: Arc::clone(&context.store),
                leases: Arc::clone(&context.leases),
                clock: Arc::clone(&context.clock),
                calendar: context.calendar(),
                plan: Arc::clone(&input.plan),
                contacts: input.contacts,
                contact_overlay: context.contact_overlay.clone(),
            }),
            data: std::mem::take(&mut input.data),
            set: std::mem::take(&mut input.set),
            key: input.key.clone(),
            run: input.run.map(|(run, _)| run),
            codes: input.codes.clone(),
            claimed_in_batch: std::mem::take(&mut input.claimed_in_batch),
            visits: input.visits.clone(),
            interrupt: context.interrupt.clone(),
            ..EffectBuffer::placeholder()
        }
    }

    /// Creates an empty buffer, in place of one that a sandbox has.
    pub(super) fn placeholder() -> EffectBuffer {
        EffectBuffer {
            host: None,
            data: Map::new(),
            set: BTreeSet::new(),
            values: OnceCell::new(),
            allowance: Arc::new(Allowance::new(0, None)),
            interrupt: None,
            now: OnceCell::new(),
            key: String::new(),
            run: None,
            codes: Vec::new(),
            claimed_in_batch: Vec::new(),
            visited: Vec::new(),
            visits: HashMap::new(),
            given: None,
            wait_keeps_code: None,
            waiting_alias: None,
            kept_claim: None,
            ordinal: 0,
            run_contact: None,
            staged: StagedEffects::default(),
            journal: StepJournal::default(),
            is_contended: false,
        }
    }

    /// Starts the work limit of a step, shared by all templates that it renders.
    pub(super) fn start_work_limit(&mut self) {
        self.allowance = Arc::new(Allowance::new(MAX_WORK, self.interrupt.clone()));
        if let Some(values) = self.values.get_mut() {
            values.set_allowance(Arc::clone(&self.allowance));
        }
    }

    fn build_values(&self, data: &Map<String, Json>) -> Values {
        let mut values = Values::new(data, &self.key).with_now(self.now());
        values.set_allowance(Arc::clone(&self.allowance));
        values
    }

    /// Enters a step, or continues it after a wait.
    pub(super) fn enter(&mut self, step: &str, resumed: Option<&WaitOutcome>) {
        self.visited.push(step.to_owned());
        // The effects before the wait, and the end of the wait, have used the earlier ordinals.
        self.ordinal = resumed.map_or(0, |resumed| resumed.ordinal + 1);
        if let Some(WakeReason::Code(given)) = resumed.map(|resumed| &resumed.reason) {
            self.given = given.clone();
        }
    }

    /// Returns the wait that a step ends with and its timeout; `None` if it ends otherwise.
    pub(super) fn wait(&mut self, outcome: &Outcome) -> Option<(StagedWait, Option<Timestamp>)> {
        let (awaited, give_up) = match outcome {
            Outcome::WaitForCode { selector, give_up } => {
                let awaited = WaitFor::Code {
                    code_group: selector.code_group.clone(),
                    days: selector.days,
                    contact: self
                        .waiting_alias
                        .take()
                        .unwrap_or_else(|| self.key.clone()),
                    keeps_code: self.wait_keeps_code.take().unwrap_or(false),
                    found: self.kept_claim.take(),
                };
                (awaited, *give_up)
            }
            Outcome::WaitForReply { request, give_up } => {
                let request = request.clone();
                (WaitFor::Reply { request }, *give_up)
            }
            Outcome::Port(_) | Outcome::WaitUntil { .. } => return None,
        };
        let step = self.next_effect();
        Some((StagedWait { step, awaited }, give_up))
    }

    pub(super) fn data(&self) -> &Map<String, Json> {
        &self.data
    }

    /// Returns the run's values for templates. They are computed once and then updated, because
    /// most steps read values and few set any.
    pub(super) fn values(&self) -> &Values {
        self.values.get_or_init(|| self.build_values(&self.data))
    }

    /// Takes the values out for changes; the next call of [`values`](Self::values) computes them
    /// again.
    pub(super) fn take_values(&mut self) -> Values {
        let made = self.values.take();
        made.unwrap_or_else(|| self.build_values(&self.data))
    }

    /// Returns the current time in the installation's time zone. It is read once, so that a message
    /// that prints it twice prints the same time.
    fn now(&self) -> Option<DateTime<Tz>> {
        *self.now.get_or_init(|| {
            let host = self.host.as_ref()?;
            host.calendar.local(host.clock.now())
        })
    }

    /// Returns true if no step of the run has set a value yet.
    pub(super) fn has_only_event_values(&self) -> bool {
        self.set.is_empty()
    }

    /// Returns the values for templates without those that steps of the run have set.
    pub(super) fn event_values(&self) -> Values {
        let came = |(name, _): &(&String, &Json)| !self.set.contains(*name);
        let came = self.data.iter().filter(came);
        let came = came.map(|(name, value)| (name.clone(), value.clone()));
        self.build_values(&came.collect())
    }

    pub(super) fn take_journal(&mut self) -> StepJournal {
        std::mem::take(&mut self.journal)
    }

    /// Returns true if a claim found only codes that other segments have staged.
    pub(super) fn is_contended(&self) -> bool {
        self.is_contended
    }

    pub(super) fn finish(self) -> StagedEffects {
        self.staged
    }

    /// Returns the end of the wait before this segment, without a received code that the step did
    /// not claim.
    pub(super) fn resumed(&self, input: &SegmentInput) -> Option<WaitOutcome> {
        let mut resumed = input.resumed.clone()?;
        if self.given.is_some() {
            resumed.reason = WakeReason::Code(None);
        }
        Some(resumed)
    }

    /// Returns the key of the step's next effect.
    pub(super) fn next_effect(&mut self) -> StepKey {
        let step = self.visited.last().cloned().unwrap_or_default();
        let visit = self
            .visited
            .iter()
            .filter(|visited| **visited == step)
            .count();
        let earlier = self.visits.get(&step).copied().unwrap_or(0);
        let key = StepKey {
            visit: earlier.saturating_add(u32::try_from(visit).unwrap_or(u32::MAX)),
            step,
            ordinal: self.ordinal,
        };
        self.ordinal += 1;
        key
    }

    /// Records a name under which a code is claimed or kept, if it is not the event key.
    pub(super) fn add_alias(&mut self, name: &str) {
        let known = &mut self.staged.contact_aliases;
        if name != self.key && !known.iter().any(|other| other == name) {
            known.push(name.to_owned());
        }
    }

    /// Returns the earliest expiry of the segment's codes that these messages contain.
    pub(super) fn expires<'c>(
        &self,
        contents: impl Iterator<Item = &'c RenderedMessage> + Clone,
    ) -> Timestamp {
        let carried = self.codes.iter().filter(|held| {
            contents
                .clone()
                .any(|content| content.contains_code(&held.code.code))
        });
        let expiries = carried.map(|held| held.code.position.expires);
        expiries.min().unwrap_or(Timestamp::NEVER)
    }
}

impl HostFunctions for EffectBuffer {
    fn get(&self, name: &str) -> Option<Value> {
        self.data.get(name).map(to_value)
    }

    fn set(&mut self, name: &str, value: Value) -> Result<(), SetError> {
        let chars = name.chars().count();
        if chars == 0 || chars > MAX_NAME_CHARS || name.chars().any(char::is_control) {
            let text = format!("a value's name has 1 to {MAX_NAME_CHARS} printable characters");
            return Err(SetError::Invalid(text));
        }
        let value = to_json(value)?;
        let others = self.data.iter().filter(|(other, _)| *other != name);
        let (count, bytes) = others.fold(
            (1, value_size(name, &value)),
            |(count, bytes), (name, value)| (count + 1, bytes + value_size(name, value)),
        );
        if count > MAX_VALUES || bytes > MAX_VALUE_BYTES {
            return Err(SetError::TooLarge(format!(
                "a run holds at most {MAX_VALUES} values of {MAX_VALUE_BYTES} bytes in all"
            )));
        }
        if let Some(values) = self.values.get_mut() {
            values.set(name, &value);
        }
        self.set.insert(name.to_owned());
        self.journal.data.insert(name.to_owned(), value.clone());
        self.data.insert(name.to_owned(), value);
        if identifies_contact(name) {
            self.run_contact = None;
        }
        Ok(())
    }

    fn names(&self) -> Vec<String> {
        self.data.keys().cloned().collect()
    }

    fn key(&self) -> &str {
        &self.key
    }

    fn claim(&mut self, request: ClaimRequest) -> Result<Promocode, ClaimError> {
        super::claim::claim_code(self, request)
    }

    fn send(&mut self, request: SendRequest) -> Result<u32, SendError> {
        let sent = super::send::stage_delivery(self, request);
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

fn value_size(name: &str, value: &Json) -> usize {
    let value = match value {
        Json::String(text) => text.len(),
        other => other.to_string().len(),
    };
    name.len() + value
}

pub(super) fn to_value(json: &Json) -> Value {
    match json {
        Json::String(text) => Value::Text(text.clone()),
        Json::Bool(flag) => Value::Boolean(*flag),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Value::Integer(number),
            None => Value::Decimal(number.as_f64().unwrap_or(f64::NAN)),
        },
        other => Value::Json(other.to_string()),
    }
}

fn to_json(value: Value) -> Result<Json, SetError> {
    Ok(match value {
        Value::Text(text) => Json::String(text),
        Value::Boolean(flag) => Json::Bool(flag),
        Value::Integer(number) => Json::from(number),
        Value::Decimal(number) => serde_json::Number::from_f64(number)
            .map(Json::Number)
            .ok_or_else(|| SetError::Invalid("a number must be finite".into()))?,
        Value::Json(text) => {
            let value = serde_json::from_str(&text)
                .map_err(|error| SetError::Invalid(format!("not JSON: {error}")))?;
            check_depth(&value).map_err(SetError::Invalid)?;
            value
        }
    })
}
