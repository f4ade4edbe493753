//! The fallback for a batch that could not be committed as a whole.

use super::{Error, Reply, Result, StoreError, Unit};

/// Commits units individually. A unit that is committed gets its reply, whatever happens to the
/// units after it; returning an error would deny that.
pub(super) fn one_by_one(
    units: &[Unit],
    commit: impl Fn(&[Unit]) -> Result<Vec<Reply>>,
) -> Result<Vec<Reply>> {
    let mut replies = Vec::with_capacity(units.len());
    let mut failure = None;
    for unit in units {
        match failure.as_ref().filter(|error| fails_any(error)) {
            // The failure affects every unit, so the database is tried, or waited for, only once.
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
        // The disk failed, not the units. After an error, the committer waits a moment.
        Some(error) if replies.iter().all(|one| matches!(one, Reply::Failed(_))) => Err(error),
        _ => Ok(replies),
    }
}

/// Returns true if the failure does not depend on what is committed.
fn fails_any(error: &Error) -> bool {
    use StoreError::{Busy, Disk, Full};
    matches!(error.0, Busy { .. } | Disk(_) | Full)
}
