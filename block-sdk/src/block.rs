//! The trait that a block implements, and its export as a component.

use crate::bindings::exports::promoflow::workflow::block::{self as contract, Guest};
use crate::{Call, Description, Error, Outcome};

/// A block: its description, and the work of its steps.
///
/// Each call runs in its own instance. Only the run's data is kept between calls.
pub trait Block {
    /// Returns the block's description. Called once per version; must not call the host.
    fn describe() -> Description;

    /// Performs a step's work by staging effects. On an error, everything that the step staged is
    /// discarded.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the workflow's author must change something, [`Error::Rejected`] if
    /// this run cannot continue, and [`Error::Unavailable`] if the host should try again later.
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

/// Reports the message and the position of a panic to the host before it ends the call as a trap.
/// Each call is its own instance, so each call installs the hook.
#[cfg(target_arch = "wasm32")]
fn report_panics() {
    // The format of the standard library, which the host parses.
    std::panic::set_hook(Box::new(|panic| crate::log::error(&panic.to_string())));
}

#[cfg(not(target_arch = "wasm32"))]
fn report_panics() {}

/// Makes a type that implements [`Block`] the block of this crate's component.
///
/// Expands to nothing on targets other than WebAssembly, so that the crate can be tested like any
/// other.
#[macro_export]
macro_rules! export {
    ($block:ident) => {
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::export_component!($block with_types_in $crate::bindings);
    };
}
