//! `event send --test`: the effects that an event would have.

use promoflow_api_model::TestRun;
use promoflow_engine::run::TestRunReport;
use promoflow_installation::Promoflow;
use promoflow_model::event::CheckedEvent;
use serde::Serialize;

use super::super::error::{CliError, CommandResult, Status};
use super::super::message::show_content;
use super::super::output::{BOLD, ERROR, Out, WARNING, format_time, sanitize_line};

/// A test run among the results of other events, as `--json` shows it.
#[derive(Serialize)]
struct TestRunLine {
    #[serde(flatten)]
    test_run: TestRun,
    runs: [(); 0],
    error: (),
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
}

/// Prints the test run of an event; `line` is its line in the file.
pub(super) fn print(
    promoflow: &Promoflow,
    event: CheckedEvent,
    line: Option<u64>,
    out: &mut Out,
) -> CommandResult {
    let id = event.id.clone();
    let plan = promoflow
        .test_run(event)
        .map_err(|error| CliError::failed(format_args!("{error}")))?;
    let names = promoflow.workflow_names()?;
    if out.is_json() {
        out.json(&TestRunLine {
            test_run: TestRun::new(id, plan, &names),
            runs: [],
            error: (),
            line,
        })?;
        return Ok(Status::Success);
    }
    if let Some(line) = line {
        out.line(format_args!("Line {line}:"))?;
    }
    if plan.is_empty() {
        out.line(format_args!("Test run: no workflow starts on this event."))?;
    }
    for run in &plan {
        let workflow = names.get(&run.workflow).map_or("?", |(id, _)| id.as_str());
        print_run(workflow, run, out)?;
    }
    Ok(Status::Success)
}

fn print_run(workflow: &str, run: &TestRunReport, out: &mut Out) -> std::io::Result<()> {
    let title = out.style(BOLD, format_args!("Test run of {workflow}"));
    if let Some(why) = &run.blocked_by {
        return out.line(format_args!("{title}: would not start: {why}"));
    }
    out.line(format_args!("{title}: nothing was changed"))?;
    for step in &run.steps {
        let waits = run.waiting_for.as_ref().map_or("an error", |_| "a wait");
        let port = step.port.as_deref().unwrap_or(waits);
        let (id, block) = (&step.step, &step.block);
        out.line(format_args!("  {id}: {block}, would exit by {port}"))?;
        for warning in step
            .log
            .iter()
            .filter_map(|note| note.strip_prefix("warn: "))
        {
            let label = out.style(WARNING, "warning");
            out.line(format_args!("    {label}: {}", sanitize_line(warning)))?;
        }
    }
    for wait in &run.waits {
        let (step, until) = (&wait.step, format_time(wait.until));
        out.line(format_args!("  {step}: would wait until {until} UTC"))?;
    }
    // In full: the code stays available, and the author needs to see it.
    for code in &run.codes {
        out.line(format_args!(
            "  would claim the code {}",
            sanitize_line(code)
        ))?;
    }
    if let Some(waiting_for) = &run.waiting_for {
        let until = match run.waiting_until {
            Some(until) => format!(", until {} UTC", format_time(until)),
            None => String::new(),
        };
        out.line(format_args!(
            "  would wait for {}{until}",
            sanitize_line(waiting_for)
        ))?;
    }
    if let Some(error) = &run.error {
        let label = out.style(ERROR, "would fail");
        out.line(format_args!("  {label}: {}", sanitize_line(error)))?;
    }
    for delivery in &run.deliveries {
        out.line(format_args!("\nWould send by {}:", delivery.channel))?;
        show_content(&delivery.content, Some(&delivery.address), out)?;
        for other in &delivery.alternatives {
            out.line(format_args!("\nAlternatively by {}:", other.channel))?;
            show_content(&other.content, Some(&other.address), out)?;
        }
        if let Some(hours) = &delivery.hours {
            let due = delivery.due;
            out.line(format_args!("\nAllowed hours {hours}: not before {due}"))?;
        }
    }
    Ok(())
}
