//! Tasks that continue after their client has disconnected.
//!
//! A handler is dropped at any await point when its connection breaks. Work that must not be left
//! half done runs in a task of its own, and shutdown waits for it.

use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use super::problem::Problem;

/// The running tasks.
#[derive(Default)]
pub(super) struct DetachedTasks(TaskTracker);

impl DetachedTasks {
    /// Spawns a task that outlives its client.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> DetachedTask<T> {
        DetachedTask(self.0.spawn(work))
    }

    /// Waits until all tasks have finished.
    pub(super) async fn wait(&self) {
        self.0.close();
        self.0.wait().await;
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
