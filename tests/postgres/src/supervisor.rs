//! The process that starts a server and outlives whoever uses it.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use crate::account::Account;
use crate::{Error, Programs};

/// Does what it is asked to, and stops the server when standard input ends: when the process that
/// holds the other end of the pipe is gone.
const SCRIPT: &str = r#"
do_it() {
    case $1 in
    start) "$PG_CTL" start --wait --pgdata=data --log=log --options="$OPTIONS" ;;
    restart) "$PG_CTL" restart --wait --mode="$2" --pgdata=data --log=log --options="$OPTIONS" ;;
    stop) "$PG_CTL" stop --wait --mode="$2" --pgdata=data ;;
    promote) "$PG_CTL" promote --wait --pgdata=data ;;
    kill) read -r pid <data/postmaster.pid && kill -KILL "$pid" ;;
    esac
}
while read -r action mode; do
    do_it "$action" "$mode" </dev/null >/dev/null 2>&1 && echo done || echo failed
done
do_it stop immediate </dev/null >/dev/null 2>&1
cd / && rm -rf "$FOLDER"
"#;

/// `fsync` and `synchronous_commit` stay on, their defaults: Promoflow refuses to work without.
/// Compiled queries would need a library of 100 MB and speed nothing up here.
const SETTINGS: &str = "-c listen_addresses=127.0.0.1 -c unix_socket_directories= \
     -c max_connections=300 -c shared_buffers=64MB -c max_wal_size=256MB -c jit=off";

/// A shell that starts and stops the server in a folder. When it is dropped, it removes both.
#[derive(Debug)]
pub(crate) struct Supervisor {
    process: Child,
    /// Its end makes the shell stop the server.
    actions: Option<ChildStdin>,
    results: BufReader<ChildStdout>,
}

impl Supervisor {
    /// Starts the supervisor of the server in `folder/data`. The server is not started.
    pub(crate) fn start(
        programs: &Programs,
        account: Account,
        folder: &Path,
        port: u16,
    ) -> Result<Supervisor, Error> {
        let mut command = account.command(Path::new("sh"));
        programs.prepare(&mut command);
        let mut process = command
            .current_dir(folder)
            .args(["-c", SCRIPT])
            .env("PG_CTL", programs.path("pg_ctl"))
            .env("OPTIONS", format!("{SETTINGS} -c port={port}"))
            .env("FOLDER", folder)
            // A Ctrl-C must not end the supervisor before the process that it watches.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(Error::of("start sh"))?;
        match (process.stdin.take(), process.stdout.take()) {
            (actions @ Some(_), Some(results)) => Ok(Supervisor {
                process,
                actions,
                results: BufReader::new(results),
            }),
            _ => Err(Error("sh was started without pipes".to_owned())),
        }
    }

    /// Performs an action of the script. Returns whether it succeeded.
    pub(crate) fn perform(&mut self, action: &str) -> io::Result<bool> {
        let actions = self.actions.as_mut();
        let actions = actions.ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(actions, "{action}")?;
        let mut result = String::new();
        self.results.read_line(&mut result)?;
        Ok(result.trim() == "done")
    }

    /// Ends the supervisor without stopping a server or removing the folder.
    pub(crate) fn abandon(mut self) -> io::Result<()> {
        self.process.kill()
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        drop(self.actions.take());
        let _ = self.process.wait();
    }
}
