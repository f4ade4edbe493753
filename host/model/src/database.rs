//! The address of a database.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, de};

use promoflow_document::quoted;

/// The address of a database, parsed: `PATH` or `sqlite:PATH` is a SQLite file, and
/// `postgres://…` or `postgresql://…` a database of PostgreSQL. Nothing is opened.
///
/// It is displayed without the user and the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Database(Address);

#[derive(Clone, PartialEq, Eq)]
enum Address {
    Sqlite(PathBuf),
    /// The whole address, which may contain a password.
    Postgres(String),
    /// The scheme of an unknown engine. The rest may contain a password.
    Unknown(String),
}

/// The engine of a database, with what it opens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Engine<'a> {
    /// SQLite, and the file.
    Sqlite(&'a Path),
    /// PostgreSQL, and the address, which may contain a password.
    Postgres(&'a str),
}

/// The address of a database of an unknown kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found}: unknown kind of database; expected a SQLite file or `postgres://…`")]
pub struct UnsupportedDatabase {
    found: String,
}

impl UnsupportedDatabase {
    /// Returns a suggestion.
    pub fn hint(&self) -> &'static str {
        "name a database with --db or PROMOFLOW_DB, such as --db shop.db"
    }
}

impl Database {
    fn parse(text: &str) -> Database {
        let is_scheme = |text: &str| {
            let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
            text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(known)
        };
        Database(match text.split_once("://") {
            Some((scheme, rest)) if is_scheme(scheme) => {
                let scheme = scheme.to_ascii_lowercase();
                match scheme.as_str() {
                    "postgres" | "postgresql" => Address::Postgres(format!("{scheme}://{rest}")),
                    _ => Address::Unknown(scheme),
                }
            }
            _ => Address::Sqlite(text.strip_prefix("sqlite:").unwrap_or(text).into()),
        })
    }

    /// Returns the engine that opens the database.
    pub fn engine(&self) -> Result<Engine<'_>, UnsupportedDatabase> {
        match &self.0 {
            Address::Sqlite(path) => Ok(Engine::Sqlite(path)),
            Address::Postgres(address) => Ok(Engine::Postgres(address)),
            Address::Unknown(scheme) => Err(UnsupportedDatabase {
                found: quoted(&format!("{scheme}://")).to_string(),
            }),
        }
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Address::Sqlite(path) => path.display().fmt(f),
            Address::Postgres(address) => match place(address) {
                Some(place) => write!(f, "postgres://{place}"),
                None => f.write_str("postgres://…"),
            },
            Address::Unknown(scheme) => write!(f, "{scheme}://…"),
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database").field(&self.to_string()).finish()
    }
}

impl fmt::Debug for Engine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Engine::Sqlite(path) => f.debug_tuple("Sqlite").field(path).finish(),
            Engine::Postgres(address) => {
                let database = Database::from(*address).to_string();
                f.debug_tuple("Postgres").field(&database).finish()
            }
        }
    }
}

/// Returns the hosts and the name of a PostgreSQL database. Returns nothing if the address is
/// ambiguous: a password with an unescaped `@`, `/` or `?` must not be taken for a host or a name.
fn place(address: &str) -> Option<&str> {
    let (_, rest) = address.split_once("://")?;
    let shown = match rest.split_once('@') {
        Some((user, _)) if user.contains(['/', '?', '#']) => return None,
        Some((_, rest)) => rest,
        None => rest,
    };
    if shown.contains('@') {
        return None;
    }
    let end = shown.find(['?', '#']).unwrap_or(shown.len());
    let shown = &shown[..end];
    let hosts = shown.split('/').next().unwrap_or(shown);
    hosts.split(',').all(is_host).then_some(shown)
}

/// Returns true if the text after the host's colon, if any, is a port.
fn is_host(host: &str) -> bool {
    match host.rsplit_once(':') {
        // An IPv6 address is in brackets.
        Some((_, port)) => host.ends_with(']') || port.chars().all(|c| c.is_ascii_digit()),
        None => true,
    }
}

impl<T: ?Sized + AsRef<OsStr>> From<&T> for Database {
    fn from(address: &T) -> Database {
        let address = address.as_ref();
        match address.to_str() {
            Some(text) => Database::parse(text),
            None => Database(Address::Sqlite(address.into())),
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

/// Fails for a database of an unknown kind.
impl<'de> Deserialize<'de> for Database {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Database, D::Error> {
        let database = Database::from(String::deserialize(deserializer)?);
        match database.engine() {
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
            assert_eq!(
                database.engine(),
                Ok(Engine::Sqlite(Path::new(path))),
                "{address}"
            );
            assert_eq!(database.to_string(), path);
        }
        assert_eq!(
            Database::from(PathBuf::from("sqlite:shop.db")),
            Database::from("shop.db")
        );
    }

    #[test]
    fn a_database_of_postgresql_is_opened_by_its_whole_address() {
        for (address, opened) in [
            (
                "postgres://shop:secret@db/shop",
                "postgres://shop:secret@db/shop",
            ),
            (
                "PostgreSQL://a:1,b:2/shop?target_session_attrs=read-write",
                "postgresql://a:1,b:2/shop?target_session_attrs=read-write",
            ),
        ] {
            let database = Database::from(address);
            assert_eq!(database.engine(), Ok(Engine::Postgres(opened)));
        }
    }

    #[test]
    fn a_password_is_never_displayed() {
        for (address, shown) in [
            ("postgres://shop:secret@db/shop", "postgres://db/shop"),
            (
                "postgresql://shop:secret@a:1,[::1]:2,b/shop",
                "postgres://a:1,[::1]:2,b/shop",
            ),
            ("postgres://db/shop?password=secret", "postgres://db/shop"),
            ("postgres://[::1]/shop", "postgres://[::1]/shop"),
            ("postgres:///shop", "postgres:///shop"),
            ("postgres://shop:secret", "postgres://…"),
            ("postgres://shop:x@secret@db/shop", "postgres://…"),
            ("postgres://shop:x/secret@db/shop", "postgres://…"),
            ("postgres://shop:x?secret@db/shop", "postgres://…"),
            ("postgres://shop:x#secret@db/shop", "postgres://…"),
            ("postgres://shop:1/secret@db/shop", "postgres://…"),
            ("postgres://shop:x@y/secret@db/shop", "postgres://…"),
            ("postgres://db/shop?password=x@secret", "postgres://…"),
            ("mysql://shop:secret@db", "mysql://…"),
        ] {
            let database = Database::from(address);
            assert_eq!(database.to_string(), shown, "{address}");
            let debugged = format!("{database:?} {:?}", database.engine());
            assert!(!debugged.contains("secret"), "{debugged}");
        }
    }

    #[test]
    fn another_kind_of_database_is_rejected() {
        for (address, scheme) in [("MySQL://db", "mysql"), ("sqlite:///shop.db", "sqlite")] {
            let error = Database::from(address).engine().unwrap_err().to_string();
            let expected = "unknown kind of database; expected a SQLite file or `postgres://…`";
            assert_eq!(error, format!("`{scheme}://`: {expected}"));
        }
    }
}
