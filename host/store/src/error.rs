//! The error of a store.

use thiserror::Error;

use crate::UploadId;

/// An error of the store. Operators read the text, which says what to do if that is known. Callers
/// only distinguish errors that a retry may fix.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database cannot be opened or is not a Promoflow database. The text says which and what
    /// to do.
    #[error("{0}")]
    Open(String),
    /// Another process held the database for too long. Retrying may help.
    #[error("the database is busy: another process held it for {seconds} seconds")]
    Busy {
        /// How long the store waited, in seconds.
        seconds: u64,
    },
    /// The disk is full. Retrying helps once there is room.
    #[error("the disk is full")]
    Full,
    /// Reading or writing the disk failed. Retrying may help.
    #[error("the disk failed: {0}")]
    Disk(String),
    /// The database server cannot be reached, or closed the connection. Nothing was committed.
    /// Retrying may help.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// A commit was interrupted, for example because the connection to the database was lost, and
    /// the store cannot find out whether it was stored. Repeating it is safe if it has an id by
    /// which it is recognised.
    #[error("the result of a commit is unknown: {0}")]
    Unknown(String),
    /// The database engine failed.
    #[error("the database failed: {0}")]
    Engine(String),
    /// Another release migrated the schema while this process had the database open. This process
    /// writes nothing any more, and retrying never helps.
    #[error(
        "another release migrated the database to schema version {found} while this process was \
         using it; this release knows version {known} and writes nothing any more; start the newer \
         release"
    )]
    Outdated {
        /// The schema version of the database.
        found: i32,
        /// The schema version that this program reads and writes.
        known: i32,
    },
    /// An atomic upload is accepted, but some of its codes are not in the pool yet.
    /// [`UploadStore::finish_uploads`](crate::UploadStore::finish_uploads) adds them.
    #[error(
        "upload {upload} is accepted, but some of its codes are not in the pool yet: {why}; they \
         are added automatically once this is resolved"
    )]
    Unfinished {
        /// The upload.
        upload: UploadId,
        /// The error that stopped it.
        why: Box<StoreError>,
    },
    /// A stored row has an invalid value: the database was damaged or edited by hand.
    #[error("cannot read {what} from the database: {why}")]
    Damaged {
        /// The row or value that was read.
        what: String,
        /// The reason.
        why: String,
    },
}

/// The result of the store's methods.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;
