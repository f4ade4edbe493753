//! The SDK for writing Promoflow blocks.
//!
//! A **block** describes itself with a [`Description`]: a name, [`Parameter`]s, and [`Port`]s, the
//! named exits of its steps. A workflow uses the block as a **step** with parameters. When a run
//! reaches the step, the host makes a [`Call`], and the block returns an [`Outcome`] or an
//! [`Error`]. Everything it does in between is **staged**: values in [`data`],
//! [claimed](promocodes) codes, [messages] and [log] messages. The host commits either all of it or
//! nothing.
//!
//! ```
//! use promoflow_block::{Block, Call, Description, Error, Outcome, Parameter, Port, data, export};
//!
//! struct Greet;
//!
//! impl Block for Greet {
//!     fn describe() -> Description {
//!         Description::new("greet", env!("CARGO_PKG_VERSION"))
//!             .title("Greet")
//!             .description("Sets the value `greeting`.")
//!             .param(Parameter::text("name", 1..=100).title("Name").required())
//!             .port(Port::new("next").title("Next").falls_through())
//!     }
//!
//!     fn run(call: Call) -> Result<Outcome, Error> {
//!         let name = call.params.text("name")?;
//!         data::set("greeting", format!("Hello, {name}!"))?;
//!         Ok(Outcome::port("next"))
//!     }
//! }
//!
//! export!(Greet);
//!
//! // Blocks are tested like any other crate, with a fake host.
//! # #[cfg(not(target_arch = "wasm32"))] {
//! use promoflow_block::testing::Host;
//!
//! let mut host = Host::new();
//! let outcome = host.run::<Greet>([("name", "Ann".into())])?;
//! assert_eq!(outcome, Outcome::port("next"));
//! assert_eq!(host.get("greeting"), Some(&"Hello, Ann!".into()));
//! # }
//! # Ok::<(), Error>(())
//! ```
//!
//! # Map
//!
//! | module | contents |
//! | --- | --- |
//! | `block`, `describe`, `outcome` | the trait [`Block`], its description and its results |
//! | `call`, `value`, `choice`, `hours`, `json` | parameters, typed |
//! | [`data`], [`promocodes`], [`messages`], [`log`] | the host's functions, a module for each interface |
//! | [`testing`] | a fake host for tests |
//! | `build` | builds components, with the feature `build` |
//! | [`bindings`], `host`, `allocator` | what a component needs to be one |
//!
//! # Building
//! A block is a crate of the type `cdylib`. `cargo xtask blocks PATH` builds a component from it,
//! and so does the module `build` (with the feature `build`) in build scripts and tools. To call
//! cargo directly, build for `wasm32-unknown-unknown` and pass `-C link-arg=-zstack-size=16384`:
//! with the default, a megabyte of stack is cleared for every step of every run. The stack is at
//! the lowest addresses, so an overflow traps and overwrites nothing.
//!
//! A component imports only the functions that its block calls, and `log`, which passes the message
//! and the position of a panic to the run's history. A step is granted only those.

#[cfg(any(test, target_arch = "wasm32"))]
mod allocator;
mod block;
mod call;
mod choice;
mod describe;
mod host;
mod hours;
mod json;
mod outcome;
mod value;

#[doc(hidden)]
pub mod bindings;
#[cfg(feature = "build")]
pub mod build;
pub mod data;
pub mod log;
pub mod messages;
pub mod promocodes;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use bindings::exports::promoflow::workflow::block::{
    Alternative, BlockError as Error, Carries, CodeWait, DecimalBounds, Description, IntegerBounds,
    Kind, Outcome, Parameter, Port, ReplyWait, Resumption, TextBounds, Timer,
};
pub use bindings::promoflow::workflow::data::SetError;
pub use bindings::promoflow::workflow::messages::{Channel, Hours, Request, SendError};
pub use bindings::promoflow::workflow::promocodes::{
    ClaimError, Origin, Promocode, Reuse, Selector, WhenEmpty,
};
pub use bindings::promoflow::workflow::types::Value;
pub use block::Block;
pub use call::{Call, Params};
pub use choice::{Choice, ChoicePayload};
