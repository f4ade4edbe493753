//! The stage: what a segment has staged, and what its blocks may reach.

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

/// Values that a run may hold.
const MOST_VALUES: usize = 200;
/// Bytes of all values of a run together.
const MOST_VALUE_BYTES: usize = 256 * 1024;
/// Characters of a value's name.
const MOST_NAME_CHARS: usize = 100;

/// What a segment stages. Lent to each block's sandbox in turn.
pub(super) struct Stage {
    pub(super) reach: Option<Reach>,
    data: Map<String, Json>,
    /// The names of those that steps of the run have set.
    set: BTreeSet<String>,
    /// The same as templates read them, once one did.
    values: OnceCell<Values>,
    /// The work that all templates of the present step may do together.
    allowance: Arc<Allowance>,
    interrupt: Option<Arc<AtomicBool>>,
    /// The present, as tools of templates tell it throughout the segment.
    present: OnceCell<Option<DateTime<Tz>>>,
    pub(super) key: String,
    /// The run, once it is stored.
    pub(super) run: Option<RunId>,
    /// The codes that the segment has, its own and those that served again.
    pub(super) codes: Vec<Held>,
    /// Codes that others of its unit have staged.
    pub(super) beside: Vec<Position>,
    /// The steps entered, in order: a step's visits are counted from it.
    visited: Vec<String>,
    /// How often each was left in earlier segments.
    visits: HashMap<String, u32>,
    /// The code that the run was given while it waited, until its step claims it.
    pub(super) given: Option<GivenCode>,
    /// The last claim that must wait: whether its contact keeps the code.
    pub(super) must_wait: Option<bool>,
    /// The name under which it waits.
    pub(super) awaits_as: Option<String>,
    /// What that name keeps already, and does not serve.
    pub(super) kept_before: Option<ClaimId>,
    ordinal: u32,
    /// Whom the run is about, once somebody has asked.
    pub(super) person: Option<Person>,
    pub(super) staged: Staged,
    pub(super) notes: Notes,
    pub(super) contended: bool,
}

/// A code that the segment has.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) lane: Lane,
    pub(super) code: FreeCode,
    /// Whether the contact keeps it.
    pub(super) kept: bool,
}

/// What a stage reaches out to.
pub(super) struct Reach {
    pub(super) store: Arc<dyn Store>,
    pub(super) leases: Arc<Leases>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) calendar: Calendar,
    pub(super) plan: Arc<Plan>,
    /// Whether the directory of contacts is awake.
    pub(super) contacts: bool,
    /// What wakes in its place, where nothing may be changed.
    pub(super) aside: Option<Arc<Aside>>,
}

/// What becomes true with the commit.
#[derive(Default)]
pub(super) struct Staged {
    pub(super) claims: Vec<StagedClaim>,
    pub(super) exhausted: Vec<Exhausted>,
    pub(super) reuses: Vec<StagedReuse>,
    pub(super) deliveries: Vec<StagedDelivery>,
    /// How many deliveries were staged before each of the claims: those cannot carry its code.
    pub(super) sent_before: Vec<usize>,
    /// Names other than the event's key under which codes were claimed or kept.
    pub(super) known_as: Vec<String>,
    /// A message was not staged, because its contact cannot or must not be written to.
    pub(super) unsent: bool,
}

impl Staged {
    /// Takes the claims out whose codes no message may carry. Not where another claim was told
    /// that nothing is left: it would no longer be so.
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

/// What a step leaves in the history.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) data: Map<String, Json>,
    pub(super) log: Vec<String>,
    /// Why the step may leave by a way that the workflow does not lead: no code was left, or
    /// nobody could be written to.
    pub(super) cause: Option<String>,
}

impl Stage {
    /// The stage of a segment; it has the values from there.
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

    /// Holds the place of a stage that is lent out.
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

    /// A step begins: its templates may do so much work together, in all parts of all messages.
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

    /// The run comes to a step, or back to it after a wait.
    pub(super) fn enter(&mut self, step: &str, resumed: Option<&Resumed>) {
        self.visited.push(step.to_owned());
        // What it staged before the wait, and what ended the wait, have their numbers.
        self.ordinal = resumed.map_or(0, |resumed| resumed.ordinal + 1);
        if let Some(Awakened::Code(given)) = resumed.map(|resumed| &resumed.why) {
            self.given = given.clone();
        }
    }

    /// The wait that a step ends with, and when it is given up; none where it ends otherwise.
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

    /// The run's values as templates read them. Most steps read some, and few set any: they are made
    /// once and kept up to date.
    pub(super) fn values(&self) -> &Values {
        self.values.get_or_init(|| self.make_values(&self.data))
    }

    /// The same, to add to them; whoever asks after that has them made anew.
    pub(super) fn take_values(&mut self) -> Values {
        let made = self.values.take();
        made.unwrap_or_else(|| self.make_values(&self.data))
    }

    /// The present on the clocks of the installation. It is asked for once, so that a message that
    /// tells it twice tells the same.
    fn present(&self) -> Option<DateTime<Tz>> {
        *self.present.get_or_init(|| {
            let reach = self.reach.as_ref()?;
            reach.calendar.local(reach.clock.now())
        })
    }

    /// Whether a step of the run has set anything yet.
    pub(super) fn is_as_it_came(&self) -> bool {
        self.set.is_empty()
    }

    /// The values as templates would read them, had no step of the run set anything.
    pub(super) fn values_as_they_came(&self) -> Values {
        let came = |(name, _): &(&String, &Json)| !self.set.contains(*name);
        let came = self.data.iter().filter(came);
        let came = came.map(|(name, value)| (name.clone(), value.clone()));
        self.make_values(&came.collect())
    }

    pub(super) fn take_notes(&mut self) -> Notes {
        std::mem::take(&mut self.notes)
    }

    /// Whether a claim met nothing but what other segments have staged.
    pub(super) fn contended(&self) -> bool {
        self.contended
    }

    pub(super) fn finish(self) -> Staged {
        self.staged
    }

    /// What ended the wait before this segment, without a code that the step did not take.
    pub(super) fn resumed(&self, beginning: &Beginning) -> Option<Resumed> {
        let mut resumed = beginning.resumed.clone()?;
        if self.given.is_some() {
            resumed.why = Awakened::Code(None);
        }
        Some(resumed)
    }

    /// The key of the step's next effect.
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

    /// Notes under which name a code is claimed or kept, where it is not the event's key.
    pub(super) fn goes_by(&mut self, name: &str) {
        let known = &mut self.staged.known_as;
        if name != self.key && !known.iter().any(|other| other == name) {
            known.push(name.to_owned());
        }
    }

    /// When the first of the segment's codes expires that one of these messages carries.
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
