//! Shared parts of the end-to-end suites: a prepared installation, a manual clock, a channel that
//! records its messages, and helper processes to kill.

mod clock;
#[cfg(unix)]
pub mod crash;
mod delivery_oracle;
mod helper;
pub mod options;
#[cfg(unix)]
pub mod powerloss;
mod recording_channel;
#[cfg(unix)]
pub mod smtp_faults;
mod test_app;

pub use clock::TestClock;
pub use delivery_oracle::assert_deliveries_match;
pub use helper::{Ack, Helper};
pub use recording_channel::{FileChannel, RecordingChannel, SentMessage};
pub use test_app::{
    CODE_THEN_MAIL, MAIL, MISCHIEF, PromoflowExt, TestApp, block_cache, chaos, ids, until,
};
