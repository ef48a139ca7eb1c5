//! Databases in files, in the format of ovsdb-server: `ovsdb-tool` and ovsdb-server open files of this
//! library, and the other way round.

mod format;
mod journal;
mod lock;
#[cfg(simulation)]
pub(super) mod simulated;

use std::fs::{self, OpenOptions};
use std::io::{self, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ovsdb_schema::{DatabaseSchema, SchemaError};

use self::format::{Damage, Records, write_record};
pub(crate) use self::journal::{Compaction, FileJournal};
pub(crate) use self::lock::FileLock;
use super::engine::{Database, Schema};
use crate::protocol::OvsdbError;

/// Why a database file cannot be served.
///
/// ```
/// use ovsdb::server::{FileErrorReason, Server, ServerError};
///
/// let error = Server::file("/nonexistent/nb.db").expect_err("no such file");
/// let ServerError::File(error) = error else { panic!("another error: {error}") };
/// assert!(matches!(error.reason, FileErrorReason::Io(_)));
/// assert!(error.to_string().starts_with("/nonexistent/nb.db: "));
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
#[non_exhaustive]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    #[source]
    pub reason: FileErrorReason,
}

/// What is wrong with a database file.
///
/// ```
/// use ovsdb::server::{FileErrorReason, Server, ServerError};
///
/// let path = std::env::temp_dir().join(format!("no-database-{}", std::process::id()));
/// std::fs::write(&path, "OVSDB CLUSTER 3 0000000000000000000000000000000000000000\n{}\n")?;
/// let error = Server::file(&path).expect_err("a clustered database");
/// # std::fs::remove_file(&path)?;
/// # std::fs::remove_file(path.with_file_name(format!(".no-database-{}.~lock~", std::process::id())))?;
/// let ServerError::File(error) = error else { panic!("another error: {error}") };
/// assert!(matches!(error.reason, FileErrorReason::Clustered));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileErrorReason {
    /// The file cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Another server or tool, in this process or in another one, has locked the file.
    #[error("another server or tool has locked this database")]
    Locked,
    /// The file belongs to a clustered database, which this server cannot serve.
    #[error("it is a file of a clustered database, which the embedded server does not serve")]
    Clustered,
    /// The file is not a database file.
    #[error("it is not a database file: it does not begin with `OVSDB JSON LENGTH SHA1`")]
    NotADatabase,
    /// The schema in the file, or the one to create the file with, is malformed, or has a table with too
    /// many columns.
    #[error("its schema is broken: {0}")]
    Schema(#[from] SchemaError),
    /// An ephemeral column must refer to a row. Since it is not kept in the file, no row of its table
    /// could be read back.
    #[error(
        "table {table}, column {column}: it is ephemeral and must refer to a row, which a file cannot keep"
    )]
    EphemeralReference {
        /// The column's table.
        table: String,
        /// The column.
        column: String,
    },
    /// A record is damaged, and cutting it off could lose data: it is the schema's, intact records follow
    /// it, or the damage is not that of an incompletely written record. (An incompletely written record at
    /// the end of the file is cut off.)
    #[error("record {record}, at offset {offset}, is damaged: {damage}")]
    Damaged {
        /// The record's number; the schema's is 0.
        record: usize,
        /// Where it begins in the file.
        offset: u64,
        /// What is wrong with it.
        damage: String,
    },
    /// A record does not fit the database.
    #[error("record {record} does not fit the database: {}", details(error))]
    Record {
        /// The record's number; the schema's is 0.
        record: usize,
        /// Why it does not fit.
        error: Box<OvsdbError>,
    },
}

fn details(error: &OvsdbError) -> &str {
    error.details.as_deref().unwrap_or(&error.error)
}

/// A database read from a file, with its journal.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) database: Database,
    pub(crate) journal: FileJournal,
    /// Held while the database is served.
    pub(crate) lock: FileLock,
}

