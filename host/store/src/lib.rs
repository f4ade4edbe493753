//! The store: the traits through which all state is read and committed.
//!
//! They are shaped by what their callers need, not by tables: commit a batch of [`CommitUnit`]s at
//! once, lease the next codes of a code group, import an upload, list what is due. There is one
//! trait for each aggregate; a [`Store`] implements all of them. `promoflow-store-sqlite` is the
//! implementation that is embedded.
//!
//! | module | contents |
//! | --- | --- |
//! | `traits` | the traits of a store, one for each aggregate |
//! | `model` | the data that callers and the store exchange |
//! | [`rules`] | the decisions that every engine makes in its transactions |
//! | `error` | the error of a store |
//!
//! ```
//! use promoflow_store::StoreError;
//!
//! // Its variants say whether a retry helps.
//! assert_eq!(StoreError::Full.to_string(), "the disk is full");
//! ```
#![forbid(unsafe_code)]

mod error;
mod model;
pub mod rules;
mod traits;
pub mod transfer;

pub use error::{Result, StoreError};
pub use model::*;
pub use traits::*;
