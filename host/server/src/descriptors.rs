//! Files that this process may have open: connections take no more than leaves the database, the
//! channels and the Maildir enough.

/// Files that are kept for everything but connections.
const RESERVED: u64 = 256;

/// Raises the number of files that the process may have open to what the system allows, and returns
/// it where it is known.
#[cfg(unix)]
#[allow(
    clippy::useless_conversion,
    reason = "some systems count files in another type"
)]
pub(super) fn raise() -> Option<u64> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    if soft < hard {
        // Some systems have a limit of their own below this one: what holds stays.
        let _raised = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    let raised = getrlimit(Resource::RLIMIT_NOFILE).map_or(soft, |(soft, _)| soft);
    u64::try_from(raised).ok()
}

/// Elsewhere there is no such limit.
#[cfg(not(unix))]
pub(super) fn raise() -> Option<u64> {
    None
}

/// How many connections of those that are wanted there may be where so many files may be open.
pub(super) fn room(wanted: usize, files: Option<u64>) -> usize {
    let Some(files) = files else {
        return wanted;
    };
    let reserved = RESERVED.min(files / 2);
    let room = usize::try_from(files - reserved).unwrap_or(usize::MAX);
    wanted.min(room).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_everything_else() {
        assert_eq!(room(1024, None), 1024);
        assert_eq!(room(1024, Some(1 << 20)), 1024);
        assert_eq!(room(1024, Some(1024)), 768);
        assert_eq!(room(1024, Some(256)), 128);
        assert_eq!(room(1024, Some(0)), 1);
        assert_eq!(room(10, Some(1024)), 10);
    }

    #[test]
    #[cfg(unix)]
    fn the_limit_is_raised_to_what_the_system_allows() {
        use nix::sys::resource::{Resource, getrlimit};
        let raised = raise().unwrap();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!((raised, soft), (soft, hard));
    }
}
