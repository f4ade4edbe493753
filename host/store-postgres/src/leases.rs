//! Leases on available codes, which keep hosts apart.
//!
//! A lease is a row for a stretch of a code group, not for a code. It is a hint: a claim is decided
//! by its commit, so a lease that is lost or disregarded costs a retry and nothing else.

use promoflow_model::clock::{Clock, Timestamp};
use promoflow_model::pool::CodeGroup;
use promoflow_store::{AvailableCode, LeaseStore, Leased, Position, StoreError};

use crate::PostgresStore;
use crate::available_codes::read_available;
use crate::connection::{Param, Row, params};
use crate::errors::{Result, StoreResult, skip_damaged};
use crate::transaction::{Mode, Transaction};

/// How many leases of each host the rest of a code group should suffice for. So several hosts share
/// its last codes.
const LEASES_PER_HOST: usize = 4;
/// How long a lease keeps other hosts out that find no other code, in milliseconds: the host may not
/// need its last ones for days.
const LEASE_TIME: i64 = 2_000;

/// A position before every code.
const FIRST: Position = Position {
    expires: Timestamp(i64::MIN),
    id: i64::MIN,
};

/// A part of a code group: its first and its last code.
type Stretch = (Position, Position);

/// What a host asks for.
struct Request<'r> {
    code_group: i64,
    host: &'r str,
    after: Position,
    limit: usize,
    /// The number of hosts that lease.
    hosts: usize,
}

/// The codes of a code group that a host may lease.
struct Found {
    codes: Vec<AvailableCode>,
    /// True if there are no more.
    end: bool,
    /// The stretches that other hosts have leased.
    others: Vec<Stretch>,
}

impl Request<'_> {
    /// Finds codes that no other host has leased since that time.
    fn find(&self, transaction: &Transaction<'_>, since: i64) -> Result<Found> {
        let limit = number(self.limit);
        // Enough to tell that the limit need not be lowered.
        let many = number(self.limit * LEASES_PER_HOST * self.hosts);
        let (expires, id) = (self.after.expires.0, self.after.id);
        let group: &[Param<'_>] = params![self.code_group];
        let leased: &[Param<'_>] = params![self.code_group, self.host, since];
        let codes: &[Param<'_>] = params![self.code_group, expires, id, self.host, since, limit];
        let count: &[Param<'_>] = params![self.code_group, expires, id, self.host, since, many];
        let mut queries = vec![
            // Whoever leases from the same code group waits here, and then sees this lease.
            ("SELECT id FROM code_group WHERE id = $1 FOR UPDATE", group),
            (
                "SELECT from_expires_at, from_code_id, to_expires_at, to_code_id FROM lease
                 WHERE code_group = $1 AND host <> $2 AND leased_at >= $3",
                leased,
            ),
            (
                "SELECT expires_at, code_id, code FROM available_code AS code
                 WHERE code_group = $1 AND (expires_at, code_id) > ($2, $3) AND NOT EXISTS (
                     SELECT 1 FROM lease WHERE lease.code_group = $1 AND host <> $4
                         AND leased_at >= $5
                         AND (from_expires_at, from_code_id) <= (code.expires_at, code.code_id)
                         AND (to_expires_at, to_code_id) >= (code.expires_at, code.code_id))
                 ORDER BY expires_at, code_id LIMIT $6",
                codes,
            ),
        ];
        if self.hosts > 1 {
            queries.push((
                "SELECT count(*) FROM (
                     SELECT 1 FROM available_code AS code
                     WHERE code_group = $1 AND (expires_at, code_id) > ($2, $3) AND NOT EXISTS (
                         SELECT 1 FROM lease WHERE lease.code_group = $1 AND host <> $4
                             AND leased_at >= $5
                             AND (from_expires_at, from_code_id)
                                 <= (code.expires_at, code.code_id)
                             AND (to_expires_at, to_code_id) >= (code.expires_at, code.code_id))
                     LIMIT $6) AS code",
                count,
            ));
        }
        let answers = transaction.pipeline(&queries)?;
        let rows = |answer: usize| answers.get(answer).map(|one| one.rows.iter());
        let others = rows(1).into_iter().flatten().map(read_stretch);
        let others = others.collect::<Result<Vec<_>>>()?;
        let read = rows(2).map_or(0, |rows| rows.len());
        let codes = rows(2).into_iter().flatten();
        let codes = codes.filter_map(|row| skip_damaged(read_available(row)).transpose());
        let mut codes = codes.collect::<Result<Vec<_>>>()?;
        let mut end = read < self.limit;
        if let Some(row) = rows(3).and_then(|mut rows| rows.next()) {
            let left = usize::try_from(row.get::<i64>(0)?).unwrap_or(0);
            let fair = left.div_ceil(LEASES_PER_HOST * self.hosts);
            codes.truncate(fair);
            end = left <= codes.len();
        }
        Ok(Found { codes, end, others })
    }

    /// Returns true if an available code was skipped because another host has leased it.
    fn skipped_any(&self, transaction: &Transaction<'_>, found: &Found) -> Result<bool> {
        if !found.others.iter().any(|(_, to)| *to > self.after) {
            return Ok(false);
        }
        transaction.exists(
            "SELECT 1 FROM lease WHERE code_group = $1 AND host <> $2 AND EXISTS (
                 SELECT 1 FROM available_code AS code
                 WHERE code.code_group = $1 AND (code.expires_at, code.code_id) > ($3, $4)
                     AND (code.expires_at, code.code_id) >= (from_expires_at, from_code_id)
                     AND (code.expires_at, code.code_id) <= (to_expires_at, to_code_id))
             LIMIT 1",
            params![
                self.code_group,
                self.host,
                self.after.expires.0,
                self.after.id
            ],
        )
    }

    /// Records what is leased, with the commit.
    fn record(&self, transaction: &Transaction<'_>, found: &Found, now: i64) {
        // Of what was leased before, only stretches that still have codes are worth a row.
        transaction.at_commit(
            "DELETE FROM lease WHERE code_group = $1 AND host = $2 AND NOT EXISTS (
                 SELECT 1 FROM available_code AS code
                 WHERE code.code_group = $1
                     AND (code.expires_at, code.code_id) >= (from_expires_at, from_code_id)
                     AND (code.expires_at, code.code_id) <= (to_expires_at, to_code_id))",
            vec![Box::new(self.code_group), Box::new(self.host.to_owned())],
        );
        let leased = stretches(&found.codes, &found.others);
        let column =
            |value: fn(&Stretch) -> i64| -> Vec<i64> { leased.iter().map(value).collect() };
        transaction.at_commit(
            "INSERT INTO lease (code_group, from_expires_at, from_code_id, to_expires_at,
                                to_code_id, host, leased_at)
             SELECT $1, from_expires_at, from_code_id, to_expires_at, to_code_id, $2, $3
             FROM unnest($4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
                 AS leased (from_expires_at, from_code_id, to_expires_at, to_code_id)
             ON CONFLICT (code_group, from_expires_at, from_code_id, host)
             DO UPDATE SET to_expires_at = excluded.to_expires_at,
                           to_code_id = excluded.to_code_id, leased_at = excluded.leased_at",
            vec![
                Box::new(self.code_group),
                Box::new(self.host.to_owned()),
                Box::new(now),
                Box::new(column(|(from, _)| from.expires.0)),
                Box::new(column(|(from, _)| from.id)),
                Box::new(column(|(_, to)| to.expires.0)),
                Box::new(column(|(_, to)| to.id)),
            ],
        );
    }

    fn lease(&self, transaction: &Transaction<'_>, now: i64) -> Result<Leased> {
        let mut found = self.find(transaction, i64::MIN)?;
        let mut others = self.skipped_any(transaction, &found)?;
        if found.codes.is_empty() && others {
            let since = now - LEASE_TIME;
            found = self.find(transaction, since)?;
            if !found.codes.is_empty() {
                transaction.execute(
                    "DELETE FROM lease WHERE code_group = $1 AND host <> $2 AND leased_at < $3",
                    params![self.code_group, self.host, since],
                )?;
                others = self.skipped_any(transaction, &found)?;
            }
        }
        if !found.codes.is_empty() {
            self.record(transaction, &found, now);
        }
        Ok(Leased {
            end: found.end,
            others,
            codes: found.codes,
        })
    }
}

