//! Not written yet.
#![allow(
    unused_imports,
    unused_variables,
    clippy::unimplemented,
    reason = "not written yet"
)]

use crate::PostgresStore;
use crate::errors::StoreResult as Result;
use promoflow_model::clock::Clock;
use promoflow_model::pool::Calendar;
use promoflow_store::{Changes, PromiseReport};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

impl promoflow_store::InstallationStore for PostgresStore {
    fn check_schema(&self) -> Result<()> {
        unimplemented!()
    }
    fn installation(&self) -> Result<String> {
        unimplemented!()
    }
    fn clock(&self) -> Arc<dyn Clock> {
        unimplemented!()
    }
    fn calendar(&self) -> Result<Calendar> {
        unimplemented!()
    }
    fn set_calendar(&self, calendar: Calendar) -> Result<()> {
        unimplemented!()
    }
    fn try_join(&self) -> Result<Option<Box<dyn promoflow_store::Member>>> {
        unimplemented!()
    }
    fn watch(&self) -> Box<dyn promoflow_store::ChangeWatch + '_> {
        unimplemented!()
    }
    fn backup(&self, to: &Path) -> Result<()> {
        unimplemented!()
    }
    fn audit(&self) -> Result<Vec<PromiseReport>> {
        unimplemented!()
    }
}
