//! Changes of many codes, written with one statement for each table.

use promoflow_model::clock::Timestamp;
use promoflow_store::Position;
use promoflow_store::rules::upload::CodeValues;

use crate::connection::{Query, params};
use crate::errors::{Error, Result};
use crate::transaction::Transaction;

/// Changes of codes. Each code is changed once. They are decided and written in one exclusive
/// transaction.
#[derive(Debug, Default)]
pub(crate) struct CodeChanges<'c> {
    taken: Vec<(i64, Position)>,
    added: Vec<(i64, Position, &'c str)>,
    retirements: Vec<(&'c str, bool)>,
    updated: Vec<(&'c str, CodeValues<i64>, i64)>,
}

impl<'c> CodeChanges<'c> {
    /// Makes an available code unavailable.
    pub(crate) fn take(&mut self, code_group: i64, position: Position) {
        self.taken.push((code_group, position));
    }

    /// Makes a code available.
    pub(crate) fn add(&mut self, code_group: i64, position: Position, code: &'c str) {
        self.added.push((code_group, position, code));
    }

    /// Records that a code was retired, or reinstated.
    pub(crate) fn log_retirement(&mut self, code: &'c str, retired: bool) {
        self.retirements.push((code, retired));
    }

    /// Sets the values of a code, which an upload states.
    pub(crate) fn update(&mut self, code: &'c str, values: CodeValues<i64>, upload: i64) {
        self.updated.push((code, values, upload));
    }

    /// Writes the changes.
    pub(crate) fn write(mut self, transaction: &Transaction<'_>, at: Timestamp) -> Result<()> {
        let taken = Places::of(
            self.taken
                .iter()
                .map(|(group, position)| (*group, *position)),
        );
        // Neighbours share pages.
        self.added
            .sort_unstable_by_key(|(group, position, _)| (*group, *position));
        let added = self
            .added
            .iter()
            .map(|(group, position, _)| (*group, *position));
        let added = Places::of(added);
        let added_codes: Vec<&str> = self.added.iter().map(|(_, _, code)| *code).collect();
        let (logged, flags): (Vec<&str>, Vec<i32>) = self
            .retirements
            .iter()
            .map(|(code, retired)| (*code, i32::from(*retired)))
            .unzip();
        let codes: Vec<&str> = self.updated.iter().map(|(code, ..)| *code).collect();
        let uploads: Vec<i64> = self.updated.iter().map(|(.., upload)| *upload).collect();
        let values = || self.updated.iter().map(|(_, values, _)| values);
        let groups: Vec<i64> = values().map(|values| values.code_group).collect();
        let expiries: Vec<i64> = values().map(|values| values.expires.0).collect();
        let retired: Vec<i32> = values().map(|values| i32::from(values.in_use)).collect();

        let take = params![taken.groups, taken.expiries, taken.ids];
        let add = params![added.groups, added.expiries, added.ids, added_codes];
        let log = params![logged, flags, at.0];
        let update = params![codes, groups, expiries, retired, uploads];
        let mut queries: Vec<Query<'_>> = Vec::new();
        if !taken.ids.is_empty() {
            queries.push((TAKE, take));
        }
        if !added.ids.is_empty() {
            queries.push((ADD, add));
        }
        if !logged.is_empty() {
            queries.push((LOG, log));
        }
        if !codes.is_empty() {
            queries.push((UPDATE, update));
        }
        if queries.is_empty() {
            return Ok(());
        }
        let answers = transaction.pipeline(&queries)?;
        let found = answers.first().map_or(0, |answer| answer.affected);
        if !taken.ids.is_empty() && found != taken.ids.len() as u64 {
            // Nobody else writes meanwhile; if somebody did, a code could become available twice.
            return Err(Error::Conflict(
                "codes were claimed during an upload".into(),
            ));
        }
        Ok(())
    }
}

const TAKE: &str = "DELETE FROM available_code AS available
     USING unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS given (code_group, expires_at, code_id)
     WHERE available.code_group = given.code_group AND available.expires_at = given.expires_at
         AND available.code_id = given.code_id";
const ADD: &str = "INSERT INTO available_code (code_group, expires_at, code_id, code)
     SELECT unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::bigint[]), unnest($4::text[])";
const LOG: &str = "INSERT INTO retirement (code, retired, created_at)
     SELECT unnest($1::text[]), unnest($2::integer[]), $3";
const UPDATE: &str = "UPDATE code SET code_group = given.code_group, expires_at = given.expires_at,
         retired = given.retired, upload = given.upload
     FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::integer[], $5::bigint[])
         AS given (code, code_group, expires_at, retired, upload)
     WHERE code.code = given.code";

/// Positions in code groups, by column.
struct Places {
    groups: Vec<i64>,
    expiries: Vec<i64>,
    ids: Vec<i64>,
}

impl Places {
    fn of(places: impl Iterator<Item = (i64, Position)>) -> Places {
        let mut columns = Places {
            groups: Vec::new(),
            expiries: Vec::new(),
            ids: Vec::new(),
        };
        for (group, position) in places {
            columns.groups.push(group);
            columns.expiries.push(position.expires.0);
            columns.ids.push(position.id);
        }
        columns
    }
}
