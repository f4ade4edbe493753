//! Dry runs: uploads that change nothing and block nothing. They write to a shadow of the pool.
//!
//! The shadow is the temporary database of a separate connection. Its tables hide those of the file
//! that have the same names, so a dry run executes the same statements as an upload. A stored code
//! is copied into the shadow before the first row that names it is processed.

use rusqlite::{Connection, params};

use super::{CodeGroupIds, Result, SqliteStore, StoreResult, connect, spellings, upload};
use promoflow_model::clock::Clock;
use promoflow_model::pool::NewCode;
use promoflow_store::{RowOutcome, UploadEnd, UploadId, UploadSession, UploadSummary};

/// The tables that an upload writes. New code groups and codes in the shadow get ids of their own,
/// because other connections may assign the same ones in the file meanwhile.
const SHADOW_TABLES: &str = "
    CREATE TEMP TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    INSERT INTO temp.setting SELECT name, value FROM main.setting;
    UPDATE temp.setting SET value = CAST(1 << 60 AS TEXT) WHERE name = 'next-code-id';
    CREATE TEMP TABLE code_group (
        id INTEGER PRIMARY KEY, type TEXT NOT NULL, discount INTEGER NOT NULL,
        UNIQUE (type, discount)
    );
    CREATE TEMP TABLE code (
        code TEXT PRIMARY KEY, id INTEGER NOT NULL, code_group INTEGER NOT NULL,
        expires_at INTEGER NOT NULL, retired INTEGER NOT NULL, upload INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TEMP TABLE available_code (
        code_group INTEGER NOT NULL, expires_at INTEGER NOT NULL, code_id INTEGER NOT NULL,
        code TEXT NOT NULL, PRIMARY KEY (code_group, expires_at, code_id)
    ) WITHOUT ROWID;
    CREATE TEMP TABLE upload_batch (
        upload INTEGER, first_code_id INTEGER, inserted INTEGER, updated INTEGER,
        unchanged INTEGER, rejected INTEGER
    );
    CREATE TEMP TABLE retirement (code TEXT, retired INTEGER, created_at INTEGER);";

/// The number of an upload that is not recorded; stored uploads have larger ones.
const NO_UPLOAD: i64 = 0;

/// A dry run.
pub(super) struct DryRun<'s> {
    connection: Connection,
    code_groups: CodeGroupIds,
    clock: &'s dyn Clock,
}

impl<'s> DryRun<'s> {
    pub(super) fn begin(store: &SqliteStore, clock: &'s dyn Clock) -> Result<DryRun<'s>> {
        let connection = connect(&store.path)?;
        connection.execute_batch(SHADOW_TABLES)?;
        connection.execute_batch(upload::SEEN_TABLE)?;
        Ok(DryRun {
            connection,
            code_groups: CodeGroupIds::default(),
            clock,
        })
    }

    /// Returns the connection of the shadow.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Returns the outcomes that the rows would have; `keep` records them in the shadow.
    pub(super) fn check_rows(
        &mut self,
        rows: &[NewCode],
        keep: impl FnOnce(&Connection, &[RowOutcome]) -> Result<()>,
    ) -> Result<Vec<RowOutcome>> {
        // One transaction for each batch: one that lasted for the whole file would keep the
        // write-ahead log from being reset.
        let transaction = self.connection.transaction()?;
        copy_known_codes(&transaction, rows)?;
        let batch = upload::Batch {
            connection: &transaction,
            code_groups: &mut self.code_groups,
            upload: NO_UPLOAD,
            at: self.clock.now(),
        };
        let outcomes = batch.import(rows)?;
        keep(&transaction, &outcomes)?;
        transaction.commit()?;
        Ok(outcomes)
    }
}

impl UploadSession for DryRun<'_> {
    fn batch(&mut self, rows: &[NewCode]) -> StoreResult<Vec<RowOutcome>> {
        Ok(self.check_rows(rows, |_, _| Ok(()))?)
    }

    fn id(&self) -> UploadId {
        UploadId(NO_UPLOAD)
    }

    fn other_spellings(&self, codes: &[String]) -> StoreResult<Vec<(String, String)>> {
        Ok(spellings::find_other_spellings(
            codes,
            || spellings::pool_has_lowercase(&self.connection),
            |some| {
                spellings::find_stored_spellings(&self.connection, spellings::DRY_RUN_LOOKUP, some)
            },
        )?)
    }

    fn finish(self: Box<Self>, _: UploadEnd) -> StoreResult<UploadSummary> {
        Ok(UploadSummary::default())
    }

    fn roll_back(self: Box<Self>) -> StoreResult<()> {
        Ok(())
    }
}

/// Copies the stored codes that these rows name and the shadow does not have.
fn copy_known_codes(connection: &Connection, rows: &[NewCode]) -> Result<()> {
    connection.execute(
        "INSERT OR IGNORE INTO temp.code_group (type, discount)
         SELECT type, discount FROM main.code_group",
        [],
    )?;
    let mut code = connection.prepare_cached(
        "INSERT OR IGNORE INTO temp.code (code, id, code_group, expires_at, retired, upload)
         SELECT stored.code, stored.id, shadow.id, stored.expires_at, stored.retired, stored.upload
         FROM main.code AS stored
         JOIN main.code_group AS known ON known.id = stored.code_group
         JOIN temp.code_group AS shadow
             ON shadow.type = known.type AND shadow.discount = known.discount
         WHERE stored.code = ?1",
    )?;
    let mut available = connection.prepare_cached(
        "INSERT INTO temp.available_code (code_group, expires_at, code_id, code)
         SELECT shadow.code_group, shadow.expires_at, shadow.id, shadow.code
         FROM temp.code AS shadow
         JOIN main.code AS stored ON stored.code = shadow.code
         JOIN main.available_code AS available ON available.code_group = stored.code_group
             AND available.expires_at = stored.expires_at AND available.code_id = stored.id
         WHERE shadow.code = ?1",
    )?;
    for row in rows {
        if code.execute(params![row.code])? > 0 {
            available.execute(params![row.code])?;
        }
    }
    Ok(())
}
