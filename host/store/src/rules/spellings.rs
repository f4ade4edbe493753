//! Codes that differ only in letter case. The pool distinguishes them; many shops do not.
//!
//! There is no case-insensitive index, which every upload would have to write. Instead, the
//! spellings that people use are looked up: all upper case, all lower case and capitalised. Most
//! pools only have upper-case codes, where no two codes can differ in case; engines record whether
//! this is so.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// The number of codes to look up at once, so that others can read in between.
const LOOKUP_CHUNK: usize = 5_000;

/// Returns true if a code has letters other than A to Z. Two codes without any never differ only in
/// case.
pub fn has_lowercase(code: &str) -> bool {
    !code.is_ascii() || code.bytes().any(|byte| byte.is_ascii_lowercase())
}

/// Returns the codes that differ only in case from another of `codes` or from a stored one, in
/// pairs. `stored` returns those of some codes that are stored in another spelling.
pub fn find_other_spellings<E>(
    codes: &[String],
    pool_has_lowercase: impl FnOnce() -> Result<bool, E>,
    stored: impl Fn(&[&str]) -> Result<Vec<(String, String)>, E>,
) -> Result<Vec<(String, String)>, E> {
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

fn lower(code: &str) -> String {
    match code.is_ascii() {
        true => code.to_ascii_lowercase(),
        false => code.to_lowercase(),
    }
}

/// Returns the lower-case, upper-case and capitalised spellings of a code, without duplicates and
/// without the code itself.
pub fn other_spellings(code: &str) -> impl Iterator<Item = String> {
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
    std::iter::once(small)
        .chain(others.into_iter().flatten())
        .filter(move |spelling| spelling != code)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    #[test]
    fn spellings_are_those_that_people_use() {
        let of = |code| other_spellings(code).collect::<Vec<_>>();
        assert_eq!(of("save10"), ["SAVE10", "Save10"]);
        assert_eq!(of("Літо"), ["літо", "ЛІТО"]);
        assert_eq!(of("sAVE"), ["save", "SAVE", "Save"]);
        assert!(of("123").is_empty());
    }

    #[test]
    fn upper_case_codes_are_not_looked_up() {
        let find = |codes: &[&str], lowercase| {
            let codes: Vec<String> = codes.iter().map(|code| (*code).to_owned()).collect();
            find_other_spellings(&codes, || Ok(lowercase), |_| Err("looked up"))
        };
        assert_eq!(find(&["A", "B"], false), Ok(Vec::new()));
        assert_eq!(find(&["A", "B"], true), Err("looked up"));
        assert_eq!(find(&["A", "b"], false), Err("looked up"));
        // Codes that match each other need no look-up.
        assert_eq!(find(&["b", "B"], false), Ok(vec![("b".into(), "B".into())]));
    }
}
