//! The trait that a block implements, and how it becomes a component.

use crate::bindings::exports::promoflow::workflow::block::{self as contract, Guest};
use crate::{Call, Description, Error, Outcome};

/// A block: what it is, and what a step of it does.
///
/// Each call runs in an instance of its own: nothing is kept between two calls but the run's data.
pub trait Block {
    /// What the block is. Called once for each version of it; it may use no function of the host.
    fn describe() -> Description;

    /// Does a step's work by staging effects. Where it ends in an error, nothing that the step
    /// staged is kept.
    ///
    /// # Errors
    /// Says whose turn it is: [`Error::Invalid`] the workflow's author's, [`Error::Rejected`]
    /// nobody's, [`Error::Unavailable`] the host's, which tries again later.
    fn run(call: Call) -> Result<Outcome, Error>;
}

impl<B: Block> Guest for B {
    fn describe() -> Description {
        report_panics();
        B::describe()
    }

    fn run(call: contract::Call) -> Result<Outcome, Error> {
        report_panics();
        B::run(call.into())
    }
}

/// Has the host told of a panic, its message and its place, before it ends the call as a trap.
/// Each call is an instance of its own, so it is set up by each.
#[cfg(target_arch = "wasm32")]
fn report_panics() {
    // As the standard library words it, which is what the host reads.
    std::panic::set_hook(Box::new(|panic| crate::log::error(&panic.to_string())));
}

#[cfg(not(target_arch = "wasm32"))]
fn report_panics() {}

/// Makes a type that implements [`Block`] the block of this crate's component.
///
/// Compiled for another target than WebAssembly it does nothing, so that the crate can be tested
/// as any other.
#[macro_export]
macro_rules! export {
    ($block:ident) => {
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::export_component!($block with_types_in $crate::bindings);
    };
}
