//! What becomes of a batch that could not be committed as a whole.

use super::{Error, Reply, Result, StoreError, Unit};

/// Commits units one after another. What stands is answered so, whatever becomes of the units
/// after it; an error of the call would deny it.
pub(super) fn one_by_one(
    units: &[Unit],
    commit: impl Fn(&[Unit]) -> Result<Vec<Reply>>,
) -> Result<Vec<Reply>> {
    let mut replies = Vec::with_capacity(units.len());
    let mut failure = None;
    for unit in units {
        match failure.as_ref().filter(|error| fails_any(error)) {
            // It was asked, or waited for, once.
            Some(error) => replies.push(Reply::Failed(error.to_string())),
            None => match commit(std::slice::from_ref(unit)) {
                Ok(reply) => replies.extend(reply),
                Err(error) => {
                    replies.push(Reply::Failed(error.to_string()));
                    failure = Some(error);
                }
            },
        }
    }
    match failure {
        // It is not the units, but the disk: the committer pauses then.
        Some(error) if replies.iter().all(|one| matches!(one, Reply::Failed(_))) => Err(error),
        _ => Ok(replies),
    }
}

/// Whether a failure has nothing to do with what was to be committed.
fn fails_any(error: &Error) -> bool {
    use StoreError::{Busy, Disk, Full};
    matches!(error.0, Busy { .. } | Disk(_) | Full)
}
