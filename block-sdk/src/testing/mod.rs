//! A fake host for testing a block like any other crate. Not available in a component.

use std::cell::RefCell;
use std::collections::VecDeque;

use crate::log::Level;
use crate::{
    Block, Call, ClaimError, Error, Outcome, Params, Request, Resumption, Selector, SendError,
    Value,
};

pub(crate) mod functions;

thread_local! {
    /// The host of the block that runs on this thread.
    static CURRENT: RefCell<Host> = RefCell::default();
}

/// The fake host of a run: its responses, and what the block staged.
#[derive(Clone, Debug, Default)]
pub struct Host {
    key: String,
    data: Vec<(String, Value)>,
    codes: VecDeque<String>,
    claim_error: Option<ClaimError>,
    send_error: Option<SendError>,
    /// The selectors of all claims.
    pub claims: Vec<Selector>,
    /// The staged requests.
    pub sent: Vec<Request>,
    /// The step's log messages.
    pub notes: Vec<(Level, String)>,
}

impl Host {
    /// Creates a run without values, and a pool without codes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the event key.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.key = key.into();
        self
    }

    /// Sets a value of the run.
    #[must_use]
    pub fn value(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.set(name, value.into());
        self
    }

    /// Adds a code to the pool; it matches every selector.
    #[must_use]
    pub fn code(mut self, code: &str) -> Self {
        self.codes.push_back(code.into());
        self
    }

    /// Fails every claim with this error.
    #[must_use]
    pub fn refuse_claims(mut self, error: ClaimError) -> Self {
        self.claim_error = Some(error);
        self
    }

    /// Fails every message with this error.
    #[must_use]
    pub fn refuse_messages(mut self, error: SendError) -> Self {
        self.send_error = Some(error);
        self
    }

    /// Returns the run's value of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        let found = self.data.iter().find(|(set, _)| set == name);
        found.map(|(_, value)| value)
    }

    /// Runs the block with these parameters. As in a workflow, defaults are filled in and required
    /// parameters must be present; bounds are not checked.
    ///
    /// # Errors
    /// Returns the block's error, or an error for a missing parameter.
    pub fn run<B: Block>(
        &mut self,
        params: impl IntoIterator<Item = (&'static str, Value)>,
    ) -> Result<Outcome, Error> {
        self.call::<B>(params, None)
    }

    /// Runs the block again after a wait.
    ///
    /// # Errors
    /// Returns the block's error, or an error for a missing parameter.
    pub fn resume<B: Block>(
        &mut self,
        params: impl IntoIterator<Item = (&'static str, Value)>,
        why: Resumption,
    ) -> Result<Outcome, Error> {
        self.call::<B>(params, Some(why))
    }

    fn call<B: Block>(
        &mut self,
        params: impl IntoIterator<Item = (&'static str, Value)>,
        resumed: Option<Resumption>,
    ) -> Result<Outcome, Error> {
        let mut given: Vec<(String, Value)> = Vec::new();
        given.extend(params.into_iter().map(|(name, value)| (name.into(), value)));
        for parameter in B::describe().parameters {
            if given.iter().any(|(name, _)| *name == parameter.name) {
                continue;
            }
            match parameter.default {
                Some(value) => given.push((parameter.name, value)),
                None if parameter.required => {
                    return Err(Error::Invalid(format!("{} is missing", parameter.name)));
                }
                None => {}
            }
        }
        let params = Params::from_iter(given);
        CURRENT.replace(std::mem::take(self));
        let outcome = B::run(Call { params, resumed });
        *self = CURRENT.take();
        outcome
    }

    fn set(&mut self, name: &str, value: Value) {
        match self.data.iter_mut().find(|(set, _)| set == name) {
            Some((_, old)) => *old = value,
            None => self.data.push((name.into(), value)),
        }
    }
}
