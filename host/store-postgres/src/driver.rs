//! The task that moves a connection's bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{StreamExt, stream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Connection};

/// What the server said besides its answers.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    warned: AtomicBool,
}

impl Notices {
    /// Returns whether the server has warned since the last call. A commit that was interrupted
    /// while it waited for a standby is answered as a success with a warning.
    pub(crate) fn take_warning(&self) -> bool {
        self.warned.swap(false, Ordering::SeqCst)
    }
}

/// Drives a connection on the current runtime until it is closed.
pub(crate) fn spawn<S, T>(mut connection: Connection<S, T>) -> Arc<Notices>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let notices = Arc::new(Notices::default());
    let heard = Arc::clone(&notices);
    tokio::spawn(async move {
        let mut messages = stream::poll_fn(|context| connection.poll_message(context));
        while let Some(message) = messages.next().await {
            match message {
                Ok(AsyncMessage::Notice(notice)) if *notice.code() == SqlState::WARNING => {
                    tracing::warn!("the database warns: {}", notice.message());
                    heard.warned.store(true, Ordering::SeqCst);
                }
                Ok(_) => {}
                // Whoever uses the connection learns of it.
                Err(_) => break,
            }
        }
    });
    notices
}
