//! `promoflow workflow apply` and `check`.

use promoflow_document::{MAX_FILE_BYTES, Severity};
use promoflow_installation::Promoflow;
use promoflow_model::message::Message;
use promoflow_store::WorkflowState;

use super::{WorkflowJson, sends};
use crate::failure::{Done, Status, count, tell_diagnostics, tell_error, tell_note};
use crate::files::{Files, applied_file};
use crate::input;
use crate::output::{GOOD, Out};
use crate::session::Session;

/// Checks workflows and stores them.
pub(super) fn apply(session: &Session, files: &Files, out: &mut Out) -> Done {
    let sources = files.read(MAX_FILE_BYTES)?;
    let promoflow = session.open_or_make()?;
    let mut status = Status::Done;
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
                    return out.json(&WorkflowJson {
                        version: Some(applied.version),
                        state: Some(state),
                        changed: Some(applied.changed),
                        ..WorkflowJson::new(workflow)
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
pub(super) fn check(session: &Session, files: &Files, messages: &[String], out: &mut Out) -> Done {
    let sources = files.read(MAX_FILE_BYTES)?;
    let rehearsal = session.rehearse()?;
    let mut status = Status::Done;
    let mut more: Vec<Message> = Vec::new();
    for name in messages {
        let source = input::read(name, MAX_FILE_BYTES)?;
        let parsed = Promoflow::check_messages(name, &source, &input::folder_of(name));
        tell_diagnostics(&parsed.diagnostics);
        if parsed.has_errors() {
            status = Status::Refused;
        }
        more.extend(parsed.items);
    }
    for (name, source) in &sources {
        let parsed = rehearsal
            .promoflow
            .check_workflows_with(name, source, &more)?;
        tell_diagnostics(&parsed.diagnostics);
        if out.is_json() {
            for diagnostic in &parsed.diagnostics {
                out.json(diagnostic)?;
            }
            for workflow in &parsed.items {
                let sends = rehearsal.promoflow.sendings(workflow, &more)?;
                out.json(&WorkflowJson {
                    sends: Some(sends.iter().map(sends::as_json).collect()),
                    ..WorkflowJson::new(workflow)
                })?;
            }
        }
        if parsed.has_errors() {
            let errors = parsed.diagnostics.iter();
            let errors = errors.filter(|d| d.severity == Severity::Error).count();
            tell_error(
                format_args!("{name}: {}", count(errors as u64, "error", "errors")),
                None,
            );
            status = Status::Refused;
        } else if !out.is_json() {
            let ids: Vec<&str> = parsed.items.iter().map(|one| one.id.as_str()).collect();
            let fine = out.style(GOOD, "no errors");
            out.line(format_args!("{name}: {fine} in {}", ids.join(", ")))?;
            for workflow in &parsed.items {
                for sending in rehearsal.promoflow.sendings(workflow, &more)? {
                    sends::tell(&sending, out)?;
                }
            }
        }
    }
    if status == Status::Refused && rehearsal.is_empty() && messages.is_empty() {
        tell_note(
            "no database exists yet; name messages that you will apply later with --messages FILE",
        );
    }
    Ok(status)
}
