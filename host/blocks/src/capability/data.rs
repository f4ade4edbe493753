//! `data`: the run's values.

use wasmtime::component::{HasSelf, Linker};

use crate::bindings::promoflow::workflow::data;
use crate::bindings::promoflow::workflow::data::Host;
use crate::bindings::promoflow::workflow::types;
use crate::boundary::read_value;
use crate::sandbox::StepState;
use crate::types::{HostFunctions, SetError};
use promoflow_model::block::Value;

pub(super) fn link<H: HostFunctions>(linker: &mut Linker<StepState<H>>) -> wasmtime::Result<()> {
    data::add_to_linker::<_, HasSelf<StepState<H>>>(linker, |state| state)
}

impl<H: HostFunctions> Host for StepState<H> {
    fn get(&mut self, name: String) -> wasmtime::Result<Option<types::Value>> {
        Ok(self.enter()?.get(&name).map(into_wit))
    }

    fn set(
        &mut self,
        name: String,
        value: types::Value,
    ) -> wasmtime::Result<Result<(), data::SetError>> {
        let host = self.enter()?;
        let set = read_value(value)
            .map_err(SetError::Invalid)
            .and_then(|value| host.set(&name, value));
        Ok(set.map_err(|error| match error {
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

/// Converts a value for the sandbox.
pub(crate) fn into_wit(value: Value) -> types::Value {
    match value {
        Value::Text(text) => types::Value::Text(text),
        Value::Integer(number) => types::Value::Integer(number),
        Value::Decimal(number) => types::Value::Decimal(number),
        Value::Boolean(flag) => types::Value::Boolean(flag),
        Value::Json(text) => types::Value::Json(text),
    }
}
