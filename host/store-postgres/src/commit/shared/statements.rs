//! Statements that are sent at once, and their answers.

use tokio_postgres::types::ToSql;

use crate::connection::{Answer, Param, Query, Row};
use crate::errors::Result;
use crate::transaction::Transaction;

/// Statements that are sent at once.
#[derive(Default)]
pub(super) struct Statements {
    all: Vec<(&'static str, Vec<Box<dyn ToSql + Sync>>)>,
}

/// The place of a statement among the others; `None` if it was not needed.
pub(super) type Place = Option<usize>;

impl Statements {
    /// Adds a statement if `is_needed`.
    pub(super) fn add(
        &mut self,
        is_needed: bool,
        sql: &'static str,
        params: Vec<Box<dyn ToSql + Sync>>,
    ) -> Place {
        is_needed.then(|| {
            self.all.push((sql, params));
            self.all.len() - 1
        })
    }

    /// Sends all, even if there are none, and returns their answers.
    pub(super) fn send(self, transaction: &Transaction<'_>) -> Result<Answers> {
        let params: Vec<Vec<Param<'_>>> = self
            .all
            .iter()
            .map(|(_, params)| params.iter().map(|param| &**param as Param<'_>).collect())
            .collect();
        let queries: Vec<Query<'_>> = self
            .all
            .iter()
            .zip(&params)
            .map(|((sql, _), params)| (*sql, &params[..]))
            .collect();
        Ok(Answers(transaction.pipeline(&queries)?))
    }
}

/// The answers to statements.
pub(super) struct Answers(Vec<Answer>);

impl Answers {
    /// Returns the rows of a statement; none if it was not needed.
    pub(super) fn rows(&self, place: Place) -> &[Row] {
        let answer = place.and_then(|place| self.0.get(place));
        answer.map_or(&[], |answer| &answer.rows)
    }
}
