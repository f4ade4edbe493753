//! How often the steps of runs that are tried again could not be done.

use rusqlite::{Connection, params};

use super::{Result, damaged};
use crate::store::{RunId, Trouble, TroubleKind};

const KINDS: [(TroubleKind, &str); 2] = [
    (TroubleKind::Unavailable, "unavailable"),
    (TroubleKind::Trapped, "trapped"),
];

pub(super) fn put(connection: &Connection, run: RunId, trouble: &Trouble) -> Result<()> {
    let name = KINDS.iter().find(|(kind, _)| *kind == trouble.kind);
    connection
        .prepare_cached(
            "INSERT INTO trouble (run, step, kind, attempts) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET attempts = excluded.attempts",
        )?
        .execute(params![
            run.0,
            trouble.step,
            name.map(|(_, name)| name),
            trouble.attempts
        ])?;
    Ok(())
}

/// Those of a run's present segment.
pub(super) fn of(connection: &Connection, run: RunId) -> Result<Vec<Trouble>> {
    let mut statement =
        connection.prepare_cached("SELECT step, kind, attempts FROM trouble WHERE run = ?1")?;
    let mut rows = statement.query([run.0])?;
    let mut troubles = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(1)?;
        let Some((kind, _)) = KINDS.iter().find(|(_, known)| *known == name) else {
            let what = format!("the attempts of run {run}");
            return Err(damaged(what, format!("there is no kind `{name}`")));
        };
        troubles.push(Trouble {
            step: row.get(0)?,
            kind: *kind,
            attempts: row.get(2)?,
        });
    }
    Ok(troubles)
}

/// The segment is behind the run.
pub(super) fn remove(connection: &Connection, run: RunId) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM trouble WHERE run = ?1")?
        .execute([run.0])?;
    Ok(())
}
