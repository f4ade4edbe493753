//! Membership: a process that executes runs and delivers does what its shares allow.

use std::sync::{Arc, Weak};

use promoflow_store::Member;

use crate::PostgresStore;
use crate::connection::params;
use crate::errors::Result;
use crate::pool::Pool;
use crate::transaction::Mode;

/// The membership of a process. Dropping it gives up the leases and the shares.
pub(crate) struct Membership {
    pool: Weak<Pool>,
}

impl Member for Membership {}

impl std::fmt::Debug for Membership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Membership")
    }
}

impl PostgresStore {
    /// Makes this process a host that executes.
    pub(crate) fn join(&self) -> Result<Membership> {
        self.pool.host()?;
        self.shares.join();
        Ok(Membership {
            pool: Arc::downgrade(&self.pool),
        })
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        // A store that was dropped has given up everything.
        let Some(pool) = self.pool.upgrade() else {
            return;
        };
        if !pool.seats.shares.leave() || pool.seats.host().is_none() {
            return;
        }
        let given_up = pool.write(Mode::Shared, |transaction| {
            let host = transaction.seat().map(|seat| &seat.host);
            transaction.pipeline(&[
                (
                    "UPDATE share SET host = NULL WHERE host = $1",
                    params![host],
                ),
                ("DELETE FROM lease WHERE host = $1", params![host]),
            ])?;
            Ok(())
        });
        if let Err(error) = given_up {
            tracing::warn!("cannot give up the work of this process yet: {error}");
        }
    }
}
