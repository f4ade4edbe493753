//! The host interfaces of the contract. Each module contains an interface's linking, its limits and
//! its conversions.

pub(super) mod data;
pub(super) mod log;
pub(super) mod messages;
pub(super) mod promocodes;

use wasmtime::component::Linker;

use super::bindings::promoflow::workflow;
use super::sandbox::{Interface, StepState};
use super::types::HostFunctions;

/// Links one interface.
pub(super) fn link<H: HostFunctions>(
    linker: &mut Linker<StepState<H>>,
    interface: Interface,
) -> wasmtime::Result<()> {
    match interface {
        Interface::Data => data::link(linker),
        Interface::Promocodes => promocodes::link(linker),
        Interface::Messages => messages::link(linker),
        Interface::Log => log::link(linker),
    }
}

impl<H: HostFunctions> workflow::types::Host for StepState<H> {}
