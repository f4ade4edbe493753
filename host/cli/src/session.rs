//! The global options, and the installation that they name.

use std::path::{Path, PathBuf};

use clap::Args;
use promoflow_block_host::{BlockLibrary, Bounds, Compiler, Grants, Sandboxes};
use promoflow_config::{Config, LogFormat, LogLevel};
use promoflow_installation::{Builder, Promoflow};

use super::failure::Failure;

/// The database where none is named.
const DEFAULT_DATABASE: &str = "promoflow.db";
/// The configuration where none is named.
const CONFIG: &str = "promoflow.toml";

/// Options of every command.
#[derive(Args)]
#[command(next_help_heading = "Options of every command")]
pub(super) struct Globals {
    /// The database: a SQLite file. Commands that write make it where there is none. Without it, the
    /// one that the configuration names, or promoflow.db in the current folder.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "PROMOFLOW_DB",
        hide_env_values = true
    )]
    db: Option<String>,
    /// The configuration: a TOML file that says how letters leave, what is watched, and how the
    /// service runs. Without it, `promoflow.toml` beside the database if there is one; without any,
    /// letters become files in a Maildir.
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
    /// How lines of the log look on standard error: `text`, or `json` for one object a line.
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        env = "PROMOFLOW_LOG_FORMAT",
        hide_env_values = true
    )]
    pub(super) log_format: Option<Format>,
    /// How much is told on standard error: error, warn, info, debug or trace. `warn` unless something
    /// says otherwise.
    #[arg(
        long,
        global = true,
        value_name = "LEVEL",
        env = "PROMOFLOW_LOG_LEVEL",
        hide_env_values = true,
        hide_possible_values = true
    )]
    pub(super) log_level: Option<Level>,
    /// Where to export traces: a collector that takes OTLP over HTTP, such as
    /// http://127.0.0.1:4318. Nothing is exported without it.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "PROMOFLOW_TRACE_ENDPOINT",
        hide_env_values = true
    )]
    trace_endpoint: Option<String>,
    /// Tell more on standard error: -v each request, -vv each event, -vvv everything.
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

