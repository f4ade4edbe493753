//! The JSON of Promoflow: what the HTTP service answers and takes, and what the command line prints
//! with `--json`.
//!
//! Each type converts from the stored rows or the results that it shows. With the feature `schema`
//! the types describe themselves for the OpenAPI document. Domain types whose JSON is the same in
//! the API, such as states and scopes, are used as they are.
//!
//! Each module holds the JSON of the resource that it is named after.
//!
//! ```
//! use promoflow_api_model::ErrorDetail;
//!
//! let error = ErrorDetail {
//!     field: Some("discount".to_owned()),
//!     detail: "expected 0 to 99".to_owned(),
//!     ..ErrorDetail::default()
//! };
//! // What is unknown is left out.
//! let json = serde_json::to_value(error).expect("a value");
//! assert_eq!(json, serde_json::json!({ "field": "discount", "detail": "expected 0 to 99" }));
//! ```
//!
//! This crate is internal to Promoflow: its interface changes in any release. Programs depend on the
//! facade `promoflow` instead.
#![forbid(unsafe_code)]

mod alerts;
mod blocks;
mod codes;
mod contacts;
mod error_detail;
mod events;
mod keys;
mod messages;
mod outbox;
mod runs;
mod test_run;
mod uploads;
mod workflows;

pub use alerts::*;
pub use blocks::*;
pub use codes::*;
pub use contacts::*;
pub use error_detail::*;
pub use events::*;
pub use keys::*;
pub use messages::*;
pub use outbox::*;
pub use runs::*;
pub use test_run::*;
pub use uploads::*;
pub use workflows::*;
