//! A throw-away PostgreSQL server, and an empty database for each test.
//!
//! [`database`] starts a server when a test process first asks for one. Data are in a temporary
//! folder. The server stops and the folder is removed when the process ends, however it ends.
//!
//! For faults, a [`Server`] of a test's own is killed, restarted, or replaced by its synchronous
//! standby, and a [`Proxy`] breaks connections to it.
//!
//! PostgreSQL must be installed, but not run. A test that needs it fails where it is missing.
//! `cargo xtask test` unpacks it in `target/test-tools` in that case.
#![forbid(unsafe_code)]

mod account;
mod answers;
mod database;
mod folder;
mod programs;
mod proxy;
mod psql;
mod server;
mod standby;
mod supervisor;
mod template;

use std::fmt;
use std::sync::OnceLock;

pub use database::TestDatabase;
pub use programs::Programs;
pub use proxy::Proxy;
pub use server::Server;

/// Creates an empty database on the server of this process.
///
/// # Panics
/// If PostgreSQL is missing or cannot be started.
pub fn database() -> TestDatabase {
    static SERVER: OnceLock<Result<Server, Error>> = OnceLock::new();
    match SERVER.get_or_init(Server::start) {
        Ok(server) => server.database(),
        Err(error) => panic!("{error}"),
    }
}

/// Why PostgreSQL cannot be used.
#[derive(Debug)]
pub struct Error(String);

