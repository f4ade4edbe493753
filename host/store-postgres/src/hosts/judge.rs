//! The judgement that a host has died, and the take-over of its work.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use promoflow_model::clock::Timestamp;

use crate::connection::{Connection, params};
use crate::counts;
use crate::errors::{Error, Result};

/// How long a host may be silent before others take it for dead.
const DEAD_AFTER: Duration = Duration::from_secs(5);
/// The longest time between two looks at the beats. After a longer one, nobody could beat, or this
/// process did not run.
const MAX_GAP: Duration = Duration::from_millis(2_500);

/// A host, with the beat that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) id: String,
    pub(super) beat: i64,
}

/// The beats that this process has seen, by its own monotonic clock. No clocks are compared.
#[derive(Debug, Default)]
pub(super) struct Judge {
    /// The last beat of each host, and since when it is known.
    seen: HashMap<String, (i64, Instant)>,
    looked: Option<Instant>,
}

impl Judge {
    /// Looks at the beats, which were read between these times. Returns the hosts that have been
    /// silent for too long.
    pub(super) fn find_dead(
        &mut self,
        hosts: Vec<Judged>,
        asked: Instant,
        answered: Instant,
    ) -> Vec<Judged> {
        let gap = |looked: Instant| asked.saturating_duration_since(looked) > MAX_GAP;
        if self.looked.is_none_or(gap) {
            self.seen.clear();
        }
        self.looked = Some(answered);
        let mut seen = HashMap::with_capacity(hosts.len());
        let mut dead = Vec::new();
        for host in hosts {
            let since = match self.seen.get(&host.id) {
                Some((beat, since)) if *beat == host.beat => *since,
                _ => answered,
            };
            seen.insert(host.id.clone(), (host.beat, since));
            if asked.saturating_duration_since(since) >= DEAD_AFTER {
                dead.push(host);
            }
        }
        self.seen = seen;
        dead
    }
}

/// Ends a host that has beaten no more. It may commit nothing from here on, and its shares and its
/// leases are free. Returns false if it has beaten or ended meanwhile, or another transaction
/// prevents this for now.
pub(super) fn take_over(connection: &Connection, dead: &Judged) -> Result<bool> {
    let taken = try_take_over(connection, dead);
    if !matches!(taken, Ok(true)) {
        connection.run_script("ROLLBACK")?;
    }
    match taken {
        // Whoever holds its seats for long must not keep this host from beating.
        Err(Error::Conflict(_)) => Ok(false),
        taken => taken,
    }
}

fn try_take_over(connection: &Connection, dead: &Judged) -> Result<bool> {
    let answers = connection.pipeline(&[
        ("BEGIN", params![]),
        ("SET LOCAL lock_timeout = '500ms'", params![]),
        (
            "UPDATE host SET ended_at = (extract(epoch FROM clock_timestamp()) * 1000)::bigint
             WHERE id = $1 AND beat = $2 AND ended_at IS NULL",
            params![dead.id, dead.beat],
        ),
    ])?;
    if answers.last().is_none_or(|ended| ended.affected == 0) {
        return Ok(false);
    }
    let host = params![dead.id];
    connection.pipeline(&[
        // Waits for a commit in flight. Its session is ended by the server if nobody continues it.
        (
            "SELECT number FROM seat WHERE host = $1 ORDER BY number FOR UPDATE",
            host,
        ),
        ("UPDATE seat SET epoch = epoch + 1 WHERE host = $1", host),
        ("UPDATE share SET host = NULL WHERE host = $1", host),
        ("DELETE FROM lease WHERE host = $1", host),
        (
            "INSERT INTO upload_end (upload, state, ended_at)
             SELECT upload.id, 'interrupted',
                 (extract(epoch FROM clock_timestamp()) * 1000)::bigint
             FROM upload WHERE owner = $1 ON CONFLICT (upload) DO NOTHING",
            host,
        ),
        (counts::FOLD[0], host),
        (counts::FOLD[1], host),
        (counts::FOLD[2], host),
        (counts::FOLD[3], host),
        ("COMMIT", params![]),
    ])?;
    Ok(true)
}

/// Removes hosts that ended before that time, with their seats. Their numbers of transactions are
/// added to those of all such hosts, so that the sum of all never falls.
pub(super) fn remove_ended(connection: &Connection, before: Timestamp) -> Result<()> {
    connection.pipeline(&[
        ("BEGIN", params![]),
        (
            "SELECT batch FROM seat WHERE host = '' FOR UPDATE",
            params![],
        ),
        (
            "UPDATE seat SET batch = batch + (
                 SELECT coalesce(sum(old.batch), 0)::bigint FROM seat AS old
                 JOIN host ON host.id = old.host WHERE host.ended_at < $1)
             WHERE host = ''",
            params![before.0],
        ),
        (
            "DELETE FROM seat USING host WHERE host.id = seat.host AND host.ended_at < $1",
            params![before.0],
        ),
        ("DELETE FROM host WHERE ended_at < $1", params![before.0]),
        ("COMMIT", params![]),
    ])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(beat: i64) -> Judged {
        Judged {
            id: "other".into(),
            beat,
        }
    }

    #[test]
    fn host_is_dead_after_five_seconds_of_silence() {
        let mut judge = Judge::default();
        let began = Instant::now();
        let mut look = |second: u64, beat| {
            let at = began + Duration::from_secs(second);
            !judge.find_dead(vec![host(beat)], at, at).is_empty()
        };
        // However long it beat before, and whatever number it has.
        for second in 0..8 {
            assert!(!look(second, -(second.cast_signed())));
        }
        for second in 8..12 {
            assert!(!look(second, -7));
        }
        assert!(look(12, -7));
        assert!(!look(13, -6));
    }

    #[test]
    fn silence_while_nobody_looked_is_no_sign_of_death() {
        let mut judge = Judge::default();
        let began = Instant::now();
        let mut look = |second: u64| {
            let at = began + Duration::from_secs(second);
            !judge.find_dead(vec![host(1)], at, at).is_empty()
        };
        // The database was down, or this process was stopped.
        for second in [0, 1, 2, 10, 11, 12, 13, 14] {
            assert!(!look(second), "{second}");
        }
        assert!(look(15));
    }
}
