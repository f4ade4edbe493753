//! The global options, and the installation that they name.

use std::path::{Path, PathBuf};

use clap::Args;
use promoflow::Promoflow;
use promoflow::block::{BlockLibrary, Bounds, Grants, Sandboxes};
use promoflow::config::Config;

use super::failure::Failure;

/// The database where none is named.
const DEFAULT_DATABASE: &str = "promoflow.db";

/// Options of every command.
#[derive(Args)]
#[command(next_help_heading = "Options of every command")]
pub(super) struct Globals {
    /// The database: a SQLite file. Commands that write make it where there is none.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "PROMOFLOW_DB",
        hide_env_values = true,
        default_value = DEFAULT_DATABASE
    )]
    db: String,
    /// The configuration: a TOML file that says how letters leave. Without it, `promoflow.toml` beside
    /// the database if there is one; without any, letters become files in a Maildir.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "PROMOFLOW_CONFIG",
        hide_env_values = true
    )]
    config: Option<PathBuf>,
    /// Write one JSON object a line to standard output, and nothing else there.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Tell more on standard error; -vv tells everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// A folder of blocks (*.wasm) beside the standard ones. May be given several times.
    /// Without it, the folders in PROMOFLOW_BLOCKS, separated as in PATH.
    #[arg(long, global = true, value_name = "DIR")]
    blocks: Vec<PathBuf>,
    /// The folder for compiled blocks, which must belong to you alone. Without it, your own
    /// cache folder.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "PROMOFLOW_CACHE",
        hide_env_values = true
    )]
    cache: Option<PathBuf>,
}

/// What the global options say.
pub(super) struct Session {
    globals: Globals,
}

/// An installation for a command that changes nothing. Where there is no database it stands in
/// a temporary folder, which goes with it.
pub(super) struct Rehearsal {
    pub(super) promoflow: Promoflow,
    folder: Option<tempfile::TempDir>,
}

impl Rehearsal {
    /// Whether there is no database.
    pub(super) fn is_empty(&self) -> bool {
        self.folder.is_some()
    }
}

impl Session {
    pub(super) fn new(mut globals: Globals) -> Session {
        if globals.blocks.is_empty()
            && let Some(folders) = std::env::var_os("PROMOFLOW_BLOCKS")
        {
            globals.blocks = std::env::split_paths(&folders)
                .filter(|folder| !folder.as_os_str().is_empty())
                .collect();
        }
        if globals.db.is_empty() {
            // A variable that is set to nothing names nothing.
            globals.db = DEFAULT_DATABASE.to_owned();
        }
        Session { globals }
    }

    /// The database as it was named.
    pub(super) fn database(&self) -> &str {
        &self.globals.db
    }

    /// The installation, for a command that only reads: its database must exist.
    pub(super) fn open(&self) -> Result<Promoflow, Failure> {
        self.open_at(self.path()?, false)
    }

    /// The installation, for a command that writes: its database is made where there is none.
    pub(super) fn open_or_make(&self) -> Result<Promoflow, Failure> {
        let path = self.path()?;
        if let Some(folder) = path.parent()
            && folder != Path::new("")
            && !folder.is_dir()
        {
            let message = format!("there is no folder {} for the database", folder.display());
            return Err(Failure::refused(message).hint("make it, or name another path with --db"));
        }
        self.open_at(path, true)
    }

    /// The installation, for a command that changes nothing and needs nothing to be there.
    pub(super) fn rehearse(&self) -> Result<Rehearsal, Failure> {
        let path = self.path()?;
        if path.exists() {
            return Ok(Rehearsal {
                promoflow: self.open_at(path, false)?,
                folder: None,
            });
        }
        let folder = tempfile::tempdir()
            .map_err(|error| Failure::failed(format!("cannot make a temporary folder: {error}")))?;
        let promoflow = self.open_at(&folder.path().join("rehearsal.db"), true)?;
        Ok(Rehearsal {
            promoflow,
            folder: Some(folder),
        })
    }

    /// The installation in another database, with the same blocks and cache.
    pub(super) fn open_at(&self, path: &Path, create: bool) -> Result<Promoflow, Failure> {
        let mut builder = Promoflow::builder(path).create(create);
        for folder in self.blocks()? {
            builder = builder.blocks(folder);
        }
        if let Some(cache) = &self.globals.cache {
            builder = builder.cache(cache);
        }
        if let Some(config) = self.config(path)? {
            builder = builder
                .configure(&config)
                .map_err(|error| Failure::refused(format_args!("{error:#}")))?;
        }
        Ok(builder.open()?)
    }

    /// The configuration of an installation in that database.
    fn config(&self, database: &Path) -> Result<Option<Config>, Failure> {
        let file = match &self.globals.config {
            Some(file) => file.clone(),
            None => {
                let beside = database.with_file_name("promoflow.toml");
                if !beside.exists() {
                    return Ok(None);
                }
                beside
            }
        };
        let config = Config::read(&file);
        config
            .map(Some)
            .map_err(|error| Failure::refused(format_args!("{error:#}")))
    }

    /// The blocks that workflows may place; no database is needed for them.
    pub(super) fn library(&self) -> Result<BlockLibrary, Failure> {
        let sandboxes = self.sandboxes()?;
        let mut library = BlockLibrary::standard(&sandboxes)?;
        for folder in self.blocks()? {
            library
                .add_folder(&sandboxes, folder, &Grants::all())
                .map_err(|error| Failure::refused(format_args!("{error:#}")))?;
        }
        Ok(library)
    }

    /// Where blocks are compiled.
    pub(super) fn sandboxes(&self) -> Result<std::sync::Arc<Sandboxes>, Failure> {
        Sandboxes::new(Bounds::default(), self.globals.cache.clone()).map_err(|error| {
            Failure::failed(format_args!("cannot make sandboxes for blocks: {error:#}"))
        })
    }

    fn blocks(&self) -> Result<&[PathBuf], Failure> {
        match self.globals.blocks.iter().find(|folder| !folder.is_dir()) {
            Some(folder) => {
                let message = format!("there is no folder of blocks at {}", folder.display());
                Err(Failure::refused(message)
                    .hint("--blocks and PROMOFLOW_BLOCKS name folders that hold *.wasm files"))
            }
            None => Ok(&self.globals.blocks),
        }
    }

    fn path(&self) -> Result<&Path, Failure> {
        let name = self.database();
        let scheme = name.split_once("://").map(|(scheme, _)| scheme);
        match scheme {
            Some("postgres" | "postgresql") => {
                Err(Failure::refused("only SQLite files are supported yet")
                    .hint("name a file with --db or PROMOFLOW_DB, such as --db shop.db"))
            }
            Some(scheme) => {
                let message = format!("`{scheme}://` is no kind of database that is known here");
                Err(Failure::refused(message)
                    .hint("name a file with --db or PROMOFLOW_DB, such as --db shop.db"))
            }
            None => Ok(Path::new(name)),
        }
    }
}
