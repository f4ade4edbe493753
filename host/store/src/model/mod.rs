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

use promoflow_model::clock::Timestamp;

/// When something is due that never was to wait. A moment of the clock in its place would make it
/// wait where the clock was ahead, and is put right before it goes on.
pub const AT_ONCE: Timestamp = Timestamp(0);