/// Lets the commit return before it is durable: a lost lease loses nothing.
fn not_durable(transaction: &Transaction<'_>) {
    transaction.at_commit("SET LOCAL synchronous_commit = off", Vec::new());
}

/// Divides codes, in order, into stretches that contain no other one.
fn stretches(codes: &[AvailableCode], others: &[Stretch]) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    for code in codes {
        let position = code.position;
        match stretches.last_mut() {
            Some((_, last))
                if !others
                    .iter()
                    .any(|(from, _)| (*last..position).contains(from)) =>
            {
                *last = position;
            }
            _ => stretches.push((position, position)),
        }
    }
    stretches
}

fn read_stretch(row: &Row) -> Result<Stretch> {
    let position = |column| -> Result<Position> {
        Ok(Position {
            expires: Timestamp(row.get(column)?),
            id: row.get(column + 1)?,
        })
    };
    Ok((position(0)?, position(2)?))
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl LeaseStore for PostgresStore {
    fn lease(
        &self,
        code_group: &CodeGroup,
        after: Option<Position>,
        limit: usize,
    ) -> StoreResult<Leased> {
        Ok(self.pool.write(Mode::Shared, |transaction| {
            not_durable(transaction);
            let Some(id) = self.find_code_group(transaction, code_group)? else {
                return Ok(Leased {
                    end: true,
                    ..Leased::default()
                });
            };
            let seat = transaction.seat();
            let seat = seat.ok_or_else(|| StoreError::Engine("the transaction reads".into()))?;
            let request = Request {
                code_group: id,
                host: &seat.host,
                after: after.unwrap_or(FIRST),
                limit,
                hosts: self.shares.executors(),
            };
            request.lease(transaction, self.pool.clock.now().0)
        })?)
    }

    fn give_up(&self, code_group: &CodeGroup) -> StoreResult<()> {
        Ok(self.pool.write(Mode::Shared, |transaction| {
            not_durable(transaction);
            let id = self.find_code_group(transaction, code_group)?;
            transaction.execute(
                "DELETE FROM lease WHERE code_group = $1 AND host = $2",
                params![id, transaction.seat().map(|seat| &seat.host)],
            )?;
            Ok(())
        })?)
    }

    fn pool_changes(&self) -> u64 {
        self.pool.pool_changes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_contain_no_other_one() {
        let position = |id| Position {
            expires: Timestamp::NEVER,
            id,
        };
        let code = |id| AvailableCode {
            position: position(id),
            code: id.to_string(),
        };
        let codes: Vec<AvailableCode> = [1, 2, 4, 9, 10].into_iter().map(code).collect();
        let stretch = |from, to| (position(from), position(to));
        assert_eq!(stretches(&codes, &[]), [stretch(1, 10)]);
        let others = [stretch(5, 7), stretch(3, 3), stretch(11, 20)];
        let expected = [stretch(1, 2), stretch(4, 4), stretch(9, 10)];
        assert_eq!(stretches(&codes, &others), expected);
        assert_eq!(stretches(&[], &others), []);
    }
}
