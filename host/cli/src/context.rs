//! The global options, and the installation that they select.

use std::path::{Path, PathBuf};

use clap::Args;
use promoflow_block_host::{BlockLibrary, Bounds, Compiler, Grants, SandboxPool};
use promoflow_config::{Config, LogFormat, LogLevel};
use promoflow_document::with_causes;
use promoflow_installation::{Builder, Promoflow};
use promoflow_model::database::{Database, Engine};

use super::error::CliError;

/// The database if no option and no configuration names one.
const DEFAULT_DATABASE: &str = "promoflow.db";
/// The configuration file if no option names one.
const DEFAULT_CONFIG: &str = "promoflow.toml";

/// Options of every command.
#[derive(Args)]
#[command(next_help_heading = "Options of every command")]
pub(super) struct Globals {
    /// The database: a SQLite file, which commands that write create if it does not exist, or a
    /// PostgreSQL database, `postgres://USER@HOST/DATABASE`. Default: the database that the
    /// configuration names, or promoflow.db in the current folder.
    #[arg(
        long,
        global = true,
        value_name = "DATABASE",
        env = "PROMOFLOW_DB",
        hide_env_values = true
    )]
    db: Option<String>,
    /// The configuration, a TOML file: channels, alerts and service settings. Default:
    /// `promoflow.toml` next to the database, if it exists; without one, messages are written to a
    /// Maildir.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "PROMOFLOW_CONFIG",
        hide_env_values = true
    )]
    config: Option<PathBuf>,
    /// Write one JSON object per line to standard output, and nothing else.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Format of log lines on standard error: `text`, or `json` for one object per line.
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        env = "PROMOFLOW_LOG_FORMAT",
        hide_env_values = true
    )]
    pub(super) log_format: Option<Format>,
    /// Log level on standard error: error, warn, info, debug or trace (default: warn).
    #[arg(
        long,
        global = true,
        value_name = "LEVEL",
        env = "PROMOFLOW_LOG_LEVEL",
        hide_env_values = true,
        hide_possible_values = true
    )]
    pub(super) log_level: Option<Level>,
    /// Export traces to this collector (OTLP over HTTP), such as http://127.0.0.1:4318. Default:
    /// the collector that the configuration names, if any.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "PROMOFLOW_TRACE_ENDPOINT",
        hide_env_values = true
    )]
    trace_endpoint: Option<String>,
    /// Log more on standard error: -v requests, -vv events, -vvv everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// A folder of blocks (*.wasm) in addition to the standard ones; may be repeated. Default: the
    /// folders in PROMOFLOW_BLOCKS, separated as in PATH.
    #[arg(long, global = true, value_name = "DIR")]
    blocks: Vec<PathBuf>,
    /// The folder for compiled blocks, which must belong to you alone. Default: your cache folder.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "PROMOFLOW_CACHE",
        hide_env_values = true
    )]
    cache: Option<PathBuf>,
}

/// The values of the global options.
pub(super) struct CliContext {
    globals: Globals,
}

/// The intended use of an installation by a command.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenMode {
    /// Reads only: the database must exist.
    Read,
    /// Writes: the database is created if it does not exist.
    Write,
    /// Writes and delivers: the secrets of the channels must exist as well.
    Deliver,
}

/// An installation for a command that changes nothing. If there is no database, an empty one is
/// created in a temporary folder that is deleted on drop.
pub(super) struct PreviewInstallation {
    pub(super) promoflow: Promoflow,
    folder: Option<tempfile::TempDir>,
}

impl PreviewInstallation {
    /// Returns true if there is no database.
    pub(super) fn is_empty(&self) -> bool {
        self.folder.is_some()
    }
}

impl CliContext {
    pub(super) fn new(mut globals: Globals) -> CliContext {
        if globals.blocks.is_empty()
            && let Some(folders) = std::env::var_os("PROMOFLOW_BLOCKS")
        {
            globals.blocks = std::env::split_paths(&folders)
                .filter(|folder| !folder.as_os_str().is_empty())
                .collect();
        }
        // An empty variable counts as not set.
        globals.db = globals.db.filter(|db| !db.is_empty());
        globals.config = globals.config.filter(|file| !file.as_os_str().is_empty());
        globals.trace_endpoint = globals.trace_endpoint.filter(|url| !url.is_empty());
        CliContext { globals }
    }