/// Opens a database file. A last record that was not completely written is cut off.
pub(crate) fn open(path: &Path, seed: u64) -> Result<Opened, FileError> {
    let error = |reason: FileErrorReason| FileError {
        path: path.to_owned(),
        reason,
    };
    read(path, seed).map_err(error)
}

/// Creates a file with an empty database if it does not exist, and opens it.
pub(crate) fn create(path: &Path, schema: &str, seed: u64) -> Result<Opened, FileError> {
    let error = |reason: FileErrorReason| FileError {
        path: path.to_owned(),
        reason,
    };
    if !path.try_exists().map_err(|io| error(io.into()))? {
        let source = DatabaseSchema::parse(schema).map_err(|schema| error(schema.into()))?;
        let schema = Schema::new(source).map_err(|schema| error(schema.into()))?;
        can_keep(&schema).map_err(error)?;
        let mut contents = Vec::new();
        write_record(&mut contents, &schema.text);
        journal::create_new(path, &contents).map_err(|io| error(io.into()))?;
    }
    open(path, seed)
}

/// Checks that a file can keep the rows of this schema.
fn can_keep(schema: &Schema) -> Result<(), FileErrorReason> {
    match schema.lost_reference() {
        None => Ok(()),
        Some((table, column)) => Err(FileErrorReason::EphemeralReference {
            table: table.name.to_string(),
            column: column.name.to_string(),
        }),
    }
}

fn read(path: &Path, seed: u64) -> Result<Opened, FileErrorReason> {
    let lock = FileLock::take(path)?;
    // When the file is replaced, replace the file itself and not a link to it.
    let path = &path.canonicalize()?;
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let contents = fs::read(path)?;
    let Replayed {
        database,
        length,
        records,
    } = replay(&contents, &path.display(), seed)?;
    let length = length as u64;
    file.set_len(length)?;
    file.seek(SeekFrom::Start(length))?;
    Ok(Opened {
        database,
        journal: FileJournal::new(path, file, length, records as u64),
        lock,
    })
}

/// The contents of a file.
#[derive(Debug)]
pub(super) struct Replayed {
    pub(super) database: Database,
    /// The offset at which an incomplete last record begins; the file's length if there is none.
    pub(super) length: usize,
    records: usize,
}

/// Reads the records of a file; `path` is for log messages.
fn replay(
    contents: &[u8],
    path: &dyn std::fmt::Display,
    seed: u64,
) -> Result<Replayed, FileErrorReason> {
    let mut records = Records::new(contents);
    let text = match records.next() {
        Ok(Some(text)) => text.trim_end(),
        Err(Damage::Clustered) => return Err(FileErrorReason::Clustered),
        Ok(None) | Err(Damage::Header) => return Err(FileErrorReason::NotADatabase),
        Err(damage) => return Err(damaged(0, 0, &damage)),
    };
    let schema = Arc::new(Schema::new(DatabaseSchema::parse(text)?)?);
    can_keep(&schema)?;
    let mut database = Database::new(schema, seed);
    let mut count = 0;
    let length = loop {
        let position = records.position();
        match records.next() {
            Ok(None) => break position,
            Ok(Some(record)) => {
                count += 1;
                database
                    .replay(record)
                    .map_err(|error| FileErrorReason::Record {
                        record: count,
                        error: Box::new(error),
                    })?;
            }
            Err(damage) if damage.may_be_torn() && !records.has_intact_record_later() => {
                tracing::warn!(
                    %path,
                    bytes = contents.len() - position,
                    "cut off an incomplete record at the end of a database file: {damage}"
                );
                break position;
            }
            Err(damage) => return Err(damaged(count + 1, position, &damage)),
        }
    };
    Ok(Replayed {
        database,
        length,
        records: count,
    })
}

fn damaged(record: usize, offset: usize, damage: &Damage) -> FileErrorReason {
    FileErrorReason::Damaged {
        record,
        offset: offset as u64,
        damage: damage.to_string(),
    }
}
