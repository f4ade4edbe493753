//! A server of its own, on a port of its own.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

use crate::account::Account;
use crate::folder::Folder;
use crate::psql::Psql;
use crate::supervisor::Supervisor;
use crate::{Error, Programs, TestDatabase, template};

/// Attempts to find a port that no other process takes before the server does.
const MAX_ATTEMPTS: u32 = 5;
/// How long processes of a killed server may need to notice that it is gone.
const START_TIME: Duration = Duration::from_secs(30);

/// A running server, which is stopped and removed when this value is dropped or the process ends.
#[derive(Debug)]
pub struct Server {
    pub(crate) programs: Programs,
    pub(crate) psql: Psql,
    folder: PathBuf,
    databases: AtomicU64,
    supervisor: Mutex<Supervisor>,
}

impl Server {
    /// Starts a server with files of its own in a temporary folder.
    pub fn start() -> Result<Server, Error> {
        let programs = Programs::find()?;
        let (folder, account) = new_folder()?;
        let password = template::create(&programs, &account, folder.path())?;
        Server::start_in(programs, account, folder, &password)
    }

    /// Starts a server with the files in `folder/data`.
    pub(crate) fn start_in(
        programs: Programs,
        account: Account,
        folder: Folder,
        password: &str,
    ) -> Result<Server, Error> {
        for _ in 0..MAX_ATTEMPTS {
            let port = unused_port().map_err(Error::of("find an unused port"))?;
            let mut supervisor = Supervisor::start(&programs, account, folder.path(), port)?;
            if !perform(&mut supervisor, "start")? {
                // Otherwise the supervisor would remove the folder, which the next attempt needs.
                supervisor.abandon().map_err(Error::of("end sh"))?;
                continue;
            }
            return Ok(Server {
                psql: Psql::new(programs.clone(), port, password.to_owned()),
                programs,
                // The supervisor removes it.
                folder: folder.keep(),
                databases: AtomicU64::new(0),
                supervisor: Mutex::new(supervisor),
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

    /// Returns the port on which the server listens.
    pub fn port(&self) -> u16 {
        self.psql.port()
    }

    /// Kills the server with SIGKILL, as a crash of the machine does. Its processes end when they
    /// notice that.
    pub fn kill(&self) -> Result<(), Error> {
        self.perform("kill")
    }

    /// Starts a server that was killed.
    pub fn start_again(&self) -> Result<(), Error> {
        let began = Instant::now();
        loop {
            // Fails while processes of the killed server still use its memory.
            match self.perform("start") {
                Err(_) if began.elapsed() < START_TIME => {
                    thread::sleep(Duration::from_millis(100));
                }
                started => return started,
            }
        }
    }

    /// Restarts the server. Open connections are closed, and their transactions are rolled back.
    pub fn restart(&self) -> Result<(), Error> {
        self.perform("restart fast")
    }

    /// Makes a standby accept writes.
    pub fn promote(&self) -> Result<(), Error> {
        self.perform("promote")
    }

    fn perform(&self, action: &str) -> Result<(), Error> {
        let mut supervisor = self
            .supervisor
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match perform(&mut supervisor, action)? {
            true => Ok(()),
            false => {
                let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                Err(Error(format!("cannot {action} PostgreSQL:\n{log}")))
            }
        }
    }
}

fn perform(supervisor: &mut Supervisor, action: &str) -> Result<bool, Error> {
    supervisor
        .perform(action)
        .map_err(Error::of("ask sh for an action"))
}

/// Creates a folder for a server, and selects its account.
pub(crate) fn new_folder() -> Result<(Folder, Account), Error> {
    let folder = Folder::create(&env::temp_dir(), "promoflow-postgres")
        .map_err(Error::of("create a temporary folder"))?;
    let account = Account::select(folder.path())?;
    account.own(folder.path())?;
    Ok((folder, account))
}

fn unused_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
