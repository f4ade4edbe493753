//! Shared parts of the end-to-end suites: a prepared installation, a manual clock, a channel that
//! records its messages, and helper processes to kill.

mod clock;
#[cfg(unix)]
pub mod crash;
#[cfg(unix)]
pub mod faulty;
mod helper;
mod left;
mod letters;
pub mod options;
#[cfg(unix)]
pub mod powerloss;
mod shop;

pub use clock::HandClock;
pub use helper::{Ack, Helper};
pub use left::letters_fit;
pub use letters::{LetterFile, Letters, Sent};
pub use shop::{CODE_THEN_MAIL, MAIL, Shop, Teach, ids, mischief, until};
