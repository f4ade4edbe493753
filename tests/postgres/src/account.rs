//! The account that the server runs under: PostgreSQL refuses to run as root.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::Error;

/// Accounts for a process of root's, in the order of preference.
const NAMES: [&str; 2] = ["postgres", "nobody"];

/// The account of the server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Account {
    /// That of this process.
    Own,
    /// Another one, as this process is root's.
    Other { user: u32, group: u32 },
}

impl Account {
    /// Selects the account; `folder` was created by this process.
    pub(crate) fn select(folder: &Path) -> Result<Account, Error> {
        let created = folder.metadata().map_err(Error::of("read a folder"))?;
        if created.uid() != 0 {
            return Ok(Account::Own);
        }
        let accounts = fs::read_to_string("/etc/passwd").map_err(Error::of("read /etc/passwd"))?;
        let account = NAMES.iter().find_map(|name| find(&accounts, name));
        let (user, group) = account.ok_or_else(|| {
            Error(format!(
                "PostgreSQL does not run as root, and this machine has no account {}",
                NAMES.join(" or ")
            ))
        })?;
        Ok(Account::Other { user, group })
    }

    /// Makes the account the owner of a folder.
    pub(crate) fn own(&self, folder: &Path) -> Result<(), Error> {
        match self {
            Account::Own => Ok(()),
            Account::Other { user, group } => chown(folder, Some(*user), Some(*group))
                .map_err(Error::of("change the owner of a folder")),
        }
    }

    /// Returns a command that runs under the account.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Account::Other { user, group } = self {
            command.uid(*user).gid(*group);
        }
        command
    }
}

/// Returns the user and the group of an account of `/etc/passwd`.
fn find(accounts: &str, name: &str) -> Option<(u32, u32)> {
    accounts.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        match fields[..] {
            [account, _, user, group, ..] if account == name => {
                Some((user.parse().ok()?, group.parse().ok()?))
            }
            _ => None,
        }
    })
}
