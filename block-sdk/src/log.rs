//! Notes for the people who read the run's history. No promo code and no address belongs in them.

use crate::host::log as host;

pub use crate::bindings::promoflow::workflow::log::Level;

/// Attaches a note to this step.
pub fn write(level: Level, text: &str) {
    host::write(level, text);
}

/// A note that only those who look for a fault want.
pub fn debug(text: &str) {
    write(Level::Debug, text);
}

/// A note on what was done.
pub fn info(text: &str) {
    write(Level::Info, text);
}

/// A note on what somebody may want to change.
pub fn warn(text: &str) {
    write(Level::Warn, text);
}

/// A note on what went wrong.
pub fn error(text: &str) {
    write(Level::Error, text);
}
