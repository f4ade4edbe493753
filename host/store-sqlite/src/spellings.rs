//! Codes that differ in upper and lower case only. The pool tells them apart, many shops do not.
//!
//! There is no index of codes without their case, which every upload would have to write: the
//! spellings that people use are looked up, all capitals, all small letters and a capital first.
//! Most pools hold capitals alone, where no two codes can differ so: a setting says which do not.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use rusqlite::{Connection, OptionalExtension};

use super::{Result, number_setting, set_setting};

/// Where codes are.
pub(super) const POOL: &str = "SELECT code FROM code WHERE code = ?1";
/// Where they are for a rehearsal.
pub(super) const SHADOW: &str = "
    SELECT code FROM temp.code WHERE code = ?1
    UNION ALL SELECT code FROM main.code WHERE code = ?1 LIMIT 1";

/// Codes that are looked up at once; others may read in between.
const AT_ONCE: usize = 5_000;

/// The setting that says whether any code of the pool [has other letters](has_small_letters) than
/// capitals.
const SMALL_LETTERS: &str = "small-letters";

/// Whether a code has letters beside the capitals of ASCII. Two codes that have none never differ in
/// case only.
pub(super) fn has_small_letters(code: &str) -> bool {
    !code.is_ascii() || code.bytes().any(|byte| byte.is_ascii_lowercase())
}

/// Notes that the pool gets these codes.
pub(super) fn note<'c>(
    connection: &Connection,
    mut codes: impl Iterator<Item = &'c str>,
) -> Result<()> {
    if codes.any(has_small_letters) && !pool_has_small_letters(connection)? {
        set_setting(connection, SMALL_LETTERS, "1")?;
    }
    Ok(())
}

/// Whether any code of the pool has letters beside the capitals of ASCII.
pub(super) fn pool_has_small_letters(connection: &Connection) -> Result<bool> {
    Ok(number_setting(connection, SMALL_LETTERS)? != 0)
}

/// The codes of which another spelling is among them or stored, each with one of those.
pub(super) fn others(
    codes: &[String],
    pool_has_small_letters: impl FnOnce() -> Result<bool>,
    stored: impl Fn(&[&str]) -> Result<Vec<(String, String)>>,
) -> Result<Vec<(String, String)>> {
    if !codes.iter().any(|code| has_small_letters(code)) && !pool_has_small_letters()? {
        return Ok(Vec::new());
    }
    // Hashes rather than texts, so that a batch of long codes is not held twice.
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
    for some in alone.chunks(AT_ONCE) {
        found.extend(stored(some)?);
    }
    Ok(found)
}

/// Which of these codes is stored in another spelling.
pub(super) fn stored(
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

/// A code in small letters, in capitals, and with a capital first; each of them once.
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
    fn spellings_are_found_among_codes_and_in_the_pool() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "CREATE TABLE code (code TEXT PRIMARY KEY) WITHOUT ROWID;
                 INSERT INTO code VALUES ('SAVE10'), ('Winter'), ('ЛІТО'), ('A-1'), ('123');
                 CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT);
                 INSERT INTO setting VALUES ('small-letters', '0');",
            )
            .unwrap();
        let find = |codes: &[&str]| {
            let codes: Vec<String> = codes.iter().map(|code| (*code).to_owned()).collect();
            let in_pool = || pool_has_small_letters(&connection);
            let found = others(&codes, in_pool, |some| stored(&connection, POOL, some)).unwrap();
            let shown = |(one, other): (String, String)| format!("{one} {other}");
            found.into_iter().map(shown).collect::<Vec<_>>()
        };
        assert_eq!(
            find(&["save10", "winter", "літо", "a-1"]),
            ["SAVE10 save10", "Winter winter", "ЛІТО літо", "A-1 a-1"]
        );
        assert_eq!(find(&["aB3", "Ab3", "new"]), ["aB3 Ab3"]);
        assert!(find(&["SAVE10", "123", "A-2"]).is_empty());
        // As long as nobody notes that the pool has small letters, capitals are not looked up.
        assert!(find(&["WINTER"]).is_empty());
        note(&connection, ["A-1", "123"].into_iter()).unwrap();
        assert!(find(&["WINTER"]).is_empty());
        note(&connection, ["A-1", "Winter"].into_iter()).unwrap();
        assert_eq!(find(&["WINTER"]), ["Winter WINTER"]);
    }
}
