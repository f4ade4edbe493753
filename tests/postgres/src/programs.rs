//! The programs of PostgreSQL on this machine.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;

/// The programs that tests run.
const NEEDED: [&str; 5] = ["initdb", "pg_basebackup", "pg_ctl", "postgres", "psql"];

/// Where distributions install the programs, in a folder for each version.
const INSTALLED: &str = "usr/lib/postgresql";

/// The programs of one version of PostgreSQL.
#[derive(Clone, Debug)]
pub struct Programs {
    folder: PathBuf,
    /// Where the shared libraries are, if the programs were unpacked and not installed.
    libraries: Option<OsString>,
}

impl Programs {
    /// Finds the programs: those in `/usr/lib/postgresql`, on `PATH`, or unpacked in
    /// `target/test-tools/postgresql`.
    pub fn find() -> Result<Programs, Error> {
        if let Some(folder) = newest(Path::new("/")).or_else(on_path) {
            let libraries = None;
            return Ok(Programs { folder, libraries });
        }
        let unpacked = test_tools().and_then(|tools| Programs::unpacked(&tools.join("postgresql")));
        unpacked.ok_or_else(|| {
            Error(
                "PostgreSQL is missing, which tests need: `cargo xtask test` unpacks it on Debian; \
                 elsewhere install it (Debian: apt-get install postgresql)"
                    .to_owned(),
            )
        })
    }

    /// Returns the programs in a folder where packages of Debian were unpacked.
    fn unpacked(root: &Path) -> Option<Programs> {
        let folder = newest(root)?;
        let folders = ["usr/lib", "lib"].map(|folder| fs::read_dir(root.join(folder)));
        let entries = folders.into_iter().flatten().flatten().flatten();
        // A folder for each architecture, such as `x86_64-linux-gnu`.
        let libraries =
            entries.filter(|entry| entry.file_name().to_string_lossy().contains("-linux-"));
        let libraries = env::join_paths(libraries.map(|entry| entry.path())).ok();
        Some(Programs { folder, libraries })
    }

    /// Returns the path of a program.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Lets a command find the programs and their libraries.
    pub fn prepare(&self, command: &mut Command) {
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        // Variables of psql's that change where it connects.
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
    }
}

/// Returns the folder of tools that `cargo xtask` installs for tests.
pub(crate) fn test_tools() -> Option<PathBuf> {
    let program = env::current_exe().ok()?;
    // `target/release`, where programs are; tests are in its folder `deps`.
    let profile = program
        .ancestors()
        .find(|folder| folder.join("deps").is_dir())?;
    Some(profile.parent()?.join("test-tools"))
}

/// Returns the folder of the newest version below a root folder.
fn newest(root: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(root.join(INSTALLED)).ok()?;
    let mut versions: Vec<(u32, PathBuf)> = versions
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, folder)| is_complete(folder))
        .collect();
    versions.sort();
    Some(versions.pop()?.1)
}

fn on_path() -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).find_map(|folder| {
        // Links may lead to a folder with more programs than those linked.
        let program = folder.join("pg_ctl").canonicalize().ok()?;
        let folder = program.parent()?.to_owned();
        is_complete(&folder).then_some(folder)
    })
}

fn is_complete(folder: &Path) -> bool {
    NEEDED.iter().all(|name| folder.join(name).is_file())
}
