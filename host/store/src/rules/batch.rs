//! The fallback for a batch of units that could not be committed in one transaction.

use crate::{CommitReply, CommitUnit, Result, StoreError};

/// Returns true if some units of a batch may be committed individually after this error: one of
/// them cannot be committed, for whatever reason, or a failing disk may serve those before it.
pub fn may_commit_some(error: &StoreError) -> bool {
    use StoreError::{Damaged, Disk, Engine};
    matches!(error, Engine(_) | Disk(_) | Damaged { .. })
}

/// Commits units individually. A unit that is committed gets its reply, whatever happens to the
/// units after it; returning an error would deny that. If the result of a unit is unknown, so is
/// that of the batch.
pub fn commit_individually(
    units: &[CommitUnit],
    commit: impl Fn(&[CommitUnit]) -> Result<Vec<CommitReply>>,
) -> Result<Vec<CommitReply>> {
    let mut replies = Vec::with_capacity(units.len());
    let mut failure = None;
    for unit in units {
        match failure
            .as_ref()
            .filter(|error| is_independent_of_units(error))
        {
            // The failure affects every unit, so the database is tried, or waited for, only once.
            Some(error) => replies.push(CommitReply::Failed(error.to_string())),
            None => match commit(std::slice::from_ref(unit)) {
                Ok(reply) => replies.extend(reply),
                Err(error @ StoreError::Unknown(_)) => return Err(error),
                Err(error) => {
                    replies.push(CommitReply::Failed(error.to_string()));
                    failure = Some(error);
                }
            },
        }
    }
    match failure {
        // The disk failed, not the units. After an error, the committer waits a moment.
        Some(error)
            if replies
                .iter()
                .all(|one| matches!(one, CommitReply::Failed(_))) =>
        {
            Err(error)
        }
        _ => Ok(replies),
    }
}

/// Returns true if the failure does not depend on what is committed.
fn is_independent_of_units(error: &StoreError) -> bool {
    use StoreError::{Busy, Disk, Full};
    matches!(error, Busy { .. } | Disk(_) | Full)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use std::cell::Cell;

    use super::*;

    fn units(count: usize) -> Vec<CommitUnit> {
        let unit = CommitUnit::Attempts(Box::default());
        vec![unit; count]
    }

    /// Commits units individually; `results` has the result of each. Returns the replies and the
    /// number of units that were tried.
    fn commit(results: Vec<Result<CommitReply>>) -> (Result<Vec<CommitReply>>, usize) {
        let (units, tries) = (units(results.len()), Cell::new(0));
        let results = results.into_iter().map(|result| Cell::new(Some(result)));
        let results: Vec<_> = results.collect();
        let replies = commit_individually(&units, |_| {
            let result = results[tries.get()].take().unwrap();
            tries.set(tries.get() + 1);
            Ok(vec![result?])
        });
        (replies, tries.get())
    }

    #[test]
    fn failed_unit_does_not_affect_the_others() {
        let damaged = || StoreError::Engine("no such row".into());
        let results = vec![Ok(CommitReply::Done), Err(damaged()), Ok(CommitReply::Done)];
        let (replies, tries) = commit(results);
        let failed = CommitReply::Failed(damaged().to_string());
        assert_eq!(
            replies.unwrap(),
            [CommitReply::Done, failed, CommitReply::Done]
        );
        assert_eq!(tries, 3);
    }

    #[test]
    fn failing_disk_is_tried_once_for_all_units() {
        let failed = || Err(StoreError::Disk("I/O error".into()));
        let (replies, tries) = commit(vec![failed(), failed(), failed()]);
        assert!(matches!(replies, Err(StoreError::Disk(_))));
        assert_eq!(tries, 1);
        // What was committed before is acknowledged.
        let (replies, tries) = commit(vec![Ok(CommitReply::Done), failed(), failed()]);
        let replies = replies.unwrap();
        assert!(matches!(
            replies[..],
            [
                CommitReply::Done,
                CommitReply::Failed(_),
                CommitReply::Failed(_)
            ]
        ));
        assert_eq!(tries, 2);
    }

    #[test]
    fn unknown_result_is_not_reported_as_a_failure() {
        let unknown = Err(StoreError::Unknown("connection closed".into()));
        let (replies, _) = commit(vec![Ok(CommitReply::Done), unknown]);
        assert!(matches!(replies, Err(StoreError::Unknown(_))));
    }
}
