//! The command line, a module for each group of commands.
//!
//! A command is a clap structure with a `run` method. It receives the `CliContext` (the global
//! options: database, blocks, configuration) and `Out` (standard output, as JSON lines or text).
//! An error is a `CliError`, which holds the exit status: 2 if the input is invalid, 1 if
//! something failed.
//!
//! | module | contents |
//! | --- | --- |
//! | `codes`, `contact`, `upload` | uploads, and the rows that they load |
//! | `workflow`, `message`, `block`, `files` | what authors write |
//! | `event`, `run`, `outbox`, `actions` | events, and what became of them |
//! | `serve`, `work`, `alert`, `key` | the service and its operation |
//! | `config`, `settings`, `audit`, `backup`, `restore` | the installation |
//! | `demo`, `licenses` | the shipped example, the licences |
//! | `context`, `args`, `input`, `output`, `table`, `log`, `error` | what commands share |
//!
//! ```no_run
//! # #![allow(clippy::needless_doctest_main)]
//! fn main() -> std::process::ExitCode {
//!     promoflow_cli::main()
//! }
//! ```
//!
//! This crate is internal to Promoflow: its interface changes in any release. Programs depend on the
//! facade `promoflow` instead.
#![forbid(unsafe_code)]

mod actions;
mod alert;
mod args;
mod audit;
mod backup;
mod block;
mod codes;
mod config;
mod contact;
mod context;
mod demo;
mod error;
mod event;
mod files;
mod input;
mod key;
mod licenses;
mod log;
mod message;
mod migrate;
mod outbox;
mod output;
mod restore;
mod run;
mod serve;
mod settings;
mod shell;
mod table;
mod upload;
mod work;
mod workflow;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use promoflow_config::LogConfig;
use promoflow_model::failpoint::ArmedFailpoint;

use context::{CliContext, Globals};
use error::{CliError, CommandResult};
use output::Out;

/// Sends promo codes from workflows, each code exactly once.
#[derive(Parser)]
#[command(
    name = "promoflow",
    bin_name = "promoflow",
    version,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = "Exit status: 0 success; 1 failure; 2 invalid input.\n\n\
                  Example, the shipped example end to end in a fresh folder:\n  promoflow demo"
)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Demo),
    #[command(subcommand)]
    Codes(codes::Codes),
    #[command(subcommand)]
    Message(message::MessageCommand),
    #[command(subcommand)]
    Workflow(workflow::WorkflowCommand),
    #[command(subcommand)]
    Event(event::EventCommand),
    #[command(subcommand)]
    Contact(contact::ContactCommand),
    #[command(subcommand)]
    Run(run::RunCommand),
    #[command(subcommand)]
    Outbox(outbox::OutboxCommand),
    #[command(subcommand)]
    Alert(alert::AlertCommand),
    Work(work::Work),
    Serve(serve::Serve),
    #[command(subcommand)]
    Key(key::KeyCommand),
    #[command(subcommand)]
    Block(block::BlockCommand),
    #[command(subcommand)]
    Config(config::ConfigCommand),
    #[command(subcommand)]
    Settings(settings::SettingsCommand),
    Audit(audit::Audit),
    Backup(backup::Backup),
    Restore(restore::Restore),
    Migrate(migrate::Migrate),
    Licenses(licenses::Licenses),
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    promoflow_block_host::compile_if_asked();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            print_usage(&error);
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1));
        }
    };
    let (json, verbose) = (cli.globals.json, cli.globals.verbose);
    let format = cli.globals.log_format.map(Into::into);
    let level = cli.globals.log_level.map(Into::into);
    let context = CliContext::new(cli.globals);
    // An invalid configuration is reported by the command that needs it.
    let config = context.load_config().map(|config| config.log);
    let config = config.unwrap_or_default();
    log::start(
        verbose,
        LogConfig {
            format: format.or(config.format),
            level: level.or(config.level),
        },
    );
    if let Err(error) = arm_failpoint() {
        return error.report();
    }
    let mut out = Out::stdout(json);
    let done = dispatch(cli.command, &context, &mut out);
    let written = out.flush();
    match done.and_then(|status| Ok(written.map(|()| status)?)) {
        Ok(status) => status.into(),
        Err(error) => error.report(),
    }
}

/// Prints help, or what is wrong with the arguments. Arguments may come from outside, so the text
/// is sanitized.
fn print_usage(error: &clap::Error) {
    if error.use_stderr() {
        let text = error.render().to_string();
        let colours = output::colours(std::io::stderr().is_terminal());
        let text = match text.strip_prefix("error:") {
            Some(rest) => format!("{}{rest}", output::ERROR.on(colours, "error:")),
            None => text,
        };
        return output::print_stderr(&text);
    }
    // The reader may be gone; the exit status is enough.
    let _closed = error.print();
}

fn dispatch(command: Command, context: &CliContext, out: &mut Out) -> CommandResult {
    match command {
        Command::Demo(demo) => demo.run(context, out),
        Command::Codes(codes) => codes.run(context, out),
        Command::Message(message) => message.run(context, out),
        Command::Workflow(workflow) => workflow.run(context, out),
        Command::Event(event) => event.run(context, out),
        Command::Contact(contact) => contact.run(context, out),
        Command::Run(run) => run.run(context, out),
        Command::Outbox(outbox) => outbox.run(context, out),
        Command::Alert(alert) => alert.run(context, out),
        Command::Work(work) => work.run(context, out),
        Command::Serve(serve) => serve.run(context, out),
        Command::Key(key) => key.run(context, out),
        Command::Block(block) => block.run(context, out),
        Command::Config(config) => config.run(context, out),
        Command::Settings(settings) => settings.run(context, out),
        Command::Audit(audit) => audit.run(context, out),
        Command::Backup(backup) => backup.run(context, out),
        Command::Restore(restore) => restore.run(context, out),
        Command::Migrate(migrate) => migrate.run(out),
        Command::Licenses(licenses) => licenses.run(out),
    }
}

/// Arms the failpoint of a fault test: `PROMOFLOW_FAILPOINT=name[:n]` selects where this process
/// dies. Read here because the library does not read the environment.
fn arm_failpoint() -> Result<(), CliError> {
    let Some(setting) = std::env::var_os("PROMOFLOW_FAILPOINT").filter(|text| !text.is_empty())
    else {
        return Ok(());
    };
    let failpoint: ArmedFailpoint = setting
        .to_string_lossy()
        .parse()
        .map_err(|error| CliError::invalid_input(format_args!("PROMOFLOW_FAILPOINT: {error}")))?;
    failpoint.arm();
    Ok(())
}
