//! The files of a new server.
//!
//! `initdb` takes longer than a start. Its result is kept in `target/test-tools` and copied.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::account::Account;
use crate::folder::Folder;
use crate::programs::test_tools;
use crate::{Error, Programs};

/// Creates the files of a server in `folder/data` and returns the password of `postgres`.
pub(crate) fn create(
    programs: &Programs,
    account: &Account,
    folder: &Path,
) -> Result<String, Error> {
    let data = folder.join("data");
    let template = template(programs)?;
    if let Some(template) = &template
        && let Ok(password) = fs::read_to_string(template.join("password"))
        && copy(&template.join("data"), &data).is_ok()
    {
        give(account, &data)?;
        return Ok(password);
    }
    let password = random_password().map_err(Error::of("read /dev/urandom"))?;
    initialise(programs, account, folder, &password)?;
    if let Some(template) = template {
        keep(&data, &password, &template).map_err(Error::of("keep the files of a new server"))?;
    }
    Ok(password)
}

fn initialise(
    programs: &Programs,
    account: &Account,
    folder: &Path,
    password: &str,
) -> Result<(), Error> {
    let file = folder.join("password");
    let written = fs::write(&file, password);
    written.map_err(Error::of("write the password of the server"))?;
    let mut command = account.command(&programs.path("initdb"));
    programs.prepare(&mut command);
    command
        .current_dir(folder)
        .args(["--pgdata", "data", "--pwfile", "password"])
        .args(["--username=postgres", "--auth=scram-sha-256", "--no-sync"])
        // An order of text other than that of bytes: a column that needs it must say so.
        .args(["--encoding=UTF8", "--locale=C"])
        .args(["--locale-provider=icu", "--icu-locale=en-US"]);
    let output = command.output().map_err(Error::of("run initdb"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(Error(format!("initdb failed: {}", text.trim())));
    }
    Ok(())
}

/// Returns where the files of a new server are kept, by version.
fn template(programs: &Programs) -> Result<Option<PathBuf>, Error> {
    let mut command = Command::new(programs.path("postgres"));
    programs.prepare(&mut command);
    let output = command.arg("--version").output();
    let output = output.map_err(Error::of("run postgres"))?;
    // postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.split_whitespace().nth(2).unwrap_or("unknown");
    let name = format!("postgresql-template-{version}");
    Ok(test_tools().map(|tools| tools.join(name)))
}

/// Keeps the files for the next server, unless another process has just done so.
fn keep(data: &Path, password: &str, template: &Path) -> io::Result<()> {
    let tools = template.parent().unwrap_or(template);
    fs::create_dir_all(tools)?;
    let folder = Folder::create(tools, "postgresql-new")?;
    copy(data, &folder.path().join("data"))?;
    fs::write(folder.path().join("password"), password)?;
    match fs::rename(folder.path(), template) {
        Err(error) if !template.exists() => Err(error),
        _ => Ok(()),
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    succeed(Command::new("cp").arg("-R").args([from, to]))
}

/// Gives a folder and everything in it to the account.
fn give(account: &Account, folder: &Path) -> Result<(), Error> {
    let Account::Other { user, group } = account else {
        return Ok(());
    };
    let mut command = Command::new("chown");
    command.arg("-R").arg(format!("{user}:{group}")).arg(folder);
    succeed(&mut command).map_err(Error::of("change the owner of a folder"))
}

fn succeed(command: &mut Command) -> io::Result<()> {
    match command.status()? {
        status if status.success() => Ok(()),
        status => Err(io::Error::other(format!("{command:?}: {status}"))),
    }
}

fn random_password() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
