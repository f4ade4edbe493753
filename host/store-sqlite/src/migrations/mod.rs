//! The schema and its migrations, from the first release on.
//!
//! A new file goes through all migrations, an older one through those that it lacks, in one
//! transaction, so both end up the same. A released migration is never edited; changes go into a
//! new one.

use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};

use super::settings::setting;
use super::{Error, ExecutorLock, Path, Result, StoreError};
use promoflow_document::quoted;

/// Identifies Promoflow's files among SQLite files: `Prom` in ASCII.
const APPLICATION_ID: i32 = 0x5072_6f6d;

/// The schema of this release.
pub(super) const SCHEMA: Schema = Schema {
    migrations: &[include_str!("01-initial.sql")],
};

/// The schema version of a database whose installation has moved to another one. No release knows it.
const MOVED: i32 = -1;

/// The maximum wait for another process that is migrating the database.
const MAX_LOCK_WAIT: Duration = Duration::from_secs(2);
/// The interval at which to check whether it has finished.
const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A schema.
#[derive(Clone, Copy)]
pub(super) struct Schema {
    /// The migrations, each from one schema version to the next.
    migrations: &'static [&'static str],
}

impl Schema {
    /// The schema version: the number of migrations.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "a handful"
    )]
    const fn version(self) -> i32 {
        self.migrations.len() as i32
    }

    /// Creates the tables in an empty file and migrates an older one, unless a running process
    /// holds `lock` and executes under the old schema. Rejects files of other programs and of later
    /// releases.
    pub(super) fn prepare(
        self,
        connection: &mut Connection,
        path: &Path,
        lock: &Path,
    ) -> Result<()> {
        // First without a transaction, so that an up-to-date file opens while another process
        // writes to it.
        let _nobody_executes = match read_header(connection)? {
            (APPLICATION_ID, MOVED) => return Err(moved(connection)),
            (APPLICATION_ID, version) if version == self.version() => return Ok(()),
            (APPLICATION_ID, version) if (1..self.version()).contains(&version) => {
                self.lock_for_migration(connection, path, lock)?
            }
            _ => None,
        };
        self.migrate(connection, path)
    }

    /// Acquires the executor lock, so that no process executes under the older schema during the
    /// migration. Returns `None` if another process has migrated the file meanwhile.
    fn lock_for_migration(
        self,
        connection: &Connection,
        path: &Path,
        lock: &Path,
    ) -> Result<Option<ExecutorLock>> {
        let until = Instant::now() + MAX_LOCK_WAIT;
        loop {
            let taken = ExecutorLock::try_acquire(lock).map_err(|error| {
                StoreError::Open(format!("cannot lock {}: {error}", lock.display()))
            })?;
            if taken.is_some() || read_header(connection)?.1 == self.version() {
                return Ok(taken);
            }
            if Instant::now() >= until {
                return Err(StoreError::Open(format!(
                    "{} belongs to an earlier release and a process is still executing on it; stop \
                     that process first (it holds {}), then this release migrates the database",
                    path.display(),
                    lock.display()
                ))
                .into());
            }
            thread::sleep(LOCK_POLL_INTERVAL);
        }
    }

    /// Same as [`prepare`](Self::prepare), for a file that no other process uses.
    pub(super) fn migrate(self, connection: &mut Connection, path: &Path) -> Result<()> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (application, version) = read_header(&transaction)?;
        let known = if application == APPLICATION_ID {
            version
        } else {
            let tables: i64 =
                transaction
                    .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
            if tables > 0 || application != 0 {
                return Err(StoreError::Open(format!(
                    "{} is not a Promoflow database; choose another file with --db",
                    path.display()
                ))
                .into());
            }
            0
        };
        let Some(missing) = usize::try_from(known)
            .ok()
            .and_then(|known| self.migrations.get(known..))
        else {
            return Err(StoreError::Open(format!(
                "{} has schema version {version}, but this release only knows version {}; use the \
                 release that wrote it, or a later one",
                path.display(),
                self.version()
            ))
            .into());
        };
        if known > 0 && !missing.is_empty() {
            tracing::info!(from = known, to = self.version(), "migrating the database");
        }
        for migration in missing {
            transaction.execute_batch(migration)?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", self.version())?;
        transaction.commit()?;
        Ok(())
    }

    /// Fails if another release has migrated the file since it was opened. In a write transaction,
    /// the answer holds until its end.
    pub(super) fn check_version(self, connection: &Connection) -> Result<()> {
        // Needs no read of the file: the transaction has its first page.
        let found = connection
            .prepare_cached("PRAGMA user_version")?
            .query_row([], |row| row.get(0))?;
        let known = self.version();
        if found == MOVED {
            return Err(moved(connection));
        }
        match found == known {
            true => Ok(()),
            false => Err(StoreError::Outdated { found, known }.into()),
        }
    }

    /// Returns the first unexpected, changed or missing table, index, trigger or view of a file,
    /// compared with its schema version. `None` if there is none, or if the version is later than
    /// this release's.
    pub(super) fn find_unexpected(self, connection: &Connection) -> Result<Option<String>> {
        let version = usize::try_from(read_header(connection)?.1).unwrap_or(0);
        let Some(migrations) = self.migrations.get(..version) else {
            return Ok(None);
        };
        let made = Connection::open_in_memory()?;
        for migration in migrations {
            made.execute_batch(migration)?;
        }
        let (ours, found) = (objects(&made)?, objects(connection)?);
        let (differs, kind) = match found.iter().find(|one| !ours.contains(one)) {
            Some(one) => (one, "unexpected"),
            // A missing object is not created again by any migration.
            None => match ours.iter().find(|one| !found.contains(one)) {
                Some(one) => (one, "missing"),
                None => return Ok(None),
            },
        };
        let (what, name) = (quoted(&differs.what), quoted(&differs.name));
        Ok(Some(format!("{kind} {what} {name}")))
    }
}

