//! Look-ups of codes that differ only in letter case.

use rusqlite::{Connection, OptionalExtension};

use super::{Result, number_setting, set_setting};
pub(super) use promoflow_store::rules::spellings::find_other_spellings;
use promoflow_store::rules::spellings::{has_lowercase, other_spellings};

/// Looks up a code in the pool.
pub(super) const POOL_LOOKUP: &str = "SELECT code FROM code WHERE code = ?1";
/// Looks up a code in a dry run.
pub(super) const DRY_RUN_LOOKUP: &str = "
    SELECT code FROM temp.code WHERE code = ?1
    UNION ALL SELECT code FROM main.code WHERE code = ?1 LIMIT 1";

/// The setting that records whether any code of the pool [has lower-case
/// letters](has_lowercase).
const HAS_LOWERCASE: &str = "has-lowercase-codes";

/// Updates the setting for these new codes.
pub(super) fn note_lowercase<'c>(
    connection: &Connection,
    mut codes: impl Iterator<Item = &'c str>,
) -> Result<()> {
    if codes.any(has_lowercase) && !pool_has_lowercase(connection)? {
        set_setting(connection, HAS_LOWERCASE, "1")?;
    }
    Ok(())
}

/// Returns true if any code of the pool has letters other than A to Z.
pub(super) fn pool_has_lowercase(connection: &Connection) -> Result<bool> {
    Ok(number_setting(connection, HAS_LOWERCASE)? != 0)
}

/// Returns those of the codes that are stored in another spelling, in pairs.
pub(super) fn find_stored_spellings(
    connection: &Connection,
    query: &str,
    codes: &[&str],
) -> Result<Vec<(String, String)>> {
    let mut statement = connection.prepare_cached(query)?;
    let mut found = Vec::new();
    for code in codes {
        for spelling in other_spellings(code) {
            let stored = statement.query_row([spelling], |row| row.get(0));
            if let Some(stored) = stored.optional()? {
                found.push((stored, (*code).to_owned()));
                break;
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_other_spellings_among_codes_and_in_the_pool() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "CREATE TABLE code (code TEXT PRIMARY KEY) WITHOUT ROWID;
                 INSERT INTO code VALUES ('SAVE10'), ('Winter'), ('ЛІТО'), ('A-1'), ('123');
                 CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT);
                 INSERT INTO setting VALUES ('has-lowercase-codes', '0');",
            )
            .unwrap();
        let find = |codes: &[&str]| {
            let codes: Vec<String> = codes.iter().map(|code| (*code).to_owned()).collect();
            let in_pool = || pool_has_lowercase(&connection);
            let found = find_other_spellings(&codes, in_pool, |some| {
                find_stored_spellings(&connection, POOL_LOOKUP, some)
            })
            .unwrap();
            let shown = |(one, other): (String, String)| format!("{one} {other}");
            found.into_iter().map(shown).collect::<Vec<_>>()
        };
        assert_eq!(
            find(&["save10", "winter", "літо", "a-1"]),
            ["SAVE10 save10", "Winter winter", "ЛІТО літо", "A-1 a-1"]
        );
        assert_eq!(find(&["aB3", "Ab3", "new"]), ["aB3 Ab3"]);
        assert!(find(&["SAVE10", "123", "A-2"]).is_empty());
        // Upper-case codes are not looked up until a lower-case code is noted.
        assert!(find(&["WINTER"]).is_empty());
        note_lowercase(&connection, ["A-1", "123"].into_iter()).unwrap();
        assert!(find(&["WINTER"]).is_empty());
        note_lowercase(&connection, ["A-1", "Winter"].into_iter()).unwrap();
        assert_eq!(find(&["WINTER"]), ["Winter WINTER"]);
    }
}
