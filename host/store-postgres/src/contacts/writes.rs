//! Statements that change contacts, collected and sent at once.

use tokio_postgres::types::ToSql;

use crate::connection::{Param, Query};
use crate::errors::Result;
use crate::transaction::Transaction;

/// A parameter of a collected statement.
pub(super) type Value = Box<dyn ToSql + Sync>;

/// Lists the parameters of a collected statement.
macro_rules! values {
    ($($value:expr),* $(,)?) => {
        vec![$(Box::new($value) as $crate::contacts::writes::Value),*]
    };
}
pub(super) use values;

struct Write {
    /// The number of the row of the batch that it belongs to.
    row: usize,
    /// True if the contact changes with the rows that it adds, changes or removes.
    is_change: bool,
    sql: &'static str,
    params: Vec<Value>,
}

/// Collected statements, none of which depends on the answer to another one.
#[derive(Default)]
pub(super) struct Writes(Vec<Write>);

impl Writes {
    /// Adds a statement that changes the contact of a row of the batch.
    pub(super) fn change(&mut self, row: usize, sql: &'static str, params: Vec<Value>) {
        self.add(row, true, sql, params);
    }

    /// Adds a statement whose rows are no change of the contact.
    pub(super) fn record(&mut self, row: usize, sql: &'static str, params: Vec<Value>) {
        self.add(row, false, sql, params);
    }

    fn add(&mut self, row: usize, is_change: bool, sql: &'static str, params: Vec<Value>) {
        self.0.push(Write {
            row,
            is_change,
            sql,
            params,
        });
    }

    /// Sends them in order. Returns, for each row of the batch, whether its contact has changed.
    pub(super) fn send(self, transaction: &Transaction<'_>, rows: usize) -> Result<Vec<bool>> {
        let mut changed = vec![false; rows];
        if self.0.is_empty() {
            return Ok(changed);
        }
        let params: Vec<Vec<Param<'_>>> = self
            .0
            .iter()
            .map(|write| {
                write
                    .params
                    .iter()
                    .map(|param| &**param as Param<'_>)
                    .collect()
            })
            .collect();
        let queries: Vec<Query<'_>> = self
            .0
            .iter()
            .zip(&params)
            .map(|(write, params)| (write.sql, &params[..]))
            .collect();
        let answers = transaction.pipeline(&queries)?;
        for (write, answer) in self.0.iter().zip(answers) {
            if let Some(changed) = changed.get_mut(write.row) {
                *changed |= write.is_change && answer.affected > 0;
            }
        }
        Ok(changed)
    }
}
