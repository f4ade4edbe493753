//! The command line, a module for each group of commands.
//!
//! A command is a clap structure with a `run` method. It receives the [`Session`] (the global
//! options: database, blocks, configuration) and [`Out`] (standard output, as JSON lines or text).
//! An error is a [`Failure`], which holds the exit status: 2 if the input is invalid, 1 if
//! something failed.

mod alert;
mod args;
mod audit;
mod backup;
mod block;
mod codes;
mod config;
mod contact;
mod demo;
mod event;
mod failure;
mod files;
mod input;
mod key;
mod licenses;
mod log;
mod message;
mod order;
mod outbox;
mod output;
mod restore;
mod run;
mod serve;
mod session;
mod settings;
mod table;
mod upload;
mod work;
mod workflow;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use promoflow_config::LogConfig;
use promoflow_model::failpoint::Order;

use failure::{Done, Failure};
use output::Out;
use session::{Globals, Session};

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
    Licenses(licenses::Licenses),
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    promoflow_block_host::compile_if_asked();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            tell_usage(&error);
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1));
        }
    };
    let (json, verbose) = (cli.globals.json, cli.globals.verbose);
    let format = cli.globals.log_format.map(Into::into);
    let level = cli.globals.log_level.map(Into::into);
    let session = Session::new(cli.globals);
    // An invalid configuration is reported by the command that needs it.
    let config = session.own_config().map(|config| config.log);
    let config = config.unwrap_or_default();
    log::start(
        verbose,
        LogConfig {
            format: format.or(config.format),
            level: level.or(config.level),
        },
    );
    if let Err(failure) = arm_failpoint() {
        return failure.report();
    }
    let mut out = Out::stdout(json);
    let done = dispatch(cli.command, &session, &mut out);
    let written = out.flush();
    match done.and_then(|status| Ok(written.map(|()| status)?)) {
        Ok(status) => status.into(),
        Err(failure) => failure.report(),
    }
}

/// Prints help, or what is wrong with the arguments. Arguments may come from outside, so the text
/// is sanitized.
fn tell_usage(error: &clap::Error) {
    if error.use_stderr() {
        let text = error.render().to_string();
        let colours = output::colours(std::io::stderr().is_terminal());
        let text = match text.strip_prefix("error:") {
            Some(rest) => format!("{}{rest}", output::ERROR.on(colours, "error:")),
            None => text,
        };
        return output::tell_people(&text);
    }
    // The reader may be gone; the exit status is enough.
    let _closed = error.print();
}

fn dispatch(command: Command, session: &Session, out: &mut Out) -> Done {
    match command {
        Command::Demo(demo) => demo.run(session, out),
        Command::Codes(codes) => codes.run(session, out),
        Command::Message(message) => message.run(session, out),
        Command::Workflow(workflow) => workflow.run(session, out),
        Command::Event(event) => event.run(session, out),
        Command::Contact(contact) => contact.run(session, out),
        Command::Run(run) => run.run(session, out),
        Command::Outbox(outbox) => outbox.run(session, out),
        Command::Alert(alert) => alert.run(session, out),
        Command::Work(work) => work.run(session, out),
        Command::Serve(serve) => serve.run(session, out),
        Command::Key(key) => key.run(session, out),
        Command::Block(block) => block.run(session, out),
        Command::Config(config) => config.run(session, out),
        Command::Settings(settings) => settings.run(session, out),
        Command::Audit(audit) => audit.run(session, out),
        Command::Backup(backup) => backup.run(session, out),
        Command::Restore(restore) => restore.run(session, out),
        Command::Licenses(licenses) => licenses.run(out),
    }
}

/// Arms the failpoint of a fault test: `PROMOFLOW_FAILPOINT=name[:n]` selects where this process
/// dies. Read here because the library does not read the environment.
fn arm_failpoint() -> Result<(), Failure> {
    let Some(order) = std::env::var_os("PROMOFLOW_FAILPOINT").filter(|order| !order.is_empty())
    else {
        return Ok(());
    };
    let order: Order = order
        .to_string_lossy()
        .parse()
        .map_err(|error| Failure::refused(format_args!("PROMOFLOW_FAILPOINT: {error}")))?;
    order.arm();
    Ok(())
}
