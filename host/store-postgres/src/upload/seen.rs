//! What the lines of an upload so far said of each code.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use promoflow_store::rules::upload::CodeValues;

/// The values that the lines of an upload gave codes. It holds no texts, because an upload may have
/// millions of lines: a code takes 16 bytes, and so does nothing else if most have equal values.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    hashers: (RandomState, RandomState),
    /// The index of the values, by 96 bits of two hashes of the code. For ten million codes, the
    /// probability that any two are mixed up is below 10⁻¹⁴.
    codes: HashMap<(u64, u32), u32>,
    values: Vec<CodeValues<i64>>,
    /// The index in `values`.
    indexes: HashMap<CodeValues<i64>, u32>,
}

impl Seen {
    /// Returns what was said of a code.
    pub(crate) fn get(&self, code: &str) -> Option<CodeValues<i64>> {
        let index = *self.codes.get(&self.key(code))?;
        self.values.get(usize::try_from(index).ok()?).copied()
    }

    /// Records what is said of a code.
    pub(crate) fn put(&mut self, code: &str, values: CodeValues<i64>) {
        let index = *self.indexes.entry(values).or_insert_with(|| {
            self.values.push(values);
            u32::try_from(self.values.len() - 1).unwrap_or(u32::MAX)
        });
        self.codes.insert(self.key(code), index);
    }

    fn key(&self, code: &str) -> (u64, u32) {
        let (one, other) = (self.hashers.0.hash_one(code), self.hashers.1.hash_one(code));
        // The upper half.
        (one, u32::try_from(other >> 32).unwrap_or_default())
    }
}
