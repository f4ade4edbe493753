//! A wake-up signal with a counter, so that no notification is lost between two waits.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::engine::lock;

/// Wakes the threads that wait for something to happen.
#[derive(Default)]
pub(super) struct Bell {
    rung: Mutex<Rung>,
    heard: Condvar,
}

#[derive(Default)]
struct Rung {
    times: u64,
    waiting: usize,
}

impl Bell {
    /// Wakes all waiting threads. A thread that waits later with an older counter returns at once.
    pub(super) fn ring(&self) {
        let mut rung = lock(&self.rung);
        rung.times += 1;
        if rung.waiting > 0 {
            self.heard.notify_all();
        }
    }

    /// Waits for a notification newer than `last`, for at most `most`.
    pub(super) fn wait(&self, last: &mut u64, most: Duration) {
        let mut rung = lock(&self.rung);
        rung.waiting += 1;
        let (mut rung, _) = self
            .heard
            .wait_timeout_while(rung, most, |rung| rung.times == *last)
            .unwrap_or_else(PoisonError::into_inner);
        rung.waiting -= 1;
        *last = rung.times;
    }
}
