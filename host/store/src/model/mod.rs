//! The data that callers and the store exchange.

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

/// The due time of something that may begin at once. A time of the clock instead would delay it if
/// the clock was ahead and is set right.
pub const AT_ONCE: Timestamp = Timestamp(0);
