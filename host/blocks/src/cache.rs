//! Checks the folder for compiled blocks. Code from it runs in this process, so only its owner may
//! write to it.

use std::path::Path;

/// Creates the folder with access for its owner only. Rejects an existing folder that another user
/// owns or can write to.
#[cfg(unix)]
pub(super) fn check_folder(folder: &Path) -> Result<(), String> {
    use std::fs::{self, DirBuilder};
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};

    use nix::unistd::Uid;

    let shown = folder.display();
    let mut builder = DirBuilder::new();
    // If it cannot be created, nothing is read from it.
    let _cache_tells = builder.recursive(true).mode(0o700).create(folder);
    let Ok(found) = fs::metadata(folder) else {
        return Ok(());
    };
    let mine = Uid::effective();
    if found.uid() != mine.as_raw() {
        return Err(format!(
            "the folder {shown} belongs to another user, who could run code in this process; choose \
             your own folder with --cache"
        ));
    }
    if found.mode() & 0o022 != 0 {
        return Err(format!(
            "other users can write to the folder {shown} and so run code in this process; run `chmod go-w {shown}`"
        ));
    }
    Ok(())
}

/// Other systems: folder permissions are not checked.
#[cfg(not(unix))]
pub(super) fn check_folder(_: &Path) -> Result<(), String> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, chown};

    use nix::unistd::Uid;

    use super::*;

    #[test]
    fn rejects_folders_that_others_own_or_write_to() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("a/b");
        check_folder(&cache).unwrap();
        let mode = fs::metadata(&cache).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o700);
        for (mode, is_fine) in [(0o755, true), (0o770, false), (0o702, false)] {
            fs::set_permissions(&cache, Permissions::from_mode(mode)).unwrap();
            assert_eq!(check_folder(&cache).is_ok(), is_fine, "{mode:o}");
        }
        fs::set_permissions(&cache, Permissions::from_mode(0o700)).unwrap();
        // Only root can change the owner.
        if Uid::effective().is_root() {
            chown(&cache, Some(65_534), None).unwrap();
            let refused = check_folder(&cache).unwrap_err();
            assert!(refused.contains("another user"), "{refused}");
        }
        // No folder, so no compiled blocks are read.
        assert!(check_folder(Path::new("/dev/null/c")).is_ok());
    }
}
