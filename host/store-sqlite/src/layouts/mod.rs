//! The layouts of the tables, from the first release on.
//!
//! A new file goes through all of them, an older one through those that it lacks, in one
//! transaction; so both end alike. A layout that was released is never edited: what changes is a
//! further one.

use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};

use super::{ExecutorLock, Path, Result, StoreError};
use promoflow_document::shown;

/// Marks our files among SQLite files: `Prom` in ASCII.
const APPLICATION_ID: i32 = 0x5072_6f6d;

/// What leads from each layout to the next.
const LAYOUTS: &[&str] = &[
    include_str!("01-first.sql"),
    include_str!("02-installation.sql"),
    include_str!("03-waiters.sql"),
    include_str!("04-service.sql"),
    include_str!("05-operation.sql"),
    include_str!("06-alerts.sql"),
    include_str!("07-outbox.sql"),
    include_str!("08-traces.sql"),
    include_str!("09-contacts.sql"),
    include_str!("10-people.sql"),
    include_str!("11-notices.sql"),
    include_str!("12-troubles.sql"),
    include_str!("13-unclear.sql"),
    include_str!("14-unsent.sql"),
    include_str!("15-pauses.sql"),
    include_str!("16-refusals.sql"),
    include_str!("17-paused.sql"),
    include_str!("18-slices.sql"),
    include_str!("19-upload-warnings.sql"),
    include_str!("20-small-letters.sql"),
];

/// The layout that this program reads and writes: how many there are.
#[allow(clippy::cast_possible_truncation, reason = "a handful")]
const PRESENT: i32 = LAYOUTS.len() as i32;

/// How long it is waited for another process that brings the database up to date.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(20);

/// Makes the tables in an empty file and brings those of an older one up to date, unless a process
/// executes by them, which holds `lock`; refuses a file of something else, or of a later version.
pub(super) fn prepare(connection: &mut Connection, path: &Path, lock: &Path) -> Result<()> {
    // Without a transaction first: a file that is ready opens while somebody else writes it.
    let _nobody_executes = match read(connection)? {
        (APPLICATION_ID, PRESENT) => return Ok(()),
        (APPLICATION_ID, 1..PRESENT) => alone(connection, path, lock)?,
        _ => None,
    };
    complete(connection, path)
}

/// Has nobody execute by an older layout, nor take that up, while this is held. `None` where
/// another process has brought the file up to date meanwhile.
fn alone(connection: &Connection, path: &Path, lock: &Path) -> Result<Option<ExecutorLock>> {
    let until = Instant::now() + PATIENCE;
    loop {
        let taken = ExecutorLock::try_take(lock).map_err(|error| {
            StoreError::Open(format!("cannot lock {}: {error}", lock.display()))
        })?;
        if taken.is_some() || read(connection)?.1 == PRESENT {
            return Ok(taken);
        }
        if Instant::now() >= until {
            return Err(StoreError::Open(format!(
                "{} is of an earlier release, and a process executes on it: end that first (it \
                 has {} open), then this release brings the database up to date",
                path.display(),
                lock.display()
            ))
            .into());
        }
        thread::sleep(LOOK);
    }
}

/// The same for a file that nobody else uses.
pub(super) fn complete(connection: &mut Connection, path: &Path) -> Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let (application, version) = read(&transaction)?;
    let known = if application == APPLICATION_ID {
        version
    } else {
        let tables: i64 =
            transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if tables > 0 || application != 0 {
            return Err(StoreError::Open(format!(
                "{} is a database of another program; name a file of promoflow's with --db",
                path.display()
            ))
            .into());
        }
        0
    };
    let Some(missing) = usize::try_from(known)
        .ok()
        .and_then(|known| LAYOUTS.get(known..))
    else {
        return Err(StoreError::Open(format!(
            "{} was written by a promoflow with layout {version}; this one knows layout \
             {PRESENT}: use the release that wrote it, or a later one",
            path.display()
        ))
        .into());
    };
    if known > 0 && !missing.is_empty() {
        tracing::info!(
            from = known,
            to = PRESENT,
            "bringing the database up to date"
        );
    }
    for layout in missing {
        transaction.execute_batch(layout)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", PRESENT)?;
    transaction.commit()?;
    Ok(())
}

