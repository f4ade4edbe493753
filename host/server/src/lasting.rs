//! Work that goes on when the client that asked for it has gone.
//!
//! A handler is dropped where its connection breaks, wherever it stands. What is not to be left
//! half done has a task of its own instead, and the service does not end before it.

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::problem::Problem;

/// Counts the tasks that are under way.
#[derive(Default)]
pub(super) struct Lasting(watch::Sender<usize>);

impl Lasting {
    /// Begins work that outlives its client.
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

    /// Waits until nothing is under way.
    pub(super) async fn ended(&self) {
        let mut count = self.0.subscribe();
        // It ends with the sender, which is held here.
        let _none = count.wait_for(|count| *count == 0).await;
    }
}

/// Work that has begun.
pub(super) struct Begun<T>(JoinHandle<Result<T, Problem>>);

impl<T> Begun<T> {
    /// What came of it.
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