/// Commits the transaction of a connection, and closes the database for good: its installation has
/// moved to `to`.
pub(super) fn close(connection: &Connection, to: &str) -> Result<()> {
    connection.execute(
        "INSERT INTO setting (name, value) VALUES ('moved-to', ?1)",
        [to],
    )?;
    connection.pragma_update(None, "user_version", MOVED)?;
    Ok(connection.execute_batch("COMMIT")?)
}

/// Returns the error for a database whose installation has moved.
fn moved(connection: &Connection) -> Error {
    match setting(connection, "moved-to") {
        Ok(to) => StoreError::Open(format!(
            "the installation has moved to {to}; name that database with --db or PROMOFLOW_DB"
        ))
        .into(),
        Err(error) => error,
    }
}

/// Returns true if the file is a Promoflow database of any schema version.
pub(super) fn is_promoflow_database(connection: &Connection) -> Result<bool> {
    Ok(read_header(connection)?.0 == APPLICATION_ID)
}

/// A table, index, trigger or view.
#[derive(Debug, PartialEq, Eq)]
struct SchemaObject {
    what: String,
    name: String,
    table: String,
    sql: Option<String>,
}

/// Returns all objects of a file, except SQLite's own statistics tables.
fn objects(connection: &Connection) -> Result<Vec<SchemaObject>> {
    let mut statement = connection.prepare(
        "SELECT type, name, tbl_name, sql FROM sqlite_schema
         WHERE NOT (type = 'table' AND name IN ('sqlite_stat1', 'sqlite_stat4'))",
    )?;
    let parts = statement.query_map([], |row| {
        Ok(SchemaObject {
            what: row.get(0)?,
            name: row.get(1)?,
            table: row.get(2)?,
            sql: row.get(3)?,
        })
    })?;
    Ok(parts.collect::<rusqlite::Result<_>>()?)
}

