//! API keys.

use promoflow_model::clock::Timestamp;
use promoflow_model::key::{Key, Scope};
use promoflow_store::KeyStore;

use crate::PostgresStore;
use crate::connection::{Row, params};
use crate::errors::{Result, StoreResult, damaged, skip_damaged};
use crate::settings::{number_setting, raise_setting};

fn read(row: &Row) -> Result<Key> {
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
        revoked: row.get::<Option<i64>>(4)?.map(Timestamp),
    })
}

impl KeyStore for PostgresStore {
    fn add_key(&self, key: &Key) -> StoreResult<()> {
        let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.name()).collect();
        let scopes = scopes.join(",");
        Ok(self.write(|transaction| {
            transaction.execute(
                "INSERT INTO api_key (id, hash, scopes, created_at) VALUES ($1, $2, $3, $4)",
                params![key.id, &key.hash[..], scopes, key.created.0],
            )?;
            raise_setting(transaction, "key-generation")?;
            Ok(())
        })?)
    }

    fn keys(&self) -> StoreResult<Vec<Key>> {
        Ok(self.read(|transaction| {
            let rows = transaction.rows(
                "SELECT id, hash, scopes, created_at, revoked_at FROM api_key
                 ORDER BY created_at, id",
                &[],
            )?;
            let keys = rows.iter().map(|row| skip_damaged(read(row)));
            Ok(keys
                .collect::<Result<Vec<_>>>()?
                .into_iter()
                .flatten()
                .collect())
        })?)
    }

    fn revoke_key(&self, id: &str, at: Timestamp) -> StoreResult<bool> {
        Ok(self.write(|transaction| {
            // Keeps the time of the first revocation.
            let found = transaction.execute(
                "UPDATE api_key SET revoked_at = coalesce(revoked_at, $2) WHERE id = $1",
                params![id, at.0],
            )?;
            if found > 0 {
                raise_setting(transaction, "key-generation")?;
            }
            Ok(found > 0)
        })?)
    }

    fn key_generation(&self) -> StoreResult<u64> {
        Ok(self.read(|transaction| {
            number_setting(transaction, "key-generation").map(i64::unsigned_abs)
        })?)
    }
}
