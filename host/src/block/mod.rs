//! Blocks: WebAssembly components that a workflow's steps place.
//!
//! [`Sandboxes`] compiles components and bounds what they may use; a [`Block`] is a compiled
//! component with its [`Description`]; [`Block::run`] makes a call in a fresh sandbox, which
//! reaches the run through the [`StepHost`] it is lent and through nothing else. Each host
//! interface of the contract is a module of `capability`. Wasmtime stands here alone.

mod bindings;
mod cache;
mod capability;
mod component;
mod description;
mod host;
mod library;
mod sandbox;

pub use component::{Block, BlockError, MAX_COMPONENT_BYTES};
pub use description::{Alternative, Carries, Description, Kind, Parameter, Port, Value};
pub use host::{
    Call, ClaimError, ClaimRequest, CodeOrigin, Hours, LogLevel, Outcome, Promocode, Recipient,
    Resumption, Reuse, SendError, SendRequest, SetError, StepError, StepHost, Target, WhenEmpty,
};
pub use library::{BlockLibrary, LibraryBlock, STANDARD_BLOCKS};
pub use sandbox::{Bounds, Grants, Interface, Sandboxes};
