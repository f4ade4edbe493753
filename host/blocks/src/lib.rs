//! Blocks: WebAssembly components that the steps of workflows run.
//!
//! [`SandboxPool`] compiles components and limits their resources. A [`Block`] is a compiled
//! component with its [`Description`](promoflow_model::block::Description). [`Block::link`] makes it a [`LinkedBlock`], whose
//! [`run`](LinkedBlock::run) makes a call in a fresh sandbox, which can reach nothing but the
//! [`HostFunctions`] of the call. Each host interface of the contract is a module of `capability`;
//! everything that a block returns is checked by `boundary`. [`check_structure`] checks a component
//! before it is compiled, in a child process if the [`Compiler`] says so. Only this crate uses
//! wasmtime.
//!
//! | module | contents |
//! | --- | --- |
//! | `structure` | the check of a component before it is compiled |
//! | `compiler`, `compile_child`, `cache` | compilation, once for each component, in a child process |
//! | `component`, `sandbox` | compiled blocks, their calls and limits |
//! | `capability`, `boundary` | the host interfaces, and the checks of what a block returns |
//! | `describe`, `no_host` | a block's description of itself |
//! | `library`, `file` | the standard blocks and those of a folder |
//! | `types`, `bindings`, `error` | types of calls, the bindings of `wit/`, errors |
//!
//! ```
//! use promoflow_block_host::check_structure;
//!
//! assert!(check_structure(b"not a component").is_err());
//! ```
//!
//! This crate is internal to Promoflow: its interface changes in any release. Programs depend on the
//! facade `promoflow` instead.
#![forbid(unsafe_code)]

mod bindings;
mod boundary;
mod cache;
mod capability;
mod compile_child;
mod compiler;
mod component;
mod describe;
mod error;
mod file;
mod library;
mod no_host;
mod sandbox;
mod structure;
mod types;

pub use compile_child::compile_if_asked;
pub use compiler::{CompileError, CompileLimits, Compiler};
pub use component::{Block, BlockError, LinkedBlock, MAX_COMPONENT_BYTES};
pub use error::{LibraryError, SandboxError};
pub use library::{BlockLibrary, LibraryBlock, RejectedBlock, STANDARD_BLOCKS};
pub use sandbox::{Bounds, Grants, Interface, SandboxPool};
pub use structure::{StructureError, check_structure};
pub use types::{
    Call, ClaimError, ClaimRequest, CodeOrigin, DeliveryTarget, HostFunctions, Hours, LogLevel,
    Outcome, Promocode, Recipient, Resumption, Reuse, SendError, SendRequest, SetError, StepError,
    WhenEmpty,
};
