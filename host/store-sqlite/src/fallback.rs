//! The fallback for a batch that could not be committed as a whole.

use super::{CommitReply, CommitUnit, Error, Result, StoreError};

/// Commits units individually. A unit that is committed gets its reply, whatever happens to the
/// units after it; returning an error would deny that.
pub(super) fn commit_individually(
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
fn is_independent_of_units(error: &Error) -> bool {
    use StoreError::{Busy, Disk, Full};
    matches!(error.0, Busy { .. } | Disk(_) | Full)
}
