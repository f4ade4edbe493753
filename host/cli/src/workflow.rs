//! `promoflow workflow`: the workflows that events start.

mod apply;
mod sends;
mod show;

use clap::{Args, Subcommand};
use promoflow_api_model as api;
use promoflow_document::did_you_mean;
use promoflow_installation::Promoflow;
use promoflow_model::workflow::{SCHEMA, flowchart};
use promoflow_store::{StoredWorkflow, WorkflowState};
use serde_json::json;

use super::context::CliContext;
use super::error::{CliError, CommandResult, Status};
use super::files::{Files, schema};
use super::output::{Out, name};
use super::table::Table;
use apply::{apply, check};
use show::show;
pub(super) use show::show_steps;

/// Workflows: what starts a run, and its steps.
#[derive(Subcommand)]
#[command(after_help = "Example:\n  promoflow workflow apply workflow.yaml")]
pub(super) enum WorkflowCommand {
    /// Check workflows and store them; events start the new version from then on.
    ///
    /// If a file has an error, nothing from it is stored; every error is shown with its line and
    /// column. The messages that a workflow sends must be applied first.
    #[command(after_help = "Example:\n  promoflow workflow apply workflow.yaml")]
    Apply(Files),
    /// Report every error of workflows, with line and column, and change nothing.
    ///
    /// Workflows are checked against the messages in the database, if there is one.
    #[command(
        after_help = "Example:\n  promoflow workflow check workflow.yaml --messages message.yaml"
    )]
    Check {
        #[command(flatten)]
        files: Files,
        /// A file of messages that the workflows may name although they are not applied yet; may be
        /// repeated.
        #[arg(long, value_name = "FILE")]
        messages: Vec<String>,
    },
    /// List the workflows.
    #[command(after_help = "Example:\n  promoflow workflow list")]
    List,
    /// Show a workflow with its steps.
    #[command(after_help = "Example:\n  promoflow workflow show birthday")]
    Show(WorkflowArg),
    /// Print a workflow as a Mermaid flowchart, which code hosting sites render.
    #[command(after_help = "Example:\n  promoflow workflow graph birthday > birthday.mmd")]
    Graph(WorkflowArg),
    /// Pause a workflow: events no longer start it; existing runs continue.
    #[command(after_help = "Example:\n  promoflow workflow pause birthday")]
    Pause(WorkflowArg),
    /// Resume a paused workflow: events start it again.
    #[command(after_help = "Example:\n  promoflow workflow resume birthday")]
    Resume(WorkflowArg),
    /// Print the JSON Schema of a workflow file, for editors.
    #[command(after_help = "Example:\n  promoflow workflow schema > workflow.schema.json")]
    Schema,
}

/// A workflow given by id.
#[derive(Args)]
pub(super) struct WorkflowArg {
    /// The workflow's id.
    id: String,
}

impl WorkflowCommand {
    pub(super) fn run(self, context: &CliContext, out: &mut Out) -> CommandResult {
        match self {
            WorkflowCommand::Apply(files) => apply(context, &files, out),
            WorkflowCommand::Check { files, messages } => check(context, &files, &messages, out),
            WorkflowCommand::List => list(&context.open()?, out),
            WorkflowCommand::Show(named) => show(&find(&context.open()?, &named.id)?, out),
            WorkflowCommand::Graph(named) => {
                let diagram = flowchart(&find(&context.open()?, &named.id)?.workflow);
                match out.is_json() {
                    true => out.json(&json!({ "workflow": named.id, "graph": diagram }))?,
                    false => out.bytes(diagram.as_bytes())?,
                }
                Ok(Status::Success)
            }
            WorkflowCommand::Pause(named) => {
                set_state(&context.open()?, &named.id, WorkflowState::Paused, out)
            }
            WorkflowCommand::Resume(named) => {
                set_state(&context.open()?, &named.id, WorkflowState::Active, out)
            }
            WorkflowCommand::Schema => schema(SCHEMA, out),
        }
    }
}

fn list(promoflow: &Promoflow, out: &mut Out) -> CommandResult {
    let mut table = Table::new(["WORKFLOW", "VERSION", "STATE", "EVENT", "STEPS"]);
    for stored in promoflow.workflows()? {
        if out.is_json() {
            out.json(&api::Workflow::from(stored))?;
            continue;
        }
        let steps: Vec<&str> = stored
            .workflow
            .steps
            .iter()
            .map(|step| step.id.as_str())
            .collect();
        let cells = [
            stored.workflow.id.clone(),
            stored.version.to_string(),
            match &stored.reason {
                Some(reason) => format!("{}: {reason}", name(&stored.state)),
                None => name(&stored.state),
            },
            stored.workflow.start.event.clone(),
            steps.join(", "),
        ];
        table.row(out, cells)?;
    }
    if !out.is_json() {
        table.finish(
            out,
            "No workflows. Add some with `promoflow workflow apply`.",
        )?;
    }
    Ok(Status::Success)
}

fn find(promoflow: &Promoflow, id: &str) -> Result<StoredWorkflow, CliError> {
    let workflows = promoflow.workflows()?;
    let ids: Vec<String> = workflows.iter().map(|w| w.workflow.id.clone()).collect();
    let mut all = workflows.into_iter();
    all.find(|one| one.workflow.id == id).ok_or_else(|| {
        CliError::failed(format_args!("no workflow `{id}`"))
            .with_hint("run `promoflow workflow list` for the workflows")
            .with_optional_hint(did_you_mean(id, ids.iter().map(String::as_str)))
    })
}

fn set_state(
    promoflow: &Promoflow,
    id: &str,
    state: WorkflowState,
    out: &mut Out,
) -> CommandResult {
    find(promoflow, id)?;
    promoflow.set_workflow_state(id, state)?;
    let stored = find(promoflow, id)?;
    if out.is_json() {
        out.json(&api::Workflow::from(stored))?;
    } else {
        let event = &stored.workflow.start.event;
        match state {
            WorkflowState::Active => out.line(format_args!(
                "Workflow {id} is active: the event {event} starts it."
            ))?,
            WorkflowState::Paused => out.line(format_args!(
                "Workflow {id} is paused: the event {event} no longer starts it."
            ))?,
        }
    }
    Ok(Status::Success)
}
