//! The JSON of Promoflow: what the HTTP service answers and takes, and what the command line prints
//! with `--json`.
//!
//! Each type converts from the stored rows or the results that it shows. With the feature `schema`
//! the types describe themselves for the OpenAPI document. Domain types whose JSON is the same in
//! the API, such as states and scopes, stand in it as they are.
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
