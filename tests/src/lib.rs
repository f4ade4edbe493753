//! What the end-to-end suites share: a shop to set up, a clock to move, a channel that keeps its
//! letters, and helper processes to kill.

mod clock;
#[cfg(unix)]
pub mod crash;
#[cfg(unix)]
pub mod faulty;
mod helper;
mod left;
mod letters;
#[cfg(unix)]
pub mod powerloss;
mod shop;

pub use clock::HandClock;
pub use helper::{Ack, Helper};
pub use left::letters_fit;
pub use letters::{LetterFile, Letters, Sent};
pub use shop::{CODE_THEN_MAIL, MAIL, Shop, Teach, ids, mischief, until};
