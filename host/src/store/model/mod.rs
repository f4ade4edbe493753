//! What crosses the line between the store and its callers.

mod census;
mod codes;
mod configuration;
mod history;
mod ids;
mod notices;
mod outbox;
mod service;
mod unit;

pub use census::*;
pub use codes::*;
pub use configuration::*;
pub use history::*;
pub use ids::*;
pub use notices::*;
pub use outbox::*;
pub use service::*;
pub use unit::*;
