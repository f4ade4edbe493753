//! The data that callers and the store exchange.

mod changes;
mod codes;
mod commit;
mod configuration;
mod history;
mod ids;
mod notifications;
mod outbox;
mod service;
mod statistics;

pub use changes::*;
pub use codes::*;
pub use commit::*;
pub use configuration::*;
pub use history::*;
pub use ids::*;
pub use notifications::*;
pub use outbox::*;
pub use service::*;
pub use statistics::*;

use promoflow_model::clock::Timestamp;

/// The due time of something that may begin at once. A time of the clock instead would delay it if
/// the clock was ahead and is set right.
pub const DUE_NOW: Timestamp = Timestamp(0);
