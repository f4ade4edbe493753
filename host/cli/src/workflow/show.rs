//! `promoflow workflow show`: a workflow for people.

use promoflow_api_model as api;
use promoflow_model::workflow::{ParamValue, Repeat, Target, Workflow};
use promoflow_store::{StoredWorkflow, WorkflowState};

use crate::error::{CliError, CommandResult, Status};
use crate::output::{BOLD, Out, SUCCESS, WARNING, sanitize_line};

/// Shows a workflow with its steps.
pub(super) fn show(stored: &StoredWorkflow, out: &mut Out) -> CommandResult {
    let workflow = &stored.workflow;
    if out.is_json() {
        let definition = serde_json::to_value(workflow).map_err(CliError::failed)?;
        out.json(&api::Workflow {
            definition: Some(definition),
            ..stored.clone().into()
        })?;
        return Ok(Status::Success);
    }
    let state = match stored.state {
        WorkflowState::Active => out.style(SUCCESS, "active"),
        WorkflowState::Paused => out.style(WARNING, "paused"),
    };
    let title = out.style(BOLD, sanitize_line(&workflow.name));
    out.line(format_args!(
        "{title} ({}), version {}, {state}",
        workflow.id, stored.version
    ))?;
    if let Some(reason) = &stored.reason {
        out.line(format_args!(
            "Paused: {}. Resume it with `promoflow workflow resume {}`.",
            sanitize_line(reason),
            workflow.id
        ))?;
    }
    let repeat = match workflow.start.repeat {
        Repeat::EveryTime => "every time".to_owned(),
        Repeat::Once => "once per key".to_owned(),
        Repeat::Every { seconds } => format!("once in {seconds} seconds per key"),
    };
    let condition = match workflow.start.condition {
        Some(_) => ", if its condition holds",
        None => "",
    };
    let event = &workflow.start.event;
    out.line(format_args!(
        "Starts on the event {event}, {repeat}{condition}."
    ))?;
    for (number, step) in workflow.steps.iter().enumerate() {
        let id = out.style(BOLD, &step.id);
        out.line(format_args!("\n{}. {id}: {}", number + 1, step.block))?;
        for (name, value) in &step.with {
            let value = match value {
                ParamValue::Text(text) => sanitize_line(text),
                ParamValue::Json(value) => value.to_string(),
            };
            out.line(format_args!("     {name} = {value}"))?;
        }
        for (port, target) in &step.ports {
            let to = target_name(workflow, *target);
            out.line(format_args!("     {port} → {to}"))?;
        }
    }
    Ok(Status::Success)
}

/// Writes the steps in short: one line each, with the targets of its ports.
pub(crate) fn show_steps(workflow: &Workflow, out: &mut Out) -> std::io::Result<()> {
    for step in &workflow.steps {
        let ports: Vec<String> = step
            .ports
            .iter()
            .map(|(port, target)| format!("{port} → {}", target_name(workflow, *target)))
            .collect();
        let (id, block) = (&step.id, &step.block);
        out.line(format_args!("  {id:<8} {block:<14} {}", ports.join(", ")))?;
    }
    Ok(())
}

fn target_name(workflow: &Workflow, target: Target) -> &str {
    match target {
        Target::Step(to) => workflow.steps.get(to).map_or("?", |step| step.id.as_str()),
        Target::End => "end",
        Target::Unconnected => "not connected: the run fails",
    }
}
