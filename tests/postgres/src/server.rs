//! A server of its own, on a port of its own.

use std::io::{self, BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::{env, fs};

use crate::account::Account;
use crate::folder::Folder;
use crate::psql::Psql;
use crate::{Error, Programs, TestDatabase, template};

/// Starts the server, says so, and stops it when standard input ends: when the process that holds
/// the other end of the pipe is gone.
const SUPERVISOR: &str = r#"
"$PG_CTL" start --wait --pgdata=data --log=log --options="$OPTIONS" </dev/null >/dev/null \
    && echo started || echo failed
cat >/dev/null
"$PG_CTL" stop --wait --mode=immediate --pgdata=data </dev/null >/dev/null 2>&1
cd / && rm -rf "$FOLDER"
"#;

/// `fsync` and `synchronous_commit` stay on, their defaults: Promoflow refuses to work without.
/// Compiled queries would need a library of 100 MB and speed nothing up here.
const SETTINGS: &str = "-c listen_addresses=127.0.0.1 -c unix_socket_directories= \
     -c max_connections=300 -c shared_buffers=64MB -c max_wal_size=256MB -c jit=off";

/// Attempts to find a port that no other process takes before the server does.
const MAX_ATTEMPTS: u32 = 5;

/// A running server, which is stopped and removed when this value is dropped or the process ends.
#[derive(Debug)]
pub struct Server {
    psql: Psql,
    folder: PathBuf,
    databases: AtomicU64,
    supervisor: Child,
    /// Never written to: its end makes the supervisor stop the server.
    pipe: Option<ChildStdin>,
}

impl Server {
    /// Starts a server with files of its own in a temporary folder.
    pub fn start() -> Result<Server, Error> {
        let programs = Programs::find()?;
        let folder = Folder::create(&env::temp_dir(), "promoflow-postgres")
            .map_err(Error::of("create a temporary folder"))?;
        let account = Account::select(folder.path())?;
        account.own(folder.path())?;
        let password = template::create(&programs, &account, folder.path())?;
        for _ in 0..MAX_ATTEMPTS {
            let port = unused_port().map_err(Error::of("find an unused port"))?;
            let supervised = supervise(&programs, &account, folder.path(), port);
            let Some((supervisor, pipe)) = supervised.map_err(Error::of("start sh"))? else {
                continue;
            };
            return Ok(Server {
                psql: Psql::new(programs, port, password),
                // The supervisor removes it.
                folder: folder.keep(),
                databases: AtomicU64::new(0),
                supervisor,
                pipe: Some(pipe),
            });
        }
        let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        Err(Error(format!("PostgreSQL does not start:\n{log}")))
    }

    /// Creates an empty database, which is removed when the value is dropped.
    ///
    /// # Panics
    /// If the server does not create it.
    pub fn database(&self) -> TestDatabase {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        TestDatabase::create(self.psql.clone(), format!("test{number}"))
    }

    /// Returns the folder of the server's files: `data` and `log`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _ = self.supervisor.wait();
    }
}

/// Starts a supervisor and waits for it to start the server. Returns nothing if the server fails.
fn supervise(
    programs: &Programs,
    account: &Account,
    folder: &Path,
    port: u16,
) -> io::Result<Option<(Child, ChildStdin)>> {
    let mut command = account.command(Path::new("sh"));
    programs.prepare(&mut command);
    let mut supervisor = command
        .current_dir(folder)
        .args(["-c", SUPERVISOR])
        .env("PG_CTL", programs.path("pg_ctl"))
        .env("OPTIONS", format!("{SETTINGS} -c port={port}"))
        .env("FOLDER", folder)
        // A Ctrl-C must not end the supervisor before the process that it watches.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let (pipe, output) = (supervisor.stdin.take(), supervisor.stdout.take());
    let mut line = String::new();
    if let Some(output) = output {
        BufReader::new(output).read_line(&mut line)?;
    }
    match pipe {
        Some(pipe) if line.trim() == "started" => Ok(Some((supervisor, pipe))),
        _ => {
            // Otherwise the supervisor would remove the folder, which the next attempt needs.
            supervisor.kill()?;
            supervisor.wait()?;
            Ok(None)
        }
    }
}

fn unused_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
