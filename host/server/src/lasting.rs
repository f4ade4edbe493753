//! Tasks that continue after their client has disconnected.
//!
//! A handler is dropped at any await point when its connection breaks. Work that must not be left
//! half done runs in a task of its own, and shutdown waits for it.

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::problem::Problem;

/// Counts the running tasks.
#[derive(Default)]
pub(super) struct Lasting(watch::Sender<usize>);

impl Lasting {
    /// Spawns a task that outlives its client.
    pub(super) fn begin<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Begun<T> {
        let counted = Counted::new(&self.0);
        Begun(tokio::spawn(async move {
            let _counted = counted;
            work.await
        }))
    }

    /// Waits until all tasks have finished.
    pub(super) async fn ended(&self) {
        let mut count = self.0.subscribe();
        // Fails only if the sender is dropped, which `self` prevents.
        let _none = count.wait_for(|count| *count == 0).await;
    }
}

/// Handle of a spawned task.
pub(super) struct Begun<T>(JoinHandle<Result<T, Problem>>);

impl<T> Begun<T> {
    /// Waits for the task and returns its result.
    pub(super) async fn end(self) -> Result<T, Problem> {
        let ended = self.0.await;
        ended.unwrap_or_else(|error| Err(Problem::internal(error)))
    }
}

struct Counted(watch::Sender<usize>);

impl Counted {
    fn new(count: &watch::Sender<usize>) -> Counted {
        count.send_modify(|count| *count += 1);
        Counted(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
