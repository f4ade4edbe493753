//! Blocks: WebAssembly components that a workflow's steps place.
//!
//! [`Sandboxes`] compiles components and bounds what they may use; a [`Block`] is a compiled
//! component with its [`Description`]; [`Block::run`] makes a call in a fresh sandbox, which
//! reaches the run through the [`StepHost`] it is lent and through nothing else. Each host
//! interface of the contract is a module of `capability`; what a block hands out passes through
//! `boundary`. A component is read by [`check_structure`] before it is compiled, in a child process
//! where a [`Compiler`] says so. Wasmtime stands here alone.

mod bindings;
mod boundary;
mod cache;
mod capability;
mod compile_child;
mod compiler;
mod component;
mod describe;
mod file;
mod host;
mod library;
mod sandbox;
mod structure;

pub use compile_child::compile_if_asked;
pub use compiler::{CompileError, CompileLimits, Compiler};
pub use component::{Block, BlockError, MAX_COMPONENT_BYTES};
pub use host::{
    Call, ClaimError, ClaimRequest, CodeOrigin, Hours, LogLevel, Outcome, Promocode, Recipient,
    Resumption, Reuse, SendError, SendRequest, SetError, StepError, StepHost, Target, WhenEmpty,
};
pub use library::{BlockLibrary, LibraryBlock, RefusedBlock, STANDARD_BLOCKS};
pub use sandbox::{Bounds, Grants, Interface, Sandboxes};
pub use structure::{StructureError, check_structure};
