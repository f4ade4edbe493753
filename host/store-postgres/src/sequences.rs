//! Ids of rows that a commit adds in any number, known before the rows are added.

use std::ops::Range;

use parking_lot::Mutex;

use crate::connection::params;
use crate::errors::{Error, Result};
use crate::transaction::Transaction;

/// The increment of the sequences: how many ids each number that they give stands for.
const BLOCK: i64 = 64;

/// A kind of row.
#[derive(Clone, Copy, Debug)]
pub(crate) enum IdOf {
    /// `event`.
    Event,
    /// `run`.
    Run,
    /// `claim`.
    Claim,
    /// `delivery`.
    Delivery,
}

impl IdOf {
    fn statement(self) -> &'static str {
        match self {
            IdOf::Event => "SELECT nextval('event_ids') FROM generate_series(1, $1)",
            IdOf::Run => "SELECT nextval('run_ids') FROM generate_series(1, $1)",
            IdOf::Claim => "SELECT nextval('claim_ids') FROM generate_series(1, $1)",
            IdOf::Delivery => "SELECT nextval('delivery_ids') FROM generate_series(1, $1)",
        }
    }
}

/// The ids that this process has taken and not used. Some are lost when it ends.
#[derive(Debug, Default)]
pub(crate) struct Sequences {
    left: [Mutex<Vec<Range<i64>>>; 4],
}

impl Sequences {
    /// Returns an id for a row.
    pub(crate) fn next(&self, transaction: &Transaction<'_>, kind: IdOf) -> Result<i64> {
        let mut ids = self.take(transaction, kind, 1)?;
        ids.pop().ok_or_else(|| Error::Lost("no id".into()))
    }

    /// Returns ids for that many rows, in ascending order for those of one block.
    pub(crate) fn take(
        &self,
        transaction: &Transaction<'_>,
        kind: IdOf,
        count: usize,
    ) -> Result<Vec<i64>> {
        let mut ids = Vec::with_capacity(count);
        let Some(left) = self.left.get(kind as usize) else {
            return Ok(ids);
        };
        let mut left = left.lock();
        loop {
            while let Some(block) = left.first_mut() {
                ids.extend(block.by_ref().take(count - ids.len()));
                if ids.len() == count {
                    return Ok(ids);
                }
                left.remove(0);
            }
            let missing = count - ids.len();
            let blocks = missing.div_ceil(usize::try_from(BLOCK).unwrap_or(1));
            let blocks = i32::try_from(blocks).unwrap_or(i32::MAX);
            for row in transaction.rows(kind.statement(), params![blocks])? {
                let first: i64 = row.get(0)?;
                left.push(first..first.saturating_add(BLOCK));
            }
        }
    }
}
