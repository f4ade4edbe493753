//! Limit of open files. Connections leave enough of them for the database, the channels and the
//! Maildir.

/// Number of files reserved for everything but connections.
const RESERVED: u64 = 256;

/// Raises the process's limit of open files to the maximum that the system allows. Returns the
/// limit if it is known.
#[cfg(unix)]
#[allow(
    clippy::useless_conversion,
    reason = "the type of the limit depends on the system"
)]
pub(super) fn raise_limit() -> Option<u64> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    if soft < hard {
        // Some systems enforce a lower limit; the one in effect is read below.
        let _raised = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    let raised = getrlimit(Resource::RLIMIT_NOFILE).map_or(soft, |(soft, _)| soft);
    u64::try_from(raised).ok()
}

/// Other systems have no such limit.
#[cfg(not(unix))]
pub(super) fn raise_limit() -> Option<u64> {
    None
}

/// Returns how many of the wanted connections fit into this limit of open files.
pub(super) fn max_connections(wanted: usize, files: Option<u64>) -> usize {
    let Some(files) = files else {
        return wanted;
    };
    let reserved = RESERVED.min(files / 2);
    let max_connections = usize::try_from(files - reserved).unwrap_or(usize::MAX);
    wanted.min(max_connections).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserves_files_for_everything_but_connections() {
        assert_eq!(max_connections(1024, None), 1024);
        assert_eq!(max_connections(1024, Some(1 << 20)), 1024);
        assert_eq!(max_connections(1024, Some(1024)), 768);
        assert_eq!(max_connections(1024, Some(256)), 128);
        assert_eq!(max_connections(1024, Some(0)), 1);
        assert_eq!(max_connections(10, Some(1024)), 10);
    }

    #[test]
    #[cfg(unix)]
    fn raises_the_limit_to_what_the_system_allows() {
        use nix::sys::resource::{Resource, getrlimit};
        let raised = raise_limit().unwrap();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!((raised, soft), (soft, hard));
    }
}
