//! The address of a database.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, de};

use promoflow_document::quoted;

/// The address of a database, parsed: `PATH` or `sqlite:PATH` is a SQLite file. Nothing is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database(Engine);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Engine {
    Sqlite(PathBuf),
    /// The scheme of an engine that this build does not have. The rest may contain a password.
    Other(String),
}

/// The address of a database that this build cannot open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found}; expected a SQLite file")]
pub struct UnsupportedDatabase {
    found: String,
}

impl UnsupportedDatabase {
    /// Returns a suggestion.
    pub fn hint(&self) -> &'static str {
        "name a file with --db or PROMOFLOW_DB, such as --db shop.db"
    }
}

impl Database {
    fn parse(text: &str) -> Database {
        let is_scheme = |text: &str| {
            let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
            text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(known)
        };
        match text.split_once("://") {
            Some((scheme, _)) if is_scheme(scheme) => Database(Engine::Other(scheme.to_owned())),
            _ => Database(Engine::Sqlite(
                text.strip_prefix("sqlite:").unwrap_or(text).into(),
            )),
        }
    }

    /// Returns the file of a SQLite database.
    pub fn file(&self) -> Result<&Path, UnsupportedDatabase> {
        match &self.0 {
            Engine::Sqlite(path) => Ok(path),
            Engine::Other(scheme) => Err(UnsupportedDatabase {
                found: match scheme.to_ascii_lowercase().as_str() {
                    "postgres" | "postgresql" => {
                        "this build of promoflow has no engine for PostgreSQL".to_owned()
                    }
                    _ => format!(
                        "{}: unknown kind of database",
                        quoted(&format!("{scheme}://"))
                    ),
                },
            }),
        }
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Engine::Sqlite(path) => path.display().fmt(f),
            Engine::Other(scheme) => write!(f, "{scheme}://…"),
        }
    }
}

impl<T: ?Sized + AsRef<OsStr>> From<&T> for Database {
    fn from(address: &T) -> Database {
        let address = address.as_ref();
        match address.to_str() {
            Some(text) => Database::parse(text),
            None => Database(Engine::Sqlite(address.into())),
        }
    }
}

impl From<PathBuf> for Database {
    fn from(address: PathBuf) -> Database {
        Database::from(&address)
    }
}

impl From<String> for Database {
    fn from(address: String) -> Database {
        Database::from(&address)
    }
}

impl From<OsString> for Database {
    fn from(address: OsString) -> Database {
        Database::from(&address)
    }
}

/// Fails for a database that this build cannot open.
impl<'de> Deserialize<'de> for Database {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Database, D::Error> {
        let database = Database::from(String::deserialize(deserializer)?);
        match database.file() {
            Ok(_) => Ok(database),
            Err(error) => Err(de::Error::custom(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_sqlite_file() {
        for (address, path) in [
            ("shop.db", "shop.db"),
            ("/var/lib/shop.db", "/var/lib/shop.db"),
            ("sqlite:shop.db", "shop.db"),
            ("sqlite:/var/lib/shop.db", "/var/lib/shop.db"),
            ("./a://b", "./a://b"),
            ("C:\\shop.db", "C:\\shop.db"),
        ] {
            let database = Database::from(address);
            assert_eq!(database.file(), Ok(Path::new(path)), "{address}");
            assert_eq!(database.to_string(), path);
        }
        assert_eq!(
            Database::from(PathBuf::from("sqlite:shop.db")),
            Database::from("shop.db")
        );
    }

    #[test]
    fn other_engines_are_named_without_their_address() {
        for (address, why) in [
            (
                "postgres://shop:secret@db/shop",
                "this build of promoflow has no engine for PostgreSQL; expected a SQLite file",
            ),
            (
                "PostgreSQL://db",
                "this build of promoflow has no engine for PostgreSQL; expected a SQLite file",
            ),
            (
                "mysql://db",
                "`mysql://`: unknown kind of database; expected a SQLite file",
            ),
            (
                "sqlite:///shop.db",
                "`sqlite://`: unknown kind of database; expected a SQLite file",
            ),
        ] {
            let database = Database::from(address);
            assert_eq!(
                database.file().map_err(|error| error.to_string()),
                Err(why.to_owned())
            );
            assert!(!format!("{database} {database:?}").contains("secret"));
        }
    }
}
