//! `promoflow demo`: the shipped example from end to end.

mod folder;

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::Args;
use promoflow_engine::import::ImportOptions;
use promoflow_installation::{AppliedFile, Promoflow, default_maildir};
use promoflow_model::database::{Database, Engine};
use promoflow_model::event::Event;
use promoflow_model::message::Folder;
use promoflow_model::pool::Filter;
use promoflow_store::{Applied, DeliveryRow, DeliveryState, RunState};

use super::audit;
use super::context::{CliContext, OpenMode};
use super::error::{CliError, CommandResult, Status, count, print_diagnostics};
use super::message::show_content;
use super::output::{BOLD, DIM, ERROR, Out};
use super::shell::quoted;
use super::table::Table;
use super::workflow::show_steps;
use folder::{CONFIG, DATABASE, example, prepare, write_config};

/// Run the shipped example end to end, in a fresh folder.
///
/// It imports promo codes, applies messages and a workflow, sends events, and prints each message
/// as the contact gets it, with the pool before and after.
#[derive(Args)]
#[command(after_help = "Example:\n  promoflow demo --dir /tmp/birthday")]
pub(super) struct Demo {
    /// The folder. If it holds an earlier demo, that demo is replaced.
    #[arg(long, value_name = "DIR", default_value = "promoflow-demo")]
    dir: PathBuf,
    /// An empty database of PostgreSQL to use instead of a file in the folder.
    #[arg(long, value_name = "URL", hide = true)]
    postgres: Option<String>,
}

impl Demo {
    pub(super) fn run(self, context: &CliContext, out: &mut Out) -> CommandResult {
        if out.is_json() {
            return Err(CliError::invalid_input("`demo` does not support --json")
                .with_hint("run it without --json, then query its database with other commands"));
        }
        prepare(&self.dir)?;
        let database = match &self.postgres {
            Some(address) => Database::from(address),
            None => Database::from(&self.dir.join(DATABASE)),
        };
        let promoflow = self.open(context, &database)?;
        heading(out, 1, "A pool of promo codes, from codes.csv")?;
        import(&promoflow, out)?;
        show_pool(&promoflow, out)?;
        heading(out, 2, "Two messages and a workflow")?;
        apply(&promoflow, &self.dir, out)?;
        heading(
            out,
            3,
            "Six customers have a birthday: six events, from events.jsonl",
        )?;
        send(&promoflow, out)?;
        heading(out, 4, "Their messages")?;
        let all_delivered = show_deliveries(&promoflow, out)?;
        heading(out, 5, "The pool after the run")?;
        show_pool(&promoflow, out)?;
        heading(out, 6, "The promises, checked in the database")?;
        let status = audit::report(&promoflow.audit()?, out)?;
        self.print_next_steps(&database, out)?;
        match (status, all_delivered) {
            (Status::Success, false) => Ok(Status::Failed),
            (status, _) => Ok(status),
        }
    }

    fn open(&self, context: &CliContext, database: &Database) -> Result<Promoflow, CliError> {
        if self.postgres.is_none() {
            return context.open_at(database, OpenMode::Deliver);
        }
        if !matches!(database.engine(), Ok(Engine::Postgres(_))) {
            return Err(CliError::invalid_input(format_args!(
                "--postgres: {database} is not an address like postgres://host/name"
            )));
        }
        // A configuration in the current folder must not deliver the demo's messages.
        let config = write_config(&self.dir)?;
        let promoflow = context.open_with(database, Some(&config), OpenMode::Deliver)?;
        let codes = promoflow.count(&Filter::default())?;
        if codes.total > 0 || !promoflow.workflows()?.is_empty() {
            let message = format_args!("{database}: not empty");
            return Err(CliError::invalid_input(message).with_hint("create a new database"));
        }
        Ok(promoflow)
    }

    fn print_next_steps(&self, database: &Database, out: &mut Out) -> Result<(), CliError> {
        let heading = out.style(BOLD, "Files in the folder");
        let folder = self.dir.display();
        out.line(format_args!("\n{heading} {folder}"))?;
        let mail = default_maildir(DATABASE);
        let mail = format!("{}/", mail.display());
        let last = match self.postgres {
            Some(_) => (CONFIG, "the configuration"),
            None => (DATABASE, "the database: pool, workflows, history"),
        };
        for (file, what) in [
            ("codes.csv", "the uploaded codes"),
            ("message.yaml, birthday.html", "the two messages"),
            ("workflow.yaml", "the workflow"),
            ("events.jsonl", "the events"),
            last,
            (&mail, "the messages, as files that mail programs open"),
        ] {
            out.line(format_args!("  {file:<28} {what}"))?;
        }
        let heading = out.style(BOLD, "Next steps");
        let program = std::env::args()
            .next()
            .unwrap_or_else(|| "promoflow".into());
        let program = quoted(&program);
        let mut options = format!("--db {}", quoted(&database.to_string()));
        if self.postgres.is_some() {
            let config = self.dir.join(CONFIG).display().to_string();
            options.push_str(&format!(" --config {}", quoted(&config)));
        }
        let events = quoted(&self.dir.join("events.jsonl").display().to_string());
        out.line(format_args!("\n{heading}"))?;
        for (what, command) in [
            (
                "Send the same events again: each customer keeps one code.",
                format!("event send --file {events}"),
            ),
            (
                "Send a birthday event for yourself.",
                "event send --type birthday --param EmailAddress=me@example.com --param firstName=Me"
                    .to_owned(),
            ),
            ("List the used codes and who got them.", "codes list --in-use true".to_owned()),
        ] {
            let what = out.style(DIM, format_args!("# {what}"));
            out.line(format_args!("  {what}\n  {program} {options} {command}"))?;
        }
        Ok(())
    }
}

