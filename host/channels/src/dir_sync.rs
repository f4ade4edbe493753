//! Shares one sync of a folder among all threads that renamed files into it.

use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Lets one thread at a time sync a folder, on behalf of all threads whose files were renamed
/// before.
#[derive(Debug, Default)]
pub(super) struct DirSync {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    begun: u64,
    /// The last sync that succeeded.
    done: u64,
    running: bool,
}

impl DirSync {
    /// Returns after a successful `sync` that started after this call, by this or another thread.
    /// Returns an error only if this thread's own sync failed.
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
    fn calls_during_a_sync_share_the_next_one() {
        let (shared, syncs) = (DirSync::default(), AtomicU32::new(0));
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
        // The running sync had started before these calls, so it did not cover them.
        assert_eq!(syncs.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_failed_sync_fails_only_its_own_call() {
        let shared = DirSync::default();
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
