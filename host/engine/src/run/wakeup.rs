//! A wake-up signal with a counter, so that no notification is lost between two waits.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::sync::lock;

/// Wakes the threads that wait for something to happen.
#[derive(Default)]
pub(super) struct Wakeup {
    state: Mutex<WakeupState>,
    condvar: Condvar,
}

#[derive(Default)]
struct WakeupState {
    notifications: u64,
    waiting: usize,
}

impl Wakeup {
    /// Wakes all waiting threads. A thread that waits later with an older counter returns at once.
    pub(super) fn notify(&self) {
        let mut state = lock(&self.state);
        state.notifications += 1;
        if state.waiting > 0 {
            self.condvar.notify_all();
        }
    }

    /// Waits for a notification newer than `last`, for at most `most`. Returns true if there was
    /// one.
    pub(super) fn wait(&self, last: &mut u64, most: Duration) -> bool {
        let mut state = lock(&self.state);
        state.waiting += 1;
        let (mut state, waited) = self
            .condvar
            .wait_timeout_while(state, most, |state| state.notifications == *last)
            .unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        *last = state.notifications;
        !waited.timed_out()
    }
}
