//! The layouts of the tables, from the first release on.
//!
//! A new file goes through all of them, an older one through those that it lacks, in one
//! transaction; so both end alike. A layout that was released is never edited: what changes is a
//! further one.

use rusqlite::{Connection, TransactionBehavior};

use super::{Path, Result, StoreError};

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
];

/// The layout that this program reads and writes: how many there are.
#[allow(clippy::cast_possible_truncation, reason = "a handful")]
const PRESENT: i32 = LAYOUTS.len() as i32;

/// Makes the tables in an empty file and brings those of an older one up to date; refuses a file
/// of something else, or of a later version.
pub(super) fn prepare(connection: &mut Connection, path: &Path) -> Result<()> {
    // Without a transaction first: a file that is ready opens while somebody else writes it.
    if read(connection)? == (APPLICATION_ID, PRESENT) {
        return Ok(());
    }
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
            )));
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
        )));
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

/// Whether a file is one of ours, in whichever layout.
pub(super) fn is_ours(connection: &Connection) -> Result<bool> {
    Ok(read(connection)?.0 == APPLICATION_ID)
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
            prepare(&mut old, Path::new("old.db")).unwrap();

            let mut new = Connection::open_in_memory().unwrap();
            prepare(&mut new, Path::new("new.db")).unwrap();
            assert_eq!(tables(&old), tables(&new), "from layout {first}");
            let kept: String = old
                .query_row("SELECT type FROM lane", [], |row| row.get(0))
                .unwrap();
            assert_eq!(kept, "kept");
        }
    }

    #[test]
    fn a_later_file_and_one_of_another_program_are_refused_and_left_alone() {
        let mut later = Connection::open_in_memory().unwrap();
        prepare(&mut later, Path::new("later.db")).unwrap();
        later
            .pragma_update(None, "user_version", PRESENT + 1)
            .unwrap();
        let refused = prepare(&mut later, Path::new("later.db")).unwrap_err();
        assert!(refused.to_string().contains("a later one"), "{refused}");
        assert_eq!(read(&later).unwrap().1, PRESENT + 1);

        let mut other = Connection::open_in_memory().unwrap();
        other.execute_batch("CREATE TABLE theirs (x)").unwrap();
        let refused = prepare(&mut other, Path::new("other.db")).unwrap_err();
        assert!(refused.to_string().contains("another program"), "{refused}");
        assert_eq!(tables(&other).len(), 1);
    }
}
