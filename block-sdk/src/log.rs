//! Log messages in the run's history. Do not log promo codes or addresses.

use crate::host::log as host;

pub use crate::bindings::promoflow::workflow::log::Level;

/// Attaches a log message to this step.
pub fn write(level: Level, text: &str) {
    host::write(level, text);
}

/// Logs details that help to find an error.
pub fn debug(text: &str) {
    write(Level::Debug, text);
}

/// Logs what was done.
pub fn info(text: &str) {
    write(Level::Info, text);
}

/// Logs what may need attention.
pub fn warn(text: &str) {
    write(Level::Warn, text);
}

/// Logs an error.
pub fn error(text: &str) {
    write(Level::Error, text);
}