/// Refuses a file that another release has changed since it was opened. Within a transaction that
/// writes, that stays so until its end.
pub(super) fn must_be_present(connection: &Connection) -> Result<()> {
    // Costs no read of the file: the transaction holds its first page.
    let found = connection
        .prepare_cached("PRAGMA user_version")?
        .query_row([], |row| row.get(0))?;
    match found {
        PRESENT => Ok(()),
        found => Err(StoreError::Outdated {
            found,
            known: PRESENT,
        }
        .into()),
    }
}

/// Whether a file is one of ours, in whichever layout.
pub(super) fn is_ours(connection: &Connection) -> Result<bool> {
    Ok(read(connection)?.0 == APPLICATION_ID)
}

/// What a file holds beside the tables and indexes of its layout, or holds in another way than that
/// says; `None` where there is nothing, or a later release knows the layout.
pub(super) fn strange(connection: &Connection) -> Result<Option<String>> {
    let version = usize::try_from(read(connection)?.1).unwrap_or(0);
    let Some(layouts) = LAYOUTS.get(..version) else {
        return Ok(None);
    };
    let made = Connection::open_in_memory()?;
    for layout in layouts {
        made.execute_batch(layout)?;
    }
    let (ours, found) = (schema(&made)?, schema(connection)?);
    let (differs, kind) = match found.iter().find(|one| !ours.contains(one)) {
        Some(one) => (one, "the"),
        // What is missing or hidden would be made anew by nobody.
        None => match ours.iter().find(|one| !found.contains(one)) {
            Some(one) => (one, "the missing"),
            None => return Ok(None),
        },
    };
    let (what, name) = (shown(&differs.what), shown(&differs.name));
    Ok(Some(format!("{kind} {what} {name}")))
}

/// A table, index, trigger or view of a file.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    what: String,
    name: String,
    table: String,
    sql: Option<String>,
}

/// All of them, apart from the notes that SQLite takes of tables.
fn schema(connection: &Connection) -> Result<Vec<Part>> {
    let mut statement = connection.prepare(
        "SELECT type, name, tbl_name, sql FROM sqlite_schema
         WHERE NOT (type = 'table' AND name IN ('sqlite_stat1', 'sqlite_stat4'))",
    )?;
    let parts = statement.query_map([], |row| {
        Ok(Part {
            what: row.get(0)?,
            name: row.get(1)?,
            table: row.get(2)?,
            sql: row.get(3)?,
        })
    })?;
    Ok(parts.collect::<rusqlite::Result<_>>()?)
}

