//! Codes that differ only in letter case. The pool distinguishes them; many shops do not.
//!
//! There is no case-insensitive index, which every upload would have to write. Instead, the
//! spellings that people use are looked up: all upper case, all lower case and capitalised. Most
//! pools only have upper-case codes, where no two codes can differ in case; a setting records
//! whether this is so.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use rusqlite::{Connection, OptionalExtension};

use super::{Result, number_setting, set_setting};

/// Looks up a code in the pool.
pub(super) const POOL_LOOKUP: &str = "SELECT code FROM code WHERE code = ?1";
/// Looks up a code in a dry run.
pub(super) const DRY_RUN_LOOKUP: &str = "
    SELECT code FROM temp.code WHERE code = ?1
    UNION ALL SELECT code FROM main.code WHERE code = ?1 LIMIT 1";

/// The number of codes to look up at once, so that others can read in between.
const LOOKUP_CHUNK: usize = 5_000;

/// The setting that records whether any code of the pool [has lower-case
/// letters](has_lowercase).
const HAS_LOWERCASE: &str = "has-lowercase-codes";

/// Returns true if a code has letters other than A to Z. Two codes without any never differ only in
/// case.
pub(super) fn has_lowercase(code: &str) -> bool {
    !code.is_ascii() || code.bytes().any(|byte| byte.is_ascii_lowercase())
}

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

/// Returns the codes that differ only in case from another of `codes` or from a stored one, in
/// pairs.
pub(super) fn find_other_spellings(
    codes: &[String],
    pool_has_lowercase: impl FnOnce() -> Result<bool>,
    stored: impl Fn(&[&str]) -> Result<Vec<(String, String)>>,
) -> Result<Vec<(String, String)>> {
    if !codes.iter().any(|code| has_lowercase(code)) && !pool_has_lowercase()? {
        return Ok(Vec::new());
    }
    // Hashes instead of texts, to avoid holding a batch of long codes twice.
    let hasher = RandomState::new();
    let hashes: Vec<u64> = codes
        .iter()
        .map(|code| hasher.hash_one(lower(code)))
        .collect();
    let mut groups: HashMap<u64, (usize, bool)> = HashMap::with_capacity(codes.len());
    let mut found = Vec::new();
    for (at, hash) in hashes.iter().enumerate() {
        let (first, is_shared) = groups.entry(*hash).or_insert((at, false));
        if *first != at && lower(&codes[*first]) == lower(&codes[at]) {
            *is_shared = true;
            found.push((codes[*first].clone(), codes[at].clone()));
        }
    }
    let is_alone = |hash| groups.get(hash).is_some_and(|(_, is_shared)| !is_shared);
    let alone: Vec<&str> = codes
        .iter()
        .zip(&hashes)
        .filter(|(_, hash)| is_alone(hash))
        .map(|(code, _)| code.as_str())
        .collect();
    for some in alone.chunks(LOOKUP_CHUNK) {
        found.extend(stored(some)?);
    }
    Ok(found)
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
        for spelling in spellings(code) {
            if spelling == *code {
                continue;
            }
            let stored = statement.query_row([spelling], |row| row.get(0));
            if let Some(stored) = stored.optional()? {
                found.push((stored, (*code).to_owned()));
                break;
            }
        }
    }
    Ok(found)
}

fn lower(code: &str) -> String {
    match code.is_ascii() {
        true => code.to_ascii_lowercase(),
        false => code.to_lowercase(),
    }
}

/// Returns the lower-case, upper-case and capitalised spellings of a code, without duplicates.
fn spellings(code: &str) -> impl Iterator<Item = String> {
    let small = lower(code);
    let first = small
        .chars()
        .next()
        .into_iter()
        .flat_map(char::to_uppercase);
    let capital: String = first.chain(small.chars().skip(1)).collect();
    let capitals = small.to_uppercase();
    let others = [
        (capitals != small).then_some(capitals),
        (capital != small).then_some(capital),
    ];
    std::iter::once(small).chain(others.into_iter().flatten())
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
