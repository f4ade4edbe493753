//! Ids of rows that a commit adds in any number, known before the rows are added.

use std::ops::Range;

use parking_lot::Mutex;

use crate::connection::{Param, Query};
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

/// How many blocks to take more than are needed, so that few transactions have to take any.
const SPARE_BLOCKS: usize = 15;

/// The ids that this process has taken and not used. Some are lost when it ends.
#[derive(Debug, Default)]
pub(crate) struct Sequences {
    left: Mutex<[Vec<Range<i64>>; 4]>,
}

impl Sequences {
    /// Returns an id for a row.
    pub(crate) fn next(&self, transaction: &Transaction<'_>, kind: IdOf) -> Result<i64> {
        let [mut ids] = self.take(transaction, [(kind, 1)])?;
        ids.pop().ok_or_else(|| Error::Lost("no id".into()))
    }

    /// Returns ids for that many rows of each kind, in ascending order.
    pub(crate) fn take<const N: usize>(
        &self,
        transaction: &Transaction<'_>,
        counts: [(IdOf, usize); N],
    ) -> Result<[Vec<i64>; N]> {
        let mut taken = counts.map(|(_, count)| Vec::with_capacity(count));
        loop {
            let missing = self.take_left(&counts, &mut taken);
            if missing.is_empty() {
                taken.iter_mut().for_each(|ids| ids.sort_unstable());
                return Ok(taken);
            }
            // Asks without the lock: the answer may have to wait for a transaction of this process
            // that needs an id, too.
            let blocks = missing.iter().map(|(_, blocks)| [blocks as Param<'_>]);
            let blocks: Vec<_> = blocks.collect();
            let queries = missing.iter().zip(&blocks);
            let queries: Vec<Query<'_>> = queries
                .map(|((kind, _), blocks)| (kind.statement(), &blocks[..]))
                .collect();
            let answers = transaction.pipeline(&queries)?;
            let mut left = self.left.lock();
            for ((kind, _), answer) in missing.iter().zip(answers) {
                let Some(left) = left.get_mut(*kind as usize) else {
                    continue;
                };
                for row in answer.rows {
                    let first: i64 = row.get(0)?;
                    left.push(first..first.saturating_add(BLOCK));
                }
                left.sort_unstable_by_key(|block| block.start);
            }
        }
    }

    /// Takes ids from those that are left. Returns of which kinds more are needed, and how many
    /// blocks.
    fn take_left(&self, counts: &[(IdOf, usize)], taken: &mut [Vec<i64>]) -> Vec<(IdOf, i32)> {
        let mut left = self.left.lock();
        let mut missing = Vec::new();
        for (&(kind, count), ids) in counts.iter().zip(taken) {
            let Some(left) = left.get_mut(kind as usize) else {
                continue;
            };
            while ids.len() < count
                && let Some(block) = left.first_mut()
            {
                ids.extend(block.by_ref().take(count - ids.len()));
                if block.is_empty() {
                    left.remove(0);
                }
            }
            if ids.len() < count {
                let blocks = (count - ids.len()).div_ceil(usize::try_from(BLOCK).unwrap_or(1));
                let blocks = i32::try_from(blocks + SPARE_BLOCKS).unwrap_or(i32::MAX);
                missing.push((kind, blocks));
            }
        }
        missing
    }
}
