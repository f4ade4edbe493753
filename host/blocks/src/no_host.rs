//! The host of `describe`, which has no run.

use super::types::{
    ClaimError, ClaimRequest, HostFunctions, LogLevel, Promocode, SendError, SendRequest, SetError,
};
use promoflow_model::block::Value;

/// A host without a run. `describe` may make no host call, so none of its functions is called.
pub(super) struct NoHost;

impl HostFunctions for NoHost {
    fn get(&self, _: &str) -> Option<Value> {
        None
    }

    fn set(&mut self, _: &str, _: Value) -> Result<(), SetError> {
        Err(SetError::Invalid(NO_RUN.into()))
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn key(&self) -> &str {
        ""
    }

    fn claim(&mut self, _: ClaimRequest) -> Result<Promocode, ClaimError> {
        Err(ClaimError::Denied(NO_RUN.into()))
    }

    fn send(&mut self, _: SendRequest) -> Result<u32, SendError> {
        Err(SendError::Denied(NO_RUN.into()))
    }

    fn log(&mut self, _: LogLevel, _: &str) {}
}

const NO_RUN: &str = "`describe` has no run";
