//! The effect buffer: the effects that a segment stages, and the host functions of its blocks.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use chrono::DateTime;
use chrono_tz::Tz;
use promoflow_velocity::{Allowance, MAX_WORK};
use serde_json::{Map, Value as Json};

use super::aside::Aside;
use super::leases::Leases;
use super::person::Person;
use super::plan::Plan;
use super::segment::{Beginning, Surroundings};
use promoflow_block_host::{
    ClaimError, ClaimRequest, LogLevel, Outcome, Promocode, SendError, SendRequest, SetError,
    StepHost,
};
use promoflow_document::nesting::check_depth;
use promoflow_model::block::Value;
use promoflow_model::clock::{Clock, Timestamp};
use promoflow_model::contact::tells_contact;
use promoflow_model::message::{Content, Values};
use promoflow_model::pool::{Calendar, Lane};
use promoflow_store::{
    Awaited, Awakened, ClaimId, Exhausted, FreeCode, GivenCode, Position, Resumed, RunId,
    StagedClaim, StagedDelivery, StagedReuse, StagedWait, StepKey, Store,
};

/// Maximum number of values of a run.
const MOST_VALUES: usize = 200;
/// Maximum size of all values of a run together, in bytes.
const MOST_VALUE_BYTES: usize = 256 * 1024;
/// Maximum length of a value's name, in characters.
const MOST_NAME_CHARS: usize = 100;

/// The effects that a segment stages. Each block's sandbox gets it in turn.
pub(super) struct Stage {
    pub(super) reach: Option<Reach>,
    data: Map<String, Json>,
    /// The names of the values that steps of the run have set.
    set: BTreeSet<String>,
    /// The values in the form that templates read; computed on first use.
    values: OnceCell<Values>,
    /// The work limit that all templates of the current step share.
    allowance: Arc<Allowance>,
    interrupt: Option<Arc<AtomicBool>>,
    /// The current time, the same for all templates of a segment; read on first use.
    present: OnceCell<Option<DateTime<Tz>>>,
    pub(super) key: String,
    /// The run; `None` until it is stored.
    pub(super) run: Option<RunId>,
    /// The codes that the segment holds: newly claimed and reused ones.
    pub(super) codes: Vec<Held>,
    /// Codes staged by other segments of the same commit request.
    pub(super) beside: Vec<Position>,
    /// The steps entered, in order; a step's visits are counted from it.
    visited: Vec<String>,
    /// Number of times that earlier segments left each step.
    visits: HashMap<String, u32>,
    /// The code that the run received while it waited, until its step claims it.
    pub(super) given: Option<GivenCode>,
    /// Set if the last claim must wait: true if the contact keeps the code.
    pub(super) must_wait: Option<bool>,
    /// The contact name under which the run waits.
    pub(super) awaits_as: Option<String>,
    /// The claim of the code that this contact keeps and that cannot be reused.
    pub(super) kept_before: Option<ClaimId>,
    ordinal: u32,
    /// The run's contact; looked up on first use.
    pub(super) person: Option<Person>,
    pub(super) staged: Staged,
    pub(super) notes: Notes,
    pub(super) contended: bool,
}

/// A code that the segment holds.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) lane: Lane,
    pub(super) code: FreeCode,
    /// True if the contact keeps the code.
    pub(super) kept: bool,
}

/// The host services that a segment uses.
pub(super) struct Reach {
    pub(super) store: Arc<dyn Store>,
    pub(super) leases: Arc<Leases>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) calendar: Calendar,
    pub(super) plan: Arc<Plan>,
    /// True if the contact directory is enabled.
    pub(super) contacts: bool,
    /// The contact overlay of a test run, which must not change the store.
    pub(super) aside: Option<Arc<Aside>>,
}

/// The staged effects, which the commit makes permanent.
#[derive(Default)]
pub(super) struct Staged {
    pub(super) claims: Vec<StagedClaim>,
    pub(super) exhausted: Vec<Exhausted>,
    pub(super) reuses: Vec<StagedReuse>,
    pub(super) deliveries: Vec<StagedDelivery>,
    /// For each claim, the number of deliveries staged before it; those cannot contain its code.
    pub(super) sent_before: Vec<usize>,
    /// Names other than the event key under which codes were claimed or kept.
    pub(super) known_as: Vec<String>,
    /// True if a message was not staged because its contact is unreachable or has unsubscribed.
    pub(super) unsent: bool,
}

