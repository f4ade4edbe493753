//! Blocks: WebAssembly components that the steps of workflows run.
//!
//! [`Sandboxes`] compiles components and limits their resources. A [`Block`] is a compiled
//! component with its [`Description`]. [`Block::run`] makes a call in a fresh sandbox, which can
//! reach nothing but the [`StepHost`] of the call. Each host interface of the contract is a module
//! of `capability`; everything that a block returns is checked by `boundary`. [`check_structure`]
//! checks a component before it is compiled, in a child process if the [`Compiler`] says so. Only
//! this module uses wasmtime.

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