/// Whose file it is, and in which layout.
fn read(connection: &Connection) -> Result<(i32, i32)> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get(0));
    Ok((pragma("application_id")?, pragma("user_version")?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    fn tables(connection: &Connection) -> Vec<(String, String)> {
        connection
            .prepare("SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY name")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .collect::<std::result::Result<_, _>>()
            .unwrap()
    }

    #[test]
    fn an_older_file_ends_like_a_new_one_and_keeps_its_rows() {
        for first in 1..=PRESENT {
            let mut old = Connection::open_in_memory().unwrap();
            for layout in &LAYOUTS[..first as usize] {
                old.execute_batch(layout).unwrap();
            }
            old.pragma_update(None, "application_id", APPLICATION_ID)
                .unwrap();
            old.pragma_update(None, "user_version", first).unwrap();
            old.execute("INSERT INTO lane (type, discount) VALUES ('kept', 7)", [])
                .unwrap();
            complete(&mut old, Path::new("old.db")).unwrap();

            let mut new = Connection::open_in_memory().unwrap();
            complete(&mut new, Path::new("new.db")).unwrap();
            assert_eq!(tables(&old), tables(&new), "from layout {first}");
            let kept: String = old
                .query_row("SELECT type FROM lane", [], |row| row.get(0))
                .unwrap();
            assert_eq!(kept, "kept");
        }
    }

    /// A file of that layout.
    fn file(path: &Path, layout: i32) -> Connection {
        let made = Connection::open(path).unwrap();
        for layout in &LAYOUTS[..layout as usize] {
            made.execute_batch(layout).unwrap();
        }
        made.pragma_update(None, "application_id", APPLICATION_ID)
            .unwrap();
        made.pragma_update(None, "user_version", layout).unwrap();
        made
    }

    #[test]
    fn an_older_file_is_left_alone_while_a_process_executes_on_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, lock) = (folder.path().join("a.db"), folder.path().join("lock"));
        let mut old = file(&path, PRESENT - 1);
        let executes = ExecutorLock::try_take(&lock).unwrap().unwrap();
        let before = tables(&old);
        let refused = prepare(&mut old, &path, &lock).unwrap_err().to_string();
        assert!(refused.contains("end that first"), "{refused}");
        assert_eq!((read(&old).unwrap().1, tables(&old)), (PRESENT - 1, before));
        drop(executes);
        prepare(&mut old, &path, &lock).unwrap();
        assert_eq!(read(&old).unwrap().1, PRESENT);
        // A file that is ready needs nobody to end.
        let _executes = ExecutorLock::try_take(&lock).unwrap().unwrap();
        prepare(&mut old, &path, &lock).unwrap();
    }

    #[test]
    fn who_waits_for_another_to_bring_a_file_up_to_date_goes_on_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, lock) = (folder.path().join("a.db"), folder.path().join("lock"));
        let mut old = file(&path, PRESENT - 1);
        // Who has brought it up to date goes on to execute.
        let _executes = ExecutorLock::try_take(&lock).unwrap().unwrap();
        let other = path.clone();
        let other = thread::spawn(move || {
            thread::sleep(LOOK * 3);
            complete(&mut Connection::open(&other).unwrap(), &other).unwrap();
        });
        prepare(&mut old, &path, &lock).unwrap();
        other.join().unwrap();
    }

    #[test]
    fn what_a_file_holds_beside_its_layout_is_named() {
        for layout in 1..=PRESENT {
            let file = || {
                let made = Connection::open_in_memory().unwrap();
                for layout in &LAYOUTS[..layout as usize] {
                    made.execute_batch(layout).unwrap();
                }
                made.pragma_update(None, "user_version", layout).unwrap();
                made
            };
            let ours = file();
            ours.execute_batch("ANALYZE").unwrap();
            assert_eq!(strange(&ours).unwrap(), None);
            for (sql, what) in [
                (
                    "CREATE TRIGGER t AFTER INSERT ON lane BEGIN DELETE FROM lane; END",
                    "trigger",
                ),
                ("CREATE VIEW v AS SELECT * FROM lane", "view"),
                ("CREATE TABLE x (y)", "table"),
                ("CREATE INDEX i ON lane (type)", "index"),
                ("ALTER TABLE lane ADD COLUMN z TEXT", "table"),
                (
                    "PRAGMA writable_schema = ON;
                     UPDATE sqlite_schema SET sql = sql || ' ' WHERE name = 'lane'",
                    "table",
                ),
            ] {
                let file = file();
                file.execute_batch(sql).unwrap();
                let found = strange(&file).unwrap().unwrap();
                assert!(found.contains(what), "{sql}: {found}");
            }
        }
    }

    #[test]
    fn a_later_file_and_one_of_another_program_are_refused_and_left_alone() {
        let mut later = Connection::open_in_memory().unwrap();
        complete(&mut later, Path::new("later.db")).unwrap();
        later
            .pragma_update(None, "user_version", PRESENT + 1)
            .unwrap();
        let refused = complete(&mut later, Path::new("later.db")).unwrap_err();
        assert!(refused.to_string().contains("a later one"), "{refused}");
        assert_eq!(read(&later).unwrap().1, PRESENT + 1);

        let mut other = Connection::open_in_memory().unwrap();
        other.execute_batch("CREATE TABLE theirs (x)").unwrap();
        let refused = complete(&mut other, Path::new("other.db")).unwrap_err();
        assert!(refused.to_string().contains("another program"), "{refused}");
        assert_eq!(tables(&other).len(), 1);
    }
}
