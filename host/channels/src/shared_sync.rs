//! Making a folder durable for many who renamed files into it.

use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Has one thread at a time make a folder durable, for all whose files came before it began.
#[derive(Debug, Default)]
pub(super) struct SharedSync {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    begun: u64,
    /// The last that went well.
    done: u64,
    running: bool,
}

impl SharedSync {
    /// Returns once a `sync` has gone well that began after this call, or the caller's own has not.
    pub(super) fn wait(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut state = self.state();
        let needed = state.begun + 1;
        while state.running && state.done < needed {
            state = self
                .ended
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.done >= needed {
            return Ok(());
        }
        state.running = true;
        state.begun += 1;
        let own = state.begun;
        drop(state);
        let synced = sync();
        let mut state = self.state();
        state.running = false;
        if synced.is_ok() {
            state.done = own;
        }
        drop(state);
        self.ended.notify_all();
        synced
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn those_who_come_while_it_runs_share_the_next() {
        let (shared, syncs) = (SharedSync::default(), AtomicU32::new(0));
        let sync = || {
            syncs.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        let (started, starts) = mpsc::channel();
        let (go, goes) = mpsc::channel::<()>();
        thread::scope(|scope| {
            let first = scope.spawn(|| {
                shared.wait(move || {
                    started.send(()).unwrap();
                    goes.recv().unwrap();
                    Ok(())
                })
            });
            starts.recv().unwrap();
            let later: Vec<_> = (0..8).map(|_| scope.spawn(|| shared.wait(sync))).collect();
            thread::sleep(Duration::from_millis(50));
            assert_eq!(syncs.load(Ordering::SeqCst), 0, "one at a time");
            go.send(()).unwrap();
            for one in later {
                one.join().unwrap().unwrap();
            }
            first.join().unwrap().unwrap();
        });
        // The one that ran began before they came, and made nothing of theirs durable.
        assert_eq!(syncs.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_failure_is_told_to_whose_it_is_and_the_others_do_it_themselves() {
        let shared = SharedSync::default();
        let failed = shared.wait(|| Err(io::Error::other("no")));
        assert!(failed.is_err());
        let mut done = false;
        shared
            .wait(|| {
                done = true;
                Ok(())
            })
            .unwrap();
        assert!(done);
    }
}