fn heading(out: &mut Out, number: u8, text: &str) -> io::Result<()> {
    let text = out.style(BOLD, format_args!("{number}. {text}"));
    out.line(format_args!("\n{text}"))?;
    out.flush()
}

fn import(promoflow: &Promoflow, out: &mut Out) -> Result<(), CliError> {
    let options = ImportOptions {
        source: "codes.csv".into(),
        ..ImportOptions::default()
    };
    let imported = promoflow.import(example("codes.csv"), &options, &mut |_| ());
    let report = imported.map_err(CliError::failed)?;
    let codes = count(report.inserted, "code", "codes");
    Ok(out.line(format_args!("{codes} uploaded.\n"))?)
}

fn apply(promoflow: &Promoflow, folder: &Path, out: &mut Out) -> Result<(), CliError> {
    let source = example("message.yaml");
    let messages = promoflow.apply_messages("message.yaml", source, &Folder::new(folder))?;
    for (message, _) in applied_items(messages)? {
        let id = &message.id;
        out.line(format_args!("Message {id}, by {}", message.channel))?;
    }
    let source = example("workflow.yaml");
    for (workflow, _) in applied_items(promoflow.apply_workflows("workflow.yaml", source)?)? {
        out.line(format_args!(
            "Workflow {}, on the event {}",
            workflow.id, workflow.start.event
        ))?;
        show_steps(&workflow, out)?;
    }
    Ok(())
}

fn applied_items<T>(file: AppliedFile<T>) -> Result<Vec<(T, Applied)>, CliError> {
    if file.applied.is_empty() {
        print_diagnostics(&file.diagnostics);
        return Err(CliError::failed("the example is invalid"));
    }
    Ok(file.applied)
}

fn send(promoflow: &Promoflow, out: &mut Out) -> Result<(), CliError> {
    let running = promoflow.start()?;
    let mut runs = Vec::new();
    let events = String::from_utf8_lossy(example("events.jsonl"));
    for line in events.lines() {
        let event = Event::from_json(line).map_err(CliError::failed)?;
        let key = event.key.clone();
        let receipt = running.send(event).map_err(CliError::failed)?;
        out.line(format_args!("{key:<22} accepted"))?;
        runs.extend(receipt.runs);
    }
    running.wait_idle(&runs)?;
    running.stop();
    let completed = promoflow.runs(Some(RunState::Completed), runs.len())?.len();
    let started = count(runs.len() as u64, "run", "runs");
    out.line(format_args!("{started}, {completed} completed."))?;
    Ok(())
}

/// Shows the deliveries; returns true if all were delivered.
fn show_deliveries(promoflow: &Promoflow, out: &mut Out) -> Result<bool, CliError> {
    let mut deliveries: Vec<DeliveryRow> = Vec::new();
    promoflow.deliveries(None, |row| {
        deliveries.push(row);
        ControlFlow::Continue(())
    })?;
    let mut all_delivered = !deliveries.is_empty();
    for mut row in deliveries {
        let rule = out.style(DIM, "─".repeat(72));
        out.line(format_args!("{rule}"))?;
        // The text is enough; the HTML is in the delivered message.
        if row.content.text.is_some() {
            row.content.html = None;
        }
        show_content(&row.content, Some(&row.address), out)?;
        if row.state != DeliveryState::Delivered {
            all_delivered = false;
            let why = row.error.unwrap_or_else(|| "not attempted yet".into());
            let label = out.style(ERROR, "not delivered");
            out.line(format_args!("{label}: {why}"))?;
        }
    }
    let rule = out.style(DIM, "─".repeat(72));
    out.line(format_args!("{rule}"))?;
    Ok(all_delivered)
}

fn show_pool(promoflow: &Promoflow, out: &mut Out) -> Result<(), CliError> {
    let mut table = Table::new(["TYPE", "DISCOUNT", "AVAILABLE", "USED"]);
    for (code_type, discount) in [("birthday", 10), ("christmas", 15)] {
        let counted = promoflow.count(&Filter {
            code_type: Some(code_type.into()),
            ..Filter::default()
        })?;
        let cells = [
            code_type.to_owned(),
            format!("{discount} %"),
            counted.available.to_string(),
            counted.used.to_string(),
        ];
        table.row(out, cells)?;
    }
    Ok(table.finish(out, "The pool is empty.")?)
}