impl Staged {
    /// Removes and returns the claims whose codes no message can contain. Keeps a claim if a later
    /// claim found its code group exhausted, because returning the code would make that wrong.
    pub(super) fn take_unused(&mut self) -> Vec<StagedClaim> {
        let (deliveries, exhausted) = (&self.deliveries, &self.exhausted);
        let before = &self.sent_before;
        let unused = |number: usize, claim: &StagedClaim| {
            let mut after = deliveries
                .iter()
                .skip(before.get(number).map_or(0, |sent| *sent));
            after.all(StagedDelivery::is_codeless)
                && !exhausted.iter().any(|other| other.lane == claim.lane)
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
pub(super) struct Notes {
    pub(super) data: Map<String, Json>,
    pub(super) log: Vec<String>,
    /// The reason why the step may leave by a port that is not connected: no code was left, or the
    /// contact cannot be reached.
    pub(super) cause: Option<String>,
}

impl Stage {
    /// Creates the buffer of a segment and moves the run's values out of the segment's input.
    pub(super) fn new(beginning: &mut Beginning, around: &Surroundings) -> Stage {
        Stage {
            reach: Some(Reach {
                store: Arc::clone(&around.store),
                leases: Arc::clone(&around.leases),
                clock: Arc::clone(&around.clock),
                calendar: around.calendar(),
                plan: Arc::clone(&beginning.plan),
                contacts: beginning.contacts,
                aside: around.aside.clone(),
            }),
            data: std::mem::take(&mut beginning.data),
            set: std::mem::take(&mut beginning.set),
            key: beginning.key.clone(),
            run: beginning.run.map(|(run, _)| run),
            codes: beginning.codes.clone(),
            beside: std::mem::take(&mut beginning.beside),
            visits: beginning.visits.clone(),
            interrupt: around.interrupt.clone(),
            ..Stage::placeholder()
        }
    }

    /// Creates an empty buffer, in place of one that a sandbox has.
    pub(super) fn placeholder() -> Stage {
        Stage {
            reach: None,
            data: Map::new(),
            set: BTreeSet::new(),
            values: OnceCell::new(),
            allowance: Arc::new(Allowance::new(0, None)),
            interrupt: None,
            present: OnceCell::new(),
            key: String::new(),
            run: None,
            codes: Vec::new(),
            beside: Vec::new(),
            visited: Vec::new(),
            visits: HashMap::new(),
            given: None,
            must_wait: None,
            awaits_as: None,
            kept_before: None,
            ordinal: 0,
            person: None,
            staged: Staged::default(),
            notes: Notes::default(),
            contended: false,
        }
    }

    /// Starts the work limit of a step, shared by all templates that it renders.
    pub(super) fn allow_work(&mut self) {
        self.allowance = Arc::new(Allowance::new(MAX_WORK, self.interrupt.clone()));
        if let Some(values) = self.values.get_mut() {
            values.set_allowance(Arc::clone(&self.allowance));
        }
    }

    fn make_values(&self, data: &Map<String, Json>) -> Values {
        let mut values = Values::new(data, &self.key).at(self.present());
        values.set_allowance(Arc::clone(&self.allowance));
        values
    }

    /// Enters a step, or continues it after a wait.
    pub(super) fn enter(&mut self, step: &str, resumed: Option<&Resumed>) {
        self.visited.push(step.to_owned());
        // The effects before the wait, and the end of the wait, have used the earlier ordinals.
        self.ordinal = resumed.map_or(0, |resumed| resumed.ordinal + 1);
        if let Some(Awakened::Code(given)) = resumed.map(|resumed| &resumed.why) {
            self.given = given.clone();
        }
    }

    /// Returns the wait that a step ends with and its timeout; `None` if it ends otherwise.
    pub(super) fn wait(&mut self, outcome: &Outcome) -> Option<(StagedWait, Option<Timestamp>)> {
        let (awaited, give_up) = match outcome {
            Outcome::WaitForCode { selector, give_up } => {
                let awaited = Awaited::Code {
                    lane: selector.lane.clone(),
                    days: selector.days,
                    contact: self.awaits_as.take().unwrap_or_else(|| self.key.clone()),
                    keeps: self.must_wait.take().unwrap_or(false),
                    found: self.kept_before.take(),
                };
                (awaited, *give_up)
            }
            Outcome::WaitForReply { request, give_up } => {
                let request = request.clone();
                (Awaited::Reply { request }, *give_up)
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
        self.values.get_or_init(|| self.make_values(&self.data))
    }

    /// Takes the values out for changes; the next call of [`values`](Self::values) computes them
    /// again.
    pub(super) fn take_values(&mut self) -> Values {
        let made = self.values.take();
        made.unwrap_or_else(|| self.make_values(&self.data))
    }

    /// Returns the current time in the installation's time zone. It is read once, so that a message
    /// that prints it twice prints the same time.
    fn present(&self) -> Option<DateTime<Tz>> {
        *self.present.get_or_init(|| {
            let reach = self.reach.as_ref()?;
            reach.calendar.local(reach.clock.now())
        })
    }

    /// Returns true if no step of the run has set a value yet.
    pub(super) fn is_as_it_came(&self) -> bool {
        self.set.is_empty()
    }

    /// Returns the values for templates without those that steps of the run have set.
    pub(super) fn values_as_they_came(&self) -> Values {
        let came = |(name, _): &(&String, &Json)| !self.set.contains(*name);
        let came = self.data.iter().filter(came);
        let came = came.map(|(name, value)| (name.clone(), value.clone()));
        self.make_values(&came.collect())
    }

    pub(super) fn take_notes(&mut self) -> Notes {
        std::mem::take(&mut self.notes)
    }

    /// Returns true if a claim found only codes that other segments have staged.
    pub(super) fn contended(&self) -> bool {
        self.contended
    }

    pub(super) fn finish(self) -> Staged {
        self.staged
    }

    /// Returns the end of the wait before this segment, without a received code that the step did
    /// not claim.
    pub(super) fn resumed(&self, beginning: &Beginning) -> Option<Resumed> {
        let mut resumed = beginning.resumed.clone()?;
        if self.given.is_some() {
            resumed.why = Awakened::Code(None);
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
    pub(super) fn goes_by(&mut self, name: &str) {
        let known = &mut self.staged.known_as;
        if name != self.key && !known.iter().any(|other| other == name) {
            known.push(name.to_owned());
        }
    }

    /// Returns the earliest expiry of the segment's codes that these messages contain.
    pub(super) fn expires<'c>(
        &self,
        contents: impl Iterator<Item = &'c Content> + Clone,
    ) -> Timestamp {
        let carried = self.codes.iter().filter(|held| {
            contents
                .clone()
                .any(|content| content.shows(&held.code.code))
        });
        let expiries = carried.map(|held| held.code.position.expires);
        expiries.min().unwrap_or(Timestamp::NEVER)
    }
}

impl StepHost for Stage {
    fn get(&self, name: &str) -> Option<Value> {
        self.data.get(name).map(to_value)
    }

    fn set(&mut self, name: &str, value: Value) -> Result<(), SetError> {
        let chars = name.chars().count();
        if chars == 0 || chars > MOST_NAME_CHARS || name.chars().any(char::is_control) {
            let text = format!("a value's name has 1 to {MOST_NAME_CHARS} printable characters");
            return Err(SetError::Invalid(text));
        }
        let value = to_json(value)?;
        let others = self.data.iter().filter(|(other, _)| *other != name);
        let (count, bytes) = others
            .fold((1, size(name, &value)), |(count, bytes), (name, value)| {
                (count + 1, bytes + size(name, value))
            });
        if count > MOST_VALUES || bytes > MOST_VALUE_BYTES {
            return Err(SetError::TooLarge(format!(
                "a run holds at most {MOST_VALUES} values of {MOST_VALUE_BYTES} bytes in all"
            )));
        }
        if let Some(values) = self.values.get_mut() {
            values.set(name, &value);
        }
        self.set.insert(name.to_owned());
        self.notes.data.insert(name.to_owned(), value.clone());
        self.data.insert(name.to_owned(), value);
        if tells_contact(name) {
            self.person = None;
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
        super::claim::claim(self, request)
    }

    fn send(&mut self, request: SendRequest) -> Result<u32, SendError> {
        let sent = super::send::send(self, request);
        if let Err(SendError::Unreachable(why) | SendError::NoConsent(why)) = &sent {
            self.staged.unsent = true;
            self.notes.cause = Some(why.clone());
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
        self.notes.log.push(format!("{level}: {text}"));
    }
}

fn size(name: &str, value: &Json) -> usize {
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