/// Returns the application id and the schema version of a file.
fn read_header(connection: &Connection) -> Result<(i32, i32)> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get(0));
    Ok((pragma("application_id")?, pragma("user_version")?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    /// A later schema, so that this release's is the older one.
    const LATER: Schema = Schema {
        migrations: &[
            include_str!("01-initial.sql"),
            "ALTER TABLE code_group ADD COLUMN title TEXT;
             CREATE INDEX code_group_by_title ON code_group (title);",
        ],
    };

    fn tables(connection: &Connection) -> Vec<(String, String)> {
        connection
            .prepare("SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY name")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .collect::<std::result::Result<_, _>>()
            .unwrap()
    }

    /// Creates a file of this release's schema version.
    fn file(path: &Path) -> Connection {
        let mut made = Connection::open(path).unwrap();
        SCHEMA.migrate(&mut made, path).unwrap();
        made
    }

    #[test]
    fn migrating_gives_the_schema_of_a_new_file_and_keeps_rows() {
        let path = Path::new(":memory:");
        let mut old = file(path);
        old.execute(
            "INSERT INTO code_group (type, discount) VALUES ('kept', 7)",
            [],
        )
        .unwrap();
        LATER.migrate(&mut old, path).unwrap();
        assert_eq!(read_header(&old).unwrap(), (APPLICATION_ID, 2));

        let mut new = Connection::open_in_memory().unwrap();
        LATER.migrate(&mut new, path).unwrap();
        assert_eq!(tables(&old), tables(&new));
        let kept: String = old
            .query_row("SELECT type FROM code_group", [], |row| row.get(0))
            .unwrap();
        assert_eq!(kept, "kept");
    }

    #[test]
    fn does_not_migrate_while_a_process_executes() {
        let folder = tempfile::tempdir().unwrap();
        let (path, lock) = (folder.path().join("a.db"), folder.path().join("lock"));
        let mut old = file(&path);
        let executes = ExecutorLock::try_acquire(&lock).unwrap().unwrap();
        let before = tables(&old);
        let refused = LATER
            .prepare(&mut old, &path, &lock)
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("is still executing on it; stop that process first"),
            "{refused}"
        );
        assert_eq!(
            (read_header(&old).unwrap().1, tables(&old)),
            (SCHEMA.version(), before)
        );
        drop(executes);
        LATER.prepare(&mut old, &path, &lock).unwrap();
        assert_eq!(read_header(&old).unwrap().1, LATER.version());
        // An up-to-date file opens while another process executes.
        let _executes = ExecutorLock::try_acquire(&lock).unwrap().unwrap();
        LATER.prepare(&mut old, &path, &lock).unwrap();
    }

    #[test]
    fn opens_a_file_that_another_process_migrates() {
        let folder = tempfile::tempdir().unwrap();
        let (path, lock) = (folder.path().join("a.db"), folder.path().join("lock"));
        let mut old = file(&path);
        // The other process keeps the lock after its migration, to execute.
        let _executes = ExecutorLock::try_acquire(&lock).unwrap().unwrap();
        let other = path.clone();
        let other = thread::spawn(move || {
            thread::sleep(LOCK_POLL_INTERVAL * 3);
            LATER
                .migrate(&mut Connection::open(&other).unwrap(), &other)
                .unwrap();
        });
        LATER.prepare(&mut old, &path, &lock).unwrap();
        other.join().unwrap();
    }

    #[test]
    fn writes_nothing_after_another_release_migrated_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let old = file(&path);
        SCHEMA.check_version(&old).unwrap();
        LATER
            .migrate(&mut Connection::open(&path).unwrap(), &path)
            .unwrap();
        let refused = SCHEMA.check_version(&old).unwrap_err();
        assert!(
            matches!(refused.0, StoreError::Outdated { found: 2, known: 1 }),
            "{refused}"
        );
    }

    #[test]
    fn names_objects_that_differ_from_the_schema() {
        for schema in [SCHEMA, LATER] {
            let file = || {
                let mut made = Connection::open_in_memory().unwrap();
                schema.migrate(&mut made, Path::new("a.db")).unwrap();
                made
            };
            let ours = file();
            ours.execute_batch("ANALYZE").unwrap();
            assert_eq!(LATER.find_unexpected(&ours).unwrap(), None);
            for (sql, what) in [
                (
                    "CREATE TRIGGER t AFTER INSERT ON code_group
                     BEGIN DELETE FROM code_group; END",
                    "trigger",
                ),
                ("CREATE VIEW v AS SELECT * FROM code_group", "view"),
                ("CREATE TABLE x (y)", "table"),
                ("CREATE INDEX i ON code_group (type)", "index"),
                ("ALTER TABLE code_group ADD COLUMN z TEXT", "table"),
                (
                    "PRAGMA writable_schema = ON;
                     UPDATE sqlite_schema SET sql = sql || ' ' WHERE name = 'code_group'",
                    "table",
                ),
            ] {
                let file = file();
                file.execute_batch(sql).unwrap();
                let found = LATER.find_unexpected(&file).unwrap().unwrap();
                assert!(found.contains(what), "{sql}: {found}");
            }
        }
    }

    #[test]
    fn rejects_later_and_foreign_files_without_changing_them() {
        let path = Path::new("later.db");
        let mut later = Connection::open_in_memory().unwrap();
        LATER.migrate(&mut later, path).unwrap();
        let before = tables(&later);
        let refused = SCHEMA.migrate(&mut later, path).unwrap_err();
        assert!(refused.to_string().contains("a later one"), "{refused}");
        assert_eq!(
            (read_header(&later).unwrap().1, tables(&later)),
            (LATER.version(), before)
        );

        let mut other = Connection::open_in_memory().unwrap();
        other.execute_batch("CREATE TABLE theirs (x)").unwrap();
        let refused = SCHEMA
            .migrate(&mut other, Path::new("other.db"))
            .unwrap_err();
        assert!(
            refused.to_string().contains("not a Promoflow database"),
            "{refused}"
        );
        assert_eq!(tables(&other).len(), 1);
    }
}
