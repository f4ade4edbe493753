//! Tasks that continue after their client has disconnected.
//!
//! A handler is dropped at any await point when its connection breaks. Work that must not be left
//! half done runs in a task of its own, and shutdown waits for it.

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::problem::Problem;

/// Counts the running tasks.
#[derive(Default)]
pub(super) struct DetachedTasks(watch::Sender<usize>);

impl DetachedTasks {
    /// Spawns a task that outlives its client.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> DetachedTask<T> {
        let guard = TaskGuard::new(&self.0);
        DetachedTask(tokio::spawn(async move {
            let _guard = guard;
            work.await
        }))
    }

    /// Waits until all tasks have finished.
    pub(super) async fn wait(&self) {
        let mut count = self.0.subscribe();
        // Fails only if the sender is dropped, which `self` prevents.
        let _none = count.wait_for(|count| *count == 0).await;
    }
}

/// Handle of a spawned task.
pub(super) struct DetachedTask<T>(JoinHandle<Result<T, Problem>>);

impl<T> DetachedTask<T> {
    /// Waits for the task and returns its result.
    pub(super) async fn join(self) -> Result<T, Problem> {
        let result = self.0.await;
        result.unwrap_or_else(|error| Err(Problem::internal(error)))
    }
}

struct TaskGuard(watch::Sender<usize>);

impl TaskGuard {
    fn new(count: &watch::Sender<usize>) -> TaskGuard {
        count.send_modify(|count| *count += 1);
        TaskGuard(count.clone())
    }
}

impl Drop for TaskGuard {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
