//! The folder for compiled blocks. What is read from it runs in this process, so it must be its
//! owner's alone.

use std::path::Path;

/// Makes the folder where there is none, for its owner alone; refuses one in which somebody else
/// may write.
#[cfg(unix)]
pub(super) fn secure(folder: &Path) -> Result<(), String> {
    use std::fs::{self, DirBuilder};
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};

    use nix::unistd::Uid;

    let shown = folder.display();
    let mut builder = DirBuilder::new();
    // Where it cannot be made nothing is read from it.
    let _cache_tells = builder.recursive(true).mode(0o700).create(folder);
    let Ok(found) = fs::metadata(folder) else {
        return Ok(());
    };
    let mine = Uid::effective();
    if found.uid() != mine.as_raw() {
        return Err(format!(
            "the folder {shown} belongs to another user, who could have code run here; name one of \
             your own with --cache"
        ));
    }
    if found.mode() & 0o022 != 0 {
        return Err(format!(
            "others may write to the folder {shown}, and so have code run here; `chmod go-w {shown}`"
        ));
    }
    Ok(())
}

/// Elsewhere the rights of folders are not known here.
#[cfg(not(unix))]
pub(super) fn secure(_: &Path) -> Result<(), String> {
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
    fn a_folder_that_others_write_to_or_own_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("a/b");
        secure(&cache).unwrap();
        let mode = fs::metadata(&cache).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o700);
        for (mode, is_fine) in [(0o755, true), (0o770, false), (0o702, false)] {
            fs::set_permissions(&cache, Permissions::from_mode(mode)).unwrap();
            assert_eq!(secure(&cache).is_ok(), is_fine, "{mode:o}");
        }
        fs::set_permissions(&cache, Permissions::from_mode(0o700)).unwrap();
        // Only who may give a folder away can try that.
        if Uid::effective().is_root() {
            chown(&cache, Some(65_534), None).unwrap();
            let refused = secure(&cache).unwrap_err();
            assert!(refused.contains("another user"), "{refused}");
        }
        // Compiled blocks are not kept there.
        assert!(secure(Path::new("/dev/null/c")).is_ok());
    }
}