/// What a command is going to do with an installation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It only reads: the database must exist.
    Read,
    /// It writes: the database is made where there is none.
    Write,
    /// It writes and delivers: the secrets of the channels must be there as well.
    Deliver,
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
        // A variable that is set to nothing names nothing.
        globals.db = globals.db.filter(|db| !db.is_empty());
        globals.config = globals.config.filter(|file| !file.as_os_str().is_empty());
        globals.trace_endpoint = globals.trace_endpoint.filter(|url| !url.is_empty());
        Session { globals }
    }

    /// The installation, for a command that only reads: its database must exist.
    pub(super) fn open(&self) -> Result<Promoflow, Failure> {
        self.open_at(&self.path()?, Purpose::Read)
    }

    /// The installation, for a command that writes: its database is made where there is none.
    pub(super) fn open_or_make(&self) -> Result<Promoflow, Failure> {
        let path = self.new_path()?;
        self.open_at(&path, Purpose::Write)
    }

    /// The installation, for a command that executes and delivers.
    pub(super) fn open_to_deliver(&self) -> Result<Promoflow, Failure> {
        let path = self.new_path()?;
        self.open_at(&path, Purpose::Deliver)
    }

    /// The database's path, for a command that may make it: its folder must be there.
    pub(super) fn new_path(&self) -> Result<PathBuf, Failure> {
        let path = self.path()?;
        if let Some(folder) = path.parent()
            && folder != Path::new("")
            && !folder.is_dir()
        {
            let message = format!("there is no folder {} for the database", folder.display());
            return Err(Failure::refused(message).hint("make it, or name another path with --db"));
        }
        Ok(path)
    }

    /// The installation, for a command that changes nothing and needs nothing to be there.
    pub(super) fn rehearse(&self) -> Result<Rehearsal, Failure> {
        let path = self.path()?;
        if path.exists() {
            return Ok(Rehearsal {
                promoflow: self.open_at(&path, Purpose::Read)?,
                folder: None,
            });
        }
        let folder = tempfile::tempdir()
            .map_err(|error| Failure::failed(format!("cannot make a temporary folder: {error}")))?;
        let promoflow = self.open_at(&folder.path().join("rehearsal.db"), Purpose::Write)?;
        Ok(Rehearsal {
            promoflow,
            folder: Some(folder),
        })
    }

    /// The installation in another database, with the same blocks and cache.
    pub(super) fn open_at(&self, path: &Path, purpose: Purpose) -> Result<Promoflow, Failure> {
        let mut builder = Promoflow::builder(path)
            .create(purpose != Purpose::Read)
            .compiler(Compiler::this_program());
        for folder in self.blocks()? {
            builder = builder.blocks(folder);
        }
        if let Some(cache) = &self.globals.cache {
            builder = builder.cache(cache);
        }
        if let Some(file) = self.config_for(path)? {
            let config = read(&file)?;
            if self.globals.blocks.is_empty() {
                for folder in folders(&config.blocks)? {
                    builder = builder.blocks(folder);
                }
            }
            if let Some(cache) = config
                .cache
                .as_ref()
                .filter(|_| self.globals.cache.is_none())
            {
                builder = builder.cache(cache);
            }
            builder = builder.configure(&config);
            if purpose == Purpose::Deliver {
                builder = ready(builder, &file)?;
            }
        }
        Ok(self.traced(builder)?.open()?)
    }

    /// With traces to where an option says.
    fn traced(&self, builder: Builder) -> Result<Builder, Failure> {
        match &self.globals.trace_endpoint {
            Some(endpoint) => builder
                .trace_to(endpoint)
                .map_err(|error| Failure::refused(format_args!("--trace-endpoint: {error:#}"))),
            None => Ok(builder),
        }
    }

    /// The configuration file that holds for this session.
    pub(super) fn config_file(&self) -> Result<Option<PathBuf>, Failure> {
        self.config_for(&self.path()?)
    }

    /// The configuration that holds for this session; an empty one where there is none.
    pub(super) fn own_config(&self) -> Result<Config, Failure> {
        match self.config_file()? {
            Some(file) => read(&file),
            None => Ok(Config::default()),
        }
    }

    /// Reads a configuration file with every secret and folder that it names.
    pub(super) fn check_config(&self, file: &Path) -> Result<Config, Failure> {
        let config = read(file)?;
        folders(&config.blocks)?;
        ready(
            Promoflow::builder(DEFAULT_DATABASE).configure(&config),
            file,
        )?;
        Ok(config)
    }

    /// Checks everything that an installation is opened with, and its database where there is one.
    pub(super) fn check(&self) -> Result<PathBuf, Failure> {
        let path = self.new_path()?;
        if let Some(file) = self.config_for(&path)? {
            self.check_config(&file)?;
        }
        if path.exists() {
            let promoflow = self.open_at(&path, Purpose::Read)?;
            if let Some(refused) = promoflow.blocks()?.refused().first() {
                return Err(Failure::refused(&refused.why));
            }
        } else {
            self.traced(Promoflow::builder(&path))?;
        }
        Ok(path)
    }

    /// The configuration file of an installation in that database. Where a configuration names the
    /// database it goes with it.
    fn config_for(&self, database: &Path) -> Result<Option<PathBuf>, Failure> {
        if let Some(file) = &self.globals.config {
            return Ok(Some(file.clone()));
        }
        let here = PathBuf::from(CONFIG);
        let named = match self.globals.db {
            None if here.exists() => read(&here)?.database,
            _ => None,
        };
        if named.is_some_and(|named| named == database) {
            return Ok(Some(here));
        }
        let beside = database.with_file_name(CONFIG);
        Ok(beside.exists().then_some(beside))
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
        let cache = self.globals.cache.clone();
        let compiler = Compiler::this_program();
        Sandboxes::with_compiler(Bounds::default(), cache, compiler).map_err(|error| {
            Failure::failed(format_args!("cannot make sandboxes for blocks: {error:#}"))
        })
    }

    fn blocks(&self) -> Result<&[PathBuf], Failure> {
        folders(&self.globals.blocks)
    }

    /// The database: as an option or the environment names it, or the configuration.
    fn path(&self) -> Result<PathBuf, Failure> {
        let Some(name) = self.globals.db.as_deref() else {
            let here = PathBuf::from(CONFIG);
            let file = self.globals.config.clone();
            let file = file.or_else(|| here.exists().then_some(here));
            let named = match file {
                Some(file) => read(&file)?.database,
                None => None,
            };
            return Ok(named.unwrap_or_else(|| PathBuf::from(DEFAULT_DATABASE)));
        };
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
            None => Ok(PathBuf::from(name)),
        }
    }
}

/// How a line of the log looks, as an option says it.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(super) enum Format {
    Text,
    Json,
}

impl From<Format> for LogFormat {
    fn from(format: Format) -> LogFormat {
        match format {
            Format::Text => LogFormat::Text,
            Format::Json => LogFormat::Json,
        }
    }
}

/// How much is told, as an option says it.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(super) enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl From<Level> for LogLevel {
    fn from(level: Level) -> LogLevel {
        match level {
            Level::Error => LogLevel::Error,
            Level::Warn => LogLevel::Warn,
            Level::Info => LogLevel::Info,
            Level::Debug => LogLevel::Debug,
            Level::Trace => LogLevel::Trace,
        }
    }
}

/// Reads the secrets that a configuration file names.
fn ready(builder: Builder, file: &Path) -> Result<Builder, Failure> {
    let refused = |error| Failure::refused(format_args!("{}: {error:#}", file.display()));
    builder.ready().map_err(refused)
}

fn read(file: &Path) -> Result<Config, Failure> {
    Config::read(file).map_err(|error| Failure::refused(format_args!("{error:#}")))
}

/// The folders of blocks, each of which must be there.
fn folders(folders: &[PathBuf]) -> Result<&[PathBuf], Failure> {
    match folders.iter().find(|folder| !folder.is_dir()) {
        Some(folder) => {
            let message = format!("there is no folder of blocks at {}", folder.display());
            Err(Failure::refused(message).hint(
                "--blocks, PROMOFLOW_BLOCKS and `blocks` in the configuration name folders that hold \
                 *.wasm files",
            ))
        }
        None => Ok(folders),
    }
}
