//! `hashCode()`.

use super::{Pos, Renderer, Result};
use crate::eval::{MAX_VALUE_DEPTH, VISIT_WORK, too_deep};
use crate::number::Number;
use crate::runtime::Val;

fn fold(hash: i32, next: i32) -> i32 {
    hash.wrapping_mul(31).wrapping_add(next)
}

fn long_hash(value: i64) -> i32 {
    (value ^ ((value as u64) >> 32) as i64) as i32
}

impl<'c> Renderer<'c> {
    /// Returns Java's `hashCode()` of a value.
    pub(super) fn java_hash(&mut self, value: &Val<'c>, depth: u32, pos: Pos) -> Result<i32> {
        if depth > MAX_VALUE_DEPTH {
            return Err(too_deep(pos));
        }
        self.budget.work(VISIT_WORK, pos)?;
        Ok(match value {
            Val::Bool(value) => {
                if *value {
                    1231
                } else {
                    1237
                }
            }
            Val::Number(Number::Int(value)) => {
                i32::try_from(*value).unwrap_or_else(|_| long_hash(*value))
            }
            Val::Number(Number::Double(value)) => long_hash(value.to_bits() as i64),
            Val::Number(_) | Val::Text(_) | Val::Markup(_) | Val::Char(_) => {
                let text = self.text(value, pos)?;
                self.budget.work(text.len(), pos)?;
                text.encode_utf16()
                    .fold(0, |hash, unit| fold(hash, unit.into()))
            }
            Val::List(_) | Val::Range(..) => {
                let mut hash = 1;
                let mut index = 0;
                while let Some(item) = self.element(value, index) {
                    hash = fold(hash, self.java_hash(&item, depth + 1, pos)?);
                    index += 1;
                }
                hash
            }
            Val::Map(map) => {
                let mut hash: i32 = 0;
                let mut index = 0;
                while let Some((key, item)) = map.at(index) {
                    let key = self.java_hash(&key, depth + 1, pos)?;
                    hash = hash.wrapping_add(key ^ self.java_hash(&item, depth + 1, pos)?);
                    index += 1;
                }
                hash
            }
            Val::Entry(entry) => {
                self.java_hash(&entry.0, depth + 1, pos)?
                    ^ self.java_hash(&entry.1, depth + 1, pos)?
            }
            _ => 0,
        })
    }
}