    /// Opens the installation for a command that only reads: its database must exist.
    pub(super) fn open(&self) -> Result<Promoflow, CliError> {
        self.open_at(&self.database()?, OpenMode::Read)
    }

    /// Opens the installation for a command that writes; creates the database if it does not exist.
    pub(super) fn open_or_create(&self) -> Result<Promoflow, CliError> {
        let database = self.database_for_creation()?;
        self.open_at(&database, OpenMode::Write)
    }

    /// Opens the installation for a command that executes and delivers.
    pub(super) fn open_to_deliver(&self) -> Result<Promoflow, CliError> {
        let database = self.database_for_creation()?;
        self.open_at(&database, OpenMode::Deliver)
    }

    /// Returns the database for a command that may create it: the folder of a file must exist.
    pub(super) fn database_for_creation(&self) -> Result<Database, CliError> {
        let database = self.database()?;
        if let Ok(Engine::Sqlite(path)) = database.engine()
            && let Some(folder) = path.parent()
            && folder != Path::new("")
            && !folder.is_dir()
        {
            let message = format!("{}: no such folder", folder.display());
            return Err(CliError::invalid_input(message)
                .with_hint("create it, or name another database with --db"));
        }
        Ok(database)
    }

    /// Opens the installation for a command that changes nothing; works without a database.
    pub(super) fn open_for_preview(&self) -> Result<PreviewInstallation, CliError> {
        let database = self.database()?;
        if Promoflow::exists(database.clone())? {
            return Ok(PreviewInstallation {
                promoflow: self.open_at(&database, OpenMode::Read)?,
                folder: None,
            });
        }
        let folder = tempfile::tempdir().map_err(|error| {
            CliError::failed(format!("cannot create a temporary folder: {error}"))
        })?;
        let empty = Database::from(&folder.path().join("dry-run.db"));
        let promoflow = self.open_at(&empty, OpenMode::Write)?;
        Ok(PreviewInstallation {
            promoflow,
            folder: Some(folder),
        })
    }

    /// Opens the installation in another database, with the same blocks and cache.
    pub(super) fn open_at(
        &self,
        database: &Database,
        mode: OpenMode,
    ) -> Result<Promoflow, CliError> {
        self.open_with(database, self.config_for(database)?.as_deref(), mode)
    }

    /// Opens the installation in another database with this configuration file, if there is one.
    pub(super) fn open_with(
        &self,
        database: &Database,
        config: Option<&Path>,
        mode: OpenMode,
    ) -> Result<Promoflow, CliError> {
        let mut builder = Promoflow::builder(database.clone())
            .create(mode != OpenMode::Read)
            .compiler(Compiler::this_program());
        for folder in self.blocks()? {
            builder = builder.blocks(folder);
        }
        if let Some(cache) = &self.globals.cache {
            builder = builder.cache(cache);
        }
        if let Some(file) = config {
            let config = read_config(file)?;
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
            if mode == OpenMode::Deliver {
                builder = resolve_secrets(builder, file)?;
            }
        }
        Ok(self.with_trace_endpoint(builder)?.open()?)
    }

    /// Applies `--trace-endpoint`.
    fn with_trace_endpoint(&self, builder: Builder) -> Result<Builder, CliError> {
        match &self.globals.trace_endpoint {
            Some(endpoint) => builder.trace_endpoint(endpoint).map_err(|error| {
                CliError::invalid_input(format_args!("--trace-endpoint: {error}"))
            }),
            None => Ok(builder),
        }
    }

    /// Returns the configuration file that applies to this command.
    pub(super) fn config_file(&self) -> Result<Option<PathBuf>, CliError> {
        self.config_for(&self.database()?)
    }

    /// Returns the configuration that applies to this command; an empty one if there is no file.
    pub(super) fn load_config(&self) -> Result<Config, CliError> {
        match self.config_file()? {
            Some(file) => read_config(&file),
            None => Ok(Config::default()),
        }
    }

    /// Reads a configuration file with every secret and folder that it names.
    pub(super) fn check_config(&self, file: &Path) -> Result<Config, CliError> {
        let config = read_config(file)?;
        folders(&config.blocks)?;
        resolve_secrets(
            Promoflow::builder(DEFAULT_DATABASE).configure(&config),
            file,
        )?;
        Ok(config)
    }

