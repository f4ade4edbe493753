//! `data`: the run's values.

use wasmtime::component::{HasSelf, Linker};

use crate::block::bindings::promoflow::workflow::data::{self, Host};
use crate::block::bindings::promoflow::workflow::types;
use crate::block::description::Value;
use crate::block::host::SetError;
use crate::block::sandbox::StepState;

pub(super) fn link(linker: &mut Linker<StepState>) -> wasmtime::Result<()> {
    data::add_to_linker::<_, HasSelf<StepState>>(linker, |state| state)
}

impl Host for StepState {
    fn get(&mut self, name: String) -> wasmtime::Result<Option<types::Value>> {
        Ok(self.enter()?.get(&name).map(into_wit))
    }

    fn set(
        &mut self,
        name: String,
        value: types::Value,
    ) -> wasmtime::Result<Result<(), data::SetError>> {
        Ok(self
            .enter()?
            .set(&name, from_wit(value))
            .map_err(|error| match error {
                SetError::Invalid(text) => data::SetError::Invalid(text),
                SetError::TooLarge(text) => data::SetError::TooLarge(text),
            }))
    }

    fn names(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(self.enter()?.names())
    }

    fn key(&mut self) -> wasmtime::Result<String> {
        Ok(self.enter()?.key().to_owned())
    }
}

/// A value on its way into a sandbox.
pub(in crate::block) fn into_wit(value: Value) -> types::Value {
    match value {
        Value::Text(text) => types::Value::Text(text),
        Value::Integer(number) => types::Value::Integer(number),
        Value::Decimal(number) => types::Value::Decimal(number),
        Value::Boolean(flag) => types::Value::Boolean(flag),
        Value::Json(text) => types::Value::Json(text),
    }
}

/// A value on its way out.
pub(in crate::block) fn from_wit(value: types::Value) -> Value {
    match value {
        types::Value::Text(text) => Value::Text(text),
        types::Value::Integer(number) => Value::Integer(number),
        types::Value::Decimal(number) => Value::Decimal(number),
        types::Value::Boolean(flag) => Value::Boolean(flag),
        types::Value::Json(text) => Value::Json(text),
    }
}