impl Error {
    /// Returns the conversion of an error of `action`.
    fn of<E: fmt::Display>(action: &str) -> impl Fn(E) -> Error {
        move |error| Error(format!("cannot {action}: {error}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::{Command, Stdio};
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    /// Names the folder of a server to the test that waits for its end.
    const FOLDER: &str = "PROMOFLOW_TEST_POSTGRES_FOLDER";

    #[test]
    fn each_test_gets_an_empty_database() {
        let (one, other) = (database(), database());
        assert_ne!(one.address(), other.address());
        one.execute("CREATE TABLE code (id bigint)").unwrap();
        other.execute("CREATE TABLE code (id bigint)").unwrap();
        let again = one.execute("CREATE TABLE code (id bigint)").unwrap_err();
        assert!(again.to_string().contains("already exists"), "{again}");
    }

    #[test]
    fn a_copy_is_independent_of_its_original() {
        let original = database();
        original.execute("CREATE TABLE code (id bigint)").unwrap();
        let copies = [original.copy(), original.copy()];
        original.execute("DROP TABLE code").unwrap();
        for copy in copies {
            copy.execute("INSERT INTO code VALUES (1)").unwrap();
        }
    }

    #[test]
    fn text_is_not_ordered_by_bytes_unless_a_column_says_so() {
        let database = database();
        let order = |collation: &str| {
            let sql = format!("SELECT 1 / (('a' < 'B' {collation})::int)");
            database.execute(&sql).is_ok()
        };
        assert!(order(""));
        assert!(!order("COLLATE \"C\""));
    }

    #[test]
    fn commits_are_durable() {
        let sql = "SELECT 1 / (current_setting('fsync')::bool
                              AND current_setting('synchronous_commit')::bool)::int";
        database().execute(sql).unwrap();
    }

    #[test]
    fn a_password_is_required() {
        let database = database();
        let (_, host) = database.address().split_once('@').unwrap();
        let denied = Command::new(Programs::find().unwrap().path("psql"))
            .args(["--no-password", &format!("postgres://postgres@{host}")])
            .output()
            .unwrap();
        assert!(!denied.status.success());
    }

    #[test]
    fn a_server_ends_with_its_process() {
        let mut test = Command::new(std::env::current_exe().unwrap());
        test.args(["a_server_runs_until_its_process_is_killed", "--ignored"]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("folder");
        let mut process = test
            .env(FOLDER, &file)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let text = wait(|| std::fs::read_to_string(&file).ok());
        let data = Path::new(&text).join("data");
        let pid = std::fs::read_to_string(data.join("postmaster.pid")).unwrap();
        let pid = pid.lines().next().unwrap().to_owned();
        process.kill().unwrap();
        process.wait().unwrap();
        wait(|| (!Path::new(&text).exists()).then_some(()));
        wait(|| {
            let mut exists = Command::new("kill");
            let exists = exists.args(["-0", &pid]).stderr(Stdio::null()).status();
            (!exists.unwrap().success()).then_some(())
        });
    }

    #[test]
    #[ignore = "run by a_server_ends_with_its_process, which kills it"]
    fn a_server_runs_until_its_process_is_killed() {
        let file = std::env::var_os(FOLDER).unwrap();
        let server = Server::start().unwrap();
        let _database = server.database();
        let written = tempfile::NamedTempFile::new_in(Path::new(&file).parent().unwrap()).unwrap();
        std::fs::write(written.path(), server.folder().to_str().unwrap()).unwrap();
        written.persist(&file).unwrap();
        thread::sleep(Duration::from_secs(60));
    }

    #[test]
    fn a_standby_has_what_was_acknowledged_and_accepts_writes_once_promoted() {
        let primary = Server::start().unwrap();
        let standby = primary.synchronous_standby().unwrap();
        let database = primary.database();
        database.execute("CREATE TABLE code (id bigint)").unwrap();
        database.execute("INSERT INTO code VALUES (7)").unwrap();
        let insert = "INSERT INTO code VALUES (8)";
        let early = database.query_on(&standby, insert).unwrap_err();
        assert!(early.to_string().contains("read-only"), "{early}");
        primary.kill().unwrap();
        standby.promote().unwrap();
        database.query_on(&standby, insert).unwrap();
        let codes = database.query_on(&standby, "SELECT id FROM code ORDER BY id");
        assert_eq!(codes.unwrap(), [["7"], ["8"]]);
    }

    #[test]
    fn a_killed_server_starts_again_with_its_data() {
        let server = Server::start().unwrap();
        let database = server.database();
        database.execute("CREATE TABLE code (id bigint)").unwrap();
        server.kill().unwrap();
        assert!(wait(|| Some(database.execute("TABLE code").is_err())));
        server.start_again().unwrap();
        database.execute("INSERT INTO code VALUES (7)").unwrap();
        server.restart().unwrap();
        assert_eq!(database.query("TABLE code").unwrap(), [["7"]]);
    }

    #[test]
    fn a_proxy_breaks_connections_in_each_way() {
        let server = Server::start().unwrap();
        let database = server.database();
        database.execute("CREATE TABLE code (id bigint)").unwrap();
        let proxy = Proxy::start(server.port()).unwrap();
        let address = database.address_at(&[proxy.port()]) + "?sslmode=disable";
        let start = |sql: &str| {
            let mut psql = Command::new(Programs::find().unwrap().path("psql"));
            let psql = psql.args([&address, "--quiet", "--command", sql]);
            psql.stderr(Stdio::null()).spawn().unwrap()
        };
        let succeeds = |sql: &str| start(sql).wait().unwrap().success();
        let count = |expected: &str| {
            let rows = database.query("SELECT count(*) FROM code").unwrap();
            assert_eq!(rows, [[expected]]);
        };
        assert!(succeeds("INSERT INTO code VALUES (1)"));
        proxy.cut();
        assert!(!succeeds("INSERT INTO code VALUES (2)"));
        count("1");
        proxy.stall();
        let mut stalled = start("INSERT INTO code VALUES (3)");
        thread::sleep(Duration::from_millis(300));
        assert_eq!(stalled.try_wait().unwrap(), None);
        count("1");
        proxy.open();
        assert!(stalled.wait().unwrap().success());
        count("2");
        proxy.swallow_commits(1);
        assert!(succeeds("INSERT INTO code VALUES (4)"));
        assert!(!succeeds("BEGIN; INSERT INTO code VALUES (5); COMMIT"));
        count("4");
        assert_eq!(proxy.swallowed(), 1);
        assert!(succeeds("BEGIN; INSERT INTO code VALUES (6); COMMIT"));
    }

    fn wait<T>(ready: impl Fn() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(value) = ready() {
                return value;
            }
            assert!(start.elapsed() < Duration::from_secs(30));
            thread::sleep(Duration::from_millis(20));
        }
    }
}