    /// Checks everything that is needed to open the installation, and its database if it exists.
    pub(super) fn check(&self) -> Result<Database, CliError> {
        let database = self.database_for_creation()?;
        if let Some(file) = self.config_for(&database)? {
            self.check_config(&file)?;
        }
        if Promoflow::exists(database.clone())? {
            let promoflow = self.open_at(&database, OpenMode::Read)?;
            if let Some(refused) = promoflow.blocks()?.rejected().first() {
                return Err(CliError::invalid_input(&refused.why));
            }
        } else {
            self.with_trace_endpoint(Promoflow::builder(database.clone()))?;
        }
        Ok(database)
    }

    /// Returns the configuration file of the installation in that database. A configuration that
    /// names the database applies to it. Otherwise it is next to a file, or in the current folder.
    fn config_for(&self, database: &Database) -> Result<Option<PathBuf>, CliError> {
        if let Some(file) = &self.globals.config {
            return Ok(Some(file.clone()));
        }
        let here = PathBuf::from(DEFAULT_CONFIG);
        let named = match self.globals.db {
            None if here.exists() => read_config(&here)?.database,
            _ => None,
        };
        if named.as_ref() == Some(database) {
            return Ok(Some(here));
        }
        let beside = match database.engine() {
            Ok(Engine::Sqlite(path)) => path.with_file_name(DEFAULT_CONFIG),
            _ => here,
        };
        Ok(beside.exists().then_some(beside))
    }

    /// Returns the blocks that workflows may place; needs no database.
    pub(super) fn library(&self) -> Result<BlockLibrary, CliError> {
        let sandboxes = self.sandboxes()?;
        let mut library = BlockLibrary::standard(&sandboxes)
            .map_err(|error| CliError::failed(with_causes(&error)))?;
        for folder in self.blocks()? {
            library
                .add_folder(&sandboxes, folder, &Grants::all())
                .map_err(|error| CliError::invalid_input(with_causes(&error)))?;
        }
        Ok(library)
    }

    /// Creates the sandboxes that compile and run blocks.
    pub(super) fn sandboxes(&self) -> Result<std::sync::Arc<SandboxPool>, CliError> {
        let cache = self.globals.cache.clone();
        let compiler = Compiler::this_program();
        SandboxPool::with_compiler(Bounds::default(), cache, compiler).map_err(|error| {
            CliError::failed(format_args!(
                "cannot create sandboxes for blocks: {}",
                with_causes(&error)
            ))
        })
    }

    fn blocks(&self) -> Result<&[PathBuf], CliError> {
        folders(&self.globals.blocks)
    }

    /// Returns the database: from the option, the environment or the configuration.
    pub(super) fn database(&self) -> Result<Database, CliError> {
        let database = match self.globals.db.as_deref() {
            Some(name) => Database::from(name),
            None => {
                let here = PathBuf::from(DEFAULT_CONFIG);
                let file = self.globals.config.clone();
                let file = file.or_else(|| here.exists().then_some(here));
                let named = match file {
                    Some(file) => read_config(&file)?.database,
                    None => None,
                };
                named.unwrap_or_else(|| Database::from(DEFAULT_DATABASE))
            }
        };
        match database.engine() {
            Ok(_) => Ok(database),
            Err(error) => Err(CliError::invalid_input(&error).with_hint(error.hint())),
        }
    }
}

/// The format of log lines, as an option.
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

/// The log level, as an option.
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
fn resolve_secrets(builder: Builder, file: &Path) -> Result<Builder, CliError> {
    let refused = |error| CliError::invalid_input(format_args!("{}: {error}", file.display()));
    builder.resolve_secrets().map_err(refused)
}

fn read_config(file: &Path) -> Result<Config, CliError> {
    Config::read(file).map_err(|error| CliError::invalid_input(with_causes(&error)))
}

/// Checks that each folder of blocks exists.
fn folders(folders: &[PathBuf]) -> Result<&[PathBuf], CliError> {
    match folders.iter().find(|folder| !folder.is_dir()) {
        Some(folder) => {
            let message = format!("{}: no such folder of blocks", folder.display());
            Err(CliError::invalid_input(message).with_hint(
                "--blocks, PROMOFLOW_BLOCKS and `blocks` in the configuration name folders of \
                 *.wasm files",
            ))
        }
        None => Ok(folders),
    }
}
