//! The hosts of a database: the processes that write to it, and their seats.

mod beat;
mod judge;
mod member;
mod shares;
#[cfg(test)]
mod tests;

use promoflow_model::message::ChannelKind;
use promoflow_store::StoreError;

use crate::PostgresStore;
use crate::connection::{Connection, params};
use crate::counts;
use crate::errors::{Error, Result};
use crate::transaction::{Seat, Transaction};
use shares::Work;

pub(crate) use beat::Beat;
pub(crate) use shares::{RUN_SHARES, Shares};

/// How many transactions of one host may write at a time.
pub(crate) const SEATS: i32 = 6;

/// Adds this process to the hosts, and returns its name.
pub(crate) fn register(connection: &Connection) -> Result<String> {
    let host = random_name()?;
    connection.run_script("BEGIN")?;
    let registered = connection.pipeline(&[
        // Whoever locks all seats holds this lock.
        ("SELECT id FROM barrier FOR UPDATE", params![]),
        (
            "INSERT INTO host (id, beat, joined_at)
             VALUES ($1, 0, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)",
            params![host],
        ),
        (
            "INSERT INTO seat (host, number, epoch, batch)
             SELECT $1, number, 0, 0 FROM generate_series(0, $2) AS number",
            params![host, SEATS - 1],
        ),
        ("COMMIT", params![]),
    ]);
    match registered {
        Ok(_) => Ok(host),
        Err(error) => {
            // Whatever goes wrong here, the connection is not used again.
            let _undone = connection.run_script("ROLLBACK");
            Err(error)
        }
    }
}

/// Takes a seat from whatever session had it, which can commit nothing from here on. Returns it as of
/// its last commit.
///
/// This is a write, and waits until a commit in flight has ended: with a synchronous standby only a
/// later commit proves that what is visible is also safe.
pub(crate) fn take_over_seat(connection: &Connection, host: &str, number: i32) -> Result<Seat> {
    connection.notices().take_warning();
    let answers = connection.pipeline(&[
        ("BEGIN", params![]),
        (
            "UPDATE seat SET epoch = epoch + 1 WHERE host = $1 AND number = $2
             RETURNING epoch, batch",
            params![host, number],
        ),
        // After the lock: a host that was taken for dead meanwhile has ended.
        (
            "SELECT ended_at IS NULL FROM host WHERE id = $1",
            params![host],
        ),
        ("COMMIT", params![]),
    ])?;
    if connection.notices().take_warning() {
        return Err(Error::Lost("the database warned of the commit".into()));
    }
    let row = |answer: usize| answers.get(answer).and_then(|answer| answer.rows.first());
    let (seat, runs) = (row(1).ok_or(Error::Fenced)?, row(2).ok_or(Error::Fenced)?);
    Ok(Seat {
        host: host.to_owned(),
        number,
        epoch: match runs.get(0)? {
            true => seat.get(0)?,
            // Its epoch is nobody's: the host has ended.
            false => -1,
        },
        batch: seat.get(1)?,
    })
}

/// Records that a host has ended by itself: its leases and its shares are free, and its seats are
/// removed.
pub(crate) fn leave(connection: &Connection, host: &str) -> Result<()> {
    connection.run_script("BEGIN")?;
    connection.pipeline(&[
        (
            "UPDATE host SET ended_at = (extract(epoch FROM clock_timestamp()) * 1000)::bigint
             WHERE id = $1 AND ended_at IS NULL",
            params![host],
        ),
        (
            "UPDATE seat SET epoch = epoch + 1 WHERE host = $1",
            params![host],
        ),
        (
            "UPDATE share SET host = NULL WHERE host = $1",
            params![host],
        ),
        ("DELETE FROM lease WHERE host = $1", params![host]),
        (counts::FOLD[0], params![host]),
        (counts::FOLD[1], params![host]),
        (counts::FOLD[2], params![host]),
        (counts::FOLD[3], params![host]),
        (
            "UPDATE seat SET batch = batch
                 + (SELECT sum(old.batch)::bigint FROM seat AS old WHERE old.host = $1)
             WHERE host = '' AND EXISTS (SELECT 1 FROM seat AS old WHERE old.host = $1)",
            params![host],
        ),
        ("DELETE FROM seat WHERE host = $1", params![host]),
        ("COMMIT", params![]),
    ])?;
    Ok(())
}

/// Returns true if the host with this name has ended, so that what it began belongs to nobody.
pub(crate) fn has_ended(transaction: &Transaction<'_>, host: &str) -> Result<bool> {
    let runs = transaction.exists(
        "SELECT 1 FROM host WHERE id = $1 AND ended_at IS NULL",
        params![host],
    )?;
    Ok(!runs)
}

impl PostgresStore {
    /// Returns the remainders modulo [`RUN_SHARES`] of the ids of the runs that this process may
    /// continue; `None` if it may continue any. Takes free shares first.
    pub(crate) fn runs_to_continue(&self) -> Result<Option<Vec<i32>>> {
        self.ask_for(&[Work::Runs])?;
        Ok(self.shares.runs())
    }

    /// Returns those of the channels over which this process may start attempts. Takes free shares
    /// first.
    pub(crate) fn channels_to_deliver(&self, kinds: &[ChannelKind]) -> Result<Vec<ChannelKind>> {
        let work: Vec<Work> = kinds.iter().map(|kind| Work::Channel(*kind)).collect();
        self.ask_for(&work)?;
        let mut kinds = kinds.to_vec();
        kinds.retain(|kind| self.shares.owns_channel(*kind));
        Ok(kinds)
    }

    /// Returns true if this process may send notifications of alerts. Takes the share first if it is
    /// free.
    pub(crate) fn sends_notifications(&self) -> Result<bool> {
        self.ask_for(&[Work::Alerts])?;
        Ok(self.shares.owns_alerts())
    }

    /// Records that this process asks for work, and takes free shares of it if it did not before.
    fn ask_for(&self, work: &[Work]) -> Result<()> {
        if !self.shares.are_binding() {
            return Ok(());
        }
        // It is no host before its first write, nor after it was taken for dead.
        let is_no_host = self.pool.seats.host().is_none();
        if is_no_host {
            self.pool.host()?;
        }
        if self.shares.ask(work) || is_no_host {
            self.pool.beat.beat_now();
        }
        Ok(())
    }
}

/// Returns a name that nothing else has.
pub(crate) fn random_name() -> Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)
        .map_err(|error| StoreError::Open(format!("the machine has no random numbers: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
