//! A bounded queue between threads that takes and wakes many at once.
//!
//! The standard channels wake a thread for each item; at tens of thousands of items a second
//! those system calls cost more than the items do.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Items on their way from some threads to others.
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    drained: Condvar,
    capacity: usize,
}

struct State<T> {
    items: VecDeque<T>,
    closed: bool,
    takers: usize,
    givers: usize,
}

impl<T> Queue<T> {
    /// A queue that holds so many items before those who bring more wait.
    pub(crate) fn new(capacity: usize) -> Queue<T> {
        let state = State {
            items: VecDeque::new(),
            closed: false,
            takers: 0,
            givers: 0,
        };
        Queue {
            state: Mutex::new(state),
            filled: Condvar::new(),
            drained: Condvar::new(),
            capacity,
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an item; waits while the queue is full. Gives the item back once it is closed.
    pub(crate) fn put(&self, item: T) -> Result<(), T> {
        let mut state = self.state();
        while state.items.len() >= self.capacity && !state.closed {
            state.givers += 1;
            state = self
                .drained
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.givers -= 1;
        }
        self.add(state, item)
    }

    /// Adds an item whether there is room or not, for those who must not wait.
    pub(crate) fn put_at_once(&self, item: T) -> Result<(), T> {
        self.add(self.state(), item)
    }

    fn add(&self, mut state: MutexGuard<'_, State<T>>, item: T) -> Result<(), T> {
        if state.closed {
            return Err(item);
        }
        state.items.push_back(item);
        if state.takers > 0 {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Takes a share of what there is: no more than `most`, and no more than leaves as much for
    /// each of `takers` threads. Waits for the first item; empty once closed and drained.
    pub(crate) fn take(&self, most: usize, takers: usize) -> Vec<T> {
        let mut state = self.state();
        while state.items.is_empty() && !state.closed {
            state.takers += 1;
            state = self
                .filled
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.takers -= 1;
        }
        let share = (state.items.len() / takers.max(1)).clamp(1, most);
        let taken = share.min(state.items.len());
        let items = state.items.drain(..taken).collect();
        // Only once there is room for many: a wake for each item is what this queue avoids.
        if state.givers > 0 && state.items.len() <= self.capacity / 2 {
            self.drained.notify_all();
        }
        items
    }

    /// Whether a thread waits for an item and there is none: what is put now is taken at once.
    pub(crate) fn idle(&self) -> bool {
        let state = self.state();
        state.items.is_empty() && state.takers > 0 && !state.closed
    }

    /// How many items wait.
    pub(crate) fn len(&self) -> usize {
        self.state().items.len()
    }

    /// Refuses what comes from now on. What is in the queue is still taken.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.filled.notify_all();
        self.drained.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn all_items_arrive_once_whoever_brings_and_takes_them() {
        let queue = Queue::new(8);
        let mut taken: Vec<usize> = thread::scope(|scope| {
            let takers: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        let mut taken = Vec::new();
                        loop {
                            let items = queue.take(4, 3);
                            if items.is_empty() {
                                return taken;
                            }
                            taken.extend(items);
                        }
                    })
                })
                .collect();
            let givers: Vec<_> = (0..4)
                .map(|giver| {
                    let queue = &queue;
                    scope.spawn(move || (0..1_000).all(|n| queue.put(giver * 1_000 + n).is_ok()))
                })
                .collect();
            assert!(givers.into_iter().all(|giver| giver.join().unwrap()));
            queue.close();
            takers
                .into_iter()
                .flat_map(|taker| taker.join().unwrap())
                .collect()
        });
        taken.sort_unstable();
        assert_eq!(taken, (0..4_000).collect::<Vec<_>>());
        assert_eq!(queue.put(7), Err(7));
    }
}
