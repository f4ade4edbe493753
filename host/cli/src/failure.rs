//! Errors of commands, and the exit status of each.

use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use promoflow_document::Diagnostic;
use promoflow_store::StoreError;

use super::output;

/// The result of a command that has printed its output; each has an exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Status {
    /// The command succeeded: exit status 0.
    Done,
    /// The command failed: exit status 1.
    Failed,
    /// The input was invalid: exit status 2.
    Refused,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> ExitCode {
        ExitCode::from(match status {
            Status::Done => 0,
            Status::Failed => 1,
            Status::Refused => 2,
        })
    }
}

/// The result of a command.
pub(super) type Done = Result<Status, Failure>;

/// The reason why a command ended early: what happened, and a hint what to do.
#[derive(Debug)]
pub(super) struct Failure {
    status: Status,
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// Creates the error for invalid input: the command succeeds with other input.
    pub(super) fn refused(message: impl Display) -> Failure {
        Failure {
            status: Status::Refused,
            message: message.to_string(),
            hint: None,
        }
    }

    /// Creates the error for an operation that failed.
    pub(super) fn failed(message: impl Display) -> Failure {
        Failure {
            status: Status::Failed,
            message: message.to_string(),
            hint: None,
        }
    }

    /// Creates the error for a command of a later release.
    pub(super) fn not_yet(what: impl Display) -> Failure {
        Failure::refused(format_args!("{what} is not supported yet"))
            .hint("run `promoflow --help` for the commands of this release")
    }

    /// Adds a hint.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Display) -> Failure {
        self.hint = Some(hint.to_string());
        self
    }

    /// Adds a hint if there is one.
    #[must_use]
    pub(super) fn maybe_hint(mut self, hint: Option<String>) -> Failure {
        self.hint = hint.or(self.hint);
        self
    }

    /// Prints the error and returns the exit status.
    pub(super) fn report(self) -> ExitCode {
        tell_error(&self.message, self.hint.as_deref());
        self.status.into()
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        let is_refusal = error.chain().any(|cause| {
            matches!(
                cause.downcast_ref(),
                Some(StoreError::Open(_) | StoreError::Outdated { .. })
            )
        });
        let message = format!("{error:#}");
        match is_refusal {
            true => Failure::refused(message),
            false => Failure::failed(message),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        anyhow::Error::from(error).into()
    }
}

impl From<io::Error> for Failure {
    /// Read errors are reported where they happen; the rest are errors of writing to standard
    /// output.
    fn from(error: io::Error) -> Failure {
        Failure::failed(format_args!("cannot write the output: {error}"))
    }
}

/// Prints an error on standard error, with its hint on a line of its own.
pub(super) fn tell_error(message: impl Display, hint: Option<&str>) {
    tell("error", output::ERROR, &message.to_string(), hint);
}

/// Prints a warning on standard error.
pub(super) fn tell_warning(message: impl Display) {
    tell("warning", output::WARNING, &message.to_string(), None);
}

/// Prints a note on standard error that helps to understand the output.
pub(super) fn tell_note(message: impl Display) {
    tell("note", output::HINT, &message.to_string(), None);
}

fn tell(kind: &str, style: output::Style, message: &str, hint: Option<&str>) {
    let colours = output::colours(io::stderr().is_terminal());
    let mut text = format!("{}: {}\n", style.on(colours, kind), message);
    if let Some(hint) = hint {
        let label = output::HINT.on(colours, "hint");
        text.push_str(&format!("  {label}: {}\n", hint));
    }
    output::tell_people(&text);
}

/// Prints the diagnostics of a file on standard error, each with its position and its hint below.
pub(super) fn tell_diagnostics(diagnostics: &[Diagnostic]) {
    let colours = output::colours(io::stderr().is_terminal());
    let mut text = String::new();
    for one in diagnostics {
        let place = format!("{}:{}:{}", one.file, one.line, one.column);
        let place = output::BOLD.on(colours, &place);
        let kind = match one.severity {
            promoflow_document::Severity::Error => output::ERROR.on(colours, "error"),
            promoflow_document::Severity::Warning => output::WARNING.on(colours, "warning"),
        };
        text.push_str(&format!("{place}: {kind}: {}\n", one.message));
        if let Some(hint) = &one.hint {
            let label = output::HINT.on(colours, "hint");
            text.push_str(&format!("  {label}: {}\n", hint));
        }
    }
    output::tell_people(&text);
}

/// Formats a number with its noun: `1 code`, `2 codes`.
pub(super) fn count(number: impl Into<u64>, one: &str, many: &str) -> String {
    match number.into() {
        1 => format!("1 {one}"),
        number => format!("{number} {many}"),
    }
}
