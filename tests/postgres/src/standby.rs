//! A synchronous standby: a server that has everything that another one has acknowledged.

use std::thread;
use std::time::{Duration, Instant};

use crate::server::new_folder;
use crate::{Error, Server};

/// The name under which the standby asks the primary for its log.
const NAME: &str = "standby";
/// How long the standby may need to catch up.
const MAX_WAIT: Duration = Duration::from_secs(30);

impl Server {
    /// Copies the server to a standby. From then on this server acknowledges a commit only once the
    /// standby has stored it.
    pub fn synchronous_standby(&self) -> Result<Server, Error> {
        let (folder, account) = new_folder()?;
        let mut command = account.command(&self.programs.path("pg_basebackup"));
        self.programs.prepare(&mut command);
        let source = self.psql.address("postgres");
        command
            .current_dir(folder.path())
            .args(["--pgdata", "data", "--checkpoint=fast", "--no-sync"])
            .args(["--wal-method=stream", "--write-recovery-conf"])
            .args(["--dbname", &format!("{source}?application_name={NAME}")]);
        let output = command.output().map_err(Error::of("run pg_basebackup"))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            return Err(Error(format!("pg_basebackup failed: {}", text.trim())));
        }
        let programs = self.programs.clone();
        let standby = Server::start_in(programs, account, folder, self.psql.password())?;
        let administrate = |sql: &str| self.psql.execute("postgres", sql);
        administrate(&format!(
            "ALTER SYSTEM SET synchronous_standby_names = '{NAME}'"
        ))?;
        administrate("SELECT pg_reload_conf()")?;
        let began = Instant::now();
        let is_synchronous = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'";
        while self.psql.query("postgres", is_synchronous)?.is_empty() {
            if began.elapsed() > MAX_WAIT {
                return Err(Error("the standby does not become synchronous".to_owned()));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(standby)
    }
}
