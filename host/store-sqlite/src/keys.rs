//! API keys.

use rusqlite::{Connection, Row, params};

use super::{
    Result, SqliteStore, StoreResult, damaged, number_setting, raise_setting, skip_damaged,
};
use promoflow_model::clock::Timestamp;
use promoflow_model::key::{Key, Scope};
use promoflow_store::KeyStore;

pub(super) fn put(connection: &Connection, key: &Key) -> Result<()> {
    let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.name()).collect();
    connection.execute(
        "INSERT INTO api_key (id, hash, scopes, created_at) VALUES (?1, ?2, ?3, ?4)",
        params![key.id, key.hash, scopes.join(","), key.created.0],
    )?;
    raise_setting(connection, "key-generation")?;
    Ok(())
}

pub(super) fn load_all(connection: &Connection) -> Result<Vec<Key>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, hash, scopes, created_at, revoked_at FROM api_key ORDER BY created_at, id",
    )?;
    let mut rows = statement.query([])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        keys.extend(skip_damaged(read(row))?);
    }
    Ok(keys)
}

fn read(row: &Row<'_>) -> Result<Key> {
    let (id, scopes): (String, String) = (row.get(0)?, row.get(2)?);
    let hash: Vec<u8> = row.get(1)?;
    let hash = <[u8; 32]>::try_from(hash)
        .map_err(|_| damaged(format!("the API key {id}"), "its hash is not 32 bytes long"))?;
    let scopes = scopes
        .split(',')
        .filter(|scope| !scope.is_empty())
        .map(str::parse::<Scope>)
        .collect::<Result<_, _>>()
        .map_err(|error| damaged(format!("the API key {id}"), error))?;
    Ok(Key {
        id,
        hash,
        scopes,
        created: Timestamp(row.get(3)?),
        revoked: row.get::<_, Option<i64>>(4)?.map(Timestamp),
    })
}

/// Keeps the time of the first revocation.
pub(super) fn revoke(connection: &Connection, id: &str, at: Timestamp) -> Result<bool> {
    let found = connection.execute(
        "UPDATE api_key SET revoked_at = coalesce(revoked_at, ?2) WHERE id = ?1",
        params![id, at.0],
    )?;
    if found > 0 {
        raise_setting(connection, "key-generation")?;
    }
    Ok(found > 0)
}

impl KeyStore for SqliteStore {
    fn add_key(&self, key: &Key) -> StoreResult<()> {
        Ok(self.write(|connection, _| put(connection, key))?)
    }

    fn keys(&self) -> StoreResult<Vec<Key>> {
        Ok(self.read(load_all)?)
    }

    fn revoke_key(&self, id: &str, at: Timestamp) -> StoreResult<bool> {
        Ok(self.write(|connection, _| revoke(connection, id, at))?)
    }

    fn key_generation(&self) -> StoreResult<u64> {
        Ok(self.read(|connection| {
            number_setting(connection, "key-generation").map(i64::unsigned_abs)
        })?)
    }
}
