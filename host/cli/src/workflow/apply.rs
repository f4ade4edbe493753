//! `promoflow workflow apply` and `check`.

use promoflow_api_model as api;
use promoflow_document::{MAX_FILE_BYTES, Severity};
use promoflow_installation::Promoflow;
use promoflow_model::message::Message;
use promoflow_model::workflow::{MessageUse, Workflow};
use promoflow_store::WorkflowState;
use serde::Serialize;
use serde_json::Value;

use super::sends;
use crate::context::CliContext;
use crate::error::{CommandResult, Status, count, print_diagnostics, print_error, print_note};
use crate::files::{Files, applied_file};
use crate::input;
use crate::output::{Out, SUCCESS};

/// A checked workflow, as `--json` shows it.
#[derive(Serialize)]
struct CheckedWorkflow<'w> {
    workflow: &'w str,
    /// Null: it is not stored.
    version: (),
    state: (),
    event: &'w str,
    steps: Vec<api::WorkflowStep>,
    name: &'w str,
    /// The messages that its steps send.
    sends: Vec<Value>,
}

impl<'w> CheckedWorkflow<'w> {
    fn new(workflow: &'w Workflow, sends: &[MessageUse]) -> CheckedWorkflow<'w> {
        CheckedWorkflow {
            workflow: &workflow.id,
            version: (),
            state: (),
            event: &workflow.start.event,
            steps: workflow.steps.iter().cloned().map(Into::into).collect(),
            name: &workflow.name,
            sends: sends.iter().map(sends::as_json).collect(),
        }
    }
}

/// Checks workflows and stores them.
pub(super) fn apply(context: &CliContext, files: &Files, out: &mut Out) -> CommandResult {
    let sources = files.read(MAX_FILE_BYTES)?;
    let promoflow = context.open_or_create()?;
    let mut status = Status::Success;
    for (name, source) in &sources {
        let file = promoflow.apply_workflows(name, source)?;
        let states = promoflow.workflows()?;
        let state = |id: &str| states.iter().find(|one| one.workflow.id == id);
        status = status.max(applied_file(
            name,
            &file,
            ("workflow", "workflows"),
            out,
            |out, workflow, applied| {
                let state = state(&workflow.id).map_or(WorkflowState::Active, |one| one.state);
                if out.is_json() {
                    return out.json(&api::Workflow {
                        changed: Some(applied.changed),
                        ..api::Workflow::new(workflow.clone(), applied.version, state)
                    });
                }
                let change = if applied.changed {
                    "stored"
                } else {
                    "unchanged"
                };
                let starts = match state {
                    WorkflowState::Active => {
                        format!("starts on the event {}", workflow.start.event)
                    }
                    WorkflowState::Paused => "paused".to_owned(),
                };
                out.line(format_args!(
                    "Workflow {}: {change}, version {}, {}, {starts}.",
                    workflow.id,
                    applied.version,
                    count(workflow.steps.len() as u64, "step", "steps"),
                ))
            },
        )?);
    }
    Ok(status)
}

/// Reports the errors of workflows.
pub(super) fn check(
    context: &CliContext,
    files: &Files,
    messages: &[String],
    out: &mut Out,
) -> CommandResult {
    let sources = files.read(MAX_FILE_BYTES)?;
    let preview = context.open_for_preview()?;
    let mut status = Status::Success;
    let mut more: Vec<Message> = Vec::new();
    for name in messages {
        let source = input::read(name, MAX_FILE_BYTES)?;
        let parsed = Promoflow::check_messages(name, &source, &input::base_folder(name));
        print_diagnostics(&parsed.diagnostics);
        if parsed.has_errors() {
            status = Status::InvalidInput;
        }
        more.extend(parsed.items);
    }
    for (name, source) in &sources {
        let parsed = preview
            .promoflow
            .check_workflows_with(name, source, &more)?;
        print_diagnostics(&parsed.diagnostics);
        if out.is_json() {
            for diagnostic in &parsed.diagnostics {
                out.json(diagnostic)?;
            }
            for workflow in &parsed.items {
                let sends = preview.promoflow.message_uses(workflow, &more)?;
                out.json(&CheckedWorkflow::new(workflow, &sends))?;
            }
        }
        if parsed.has_errors() {
            let errors = parsed.diagnostics.iter();
            let errors = errors.filter(|d| d.severity == Severity::Error).count();
            print_error(
                format_args!("{name}: {}", count(errors as u64, "error", "errors")),
                None,
            );
            status = Status::InvalidInput;
        } else if !out.is_json() {
            let ids: Vec<&str> = parsed.items.iter().map(|one| one.id.as_str()).collect();
            let fine = out.style(SUCCESS, "no errors");
            out.line(format_args!("{name}: {fine} in {}", ids.join(", ")))?;
            for workflow in &parsed.items {
                for message_use in preview.promoflow.message_uses(workflow, &more)? {
                    sends::print(&message_use, out)?;
                }
            }
        }
    }
    if status == Status::InvalidInput && preview.is_empty() && messages.is_empty() {
        print_note(
            "no database exists yet; name messages that you will apply later with --messages FILE",
        );
    }
    Ok(status)
}
