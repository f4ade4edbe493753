//! Errors of commands, and the exit status of each.

use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use promoflow_document::{Diagnostic, with_causes};
use promoflow_server::ServeError;
use promoflow_store::StoreError;

use super::output;

/// The result of a command that has printed its output; each has an exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Status {
    /// The command succeeded: exit status 0.
    Success,
    /// The command failed: exit status 1.
    Failed,
    /// The input was invalid: exit status 2.
    InvalidInput,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> ExitCode {
        ExitCode::from(match status {
            Status::Success => 0,
            Status::Failed => 1,
            Status::InvalidInput => 2,
        })
    }
}

/// The result of a command.
pub(super) type CommandResult = Result<Status, CliError>;

/// The reason why a command ended early: what happened, and a hint what to do.
#[derive(Debug)]
pub(super) struct CliError {
    status: Status,
    message: String,
    hint: Option<String>,
}

impl CliError {
    /// Creates the error for invalid input: the command succeeds with other input.
    pub(super) fn invalid_input(message: impl Display) -> CliError {
        CliError {
            status: Status::InvalidInput,
            message: message.to_string(),
            hint: None,
        }
    }

    /// Creates the error for an operation that failed.
    pub(super) fn failed(message: impl Display) -> CliError {
        CliError {
            status: Status::Failed,
            message: message.to_string(),
            hint: None,
        }
    }

    /// Creates the error for a command of a later release.
    pub(super) fn unsupported(what: impl Display) -> CliError {
        CliError::invalid_input(format_args!("{what} is not supported yet"))
            .with_hint("run `promoflow --help` for the commands of this release")
    }

    /// Adds a hint.
    #[must_use]
    pub(super) fn with_hint(mut self, hint: impl Display) -> CliError {
        self.hint = Some(hint.to_string());
        self
    }

    /// Adds a hint if there is one.
    #[must_use]
    pub(super) fn with_optional_hint(mut self, hint: Option<String>) -> CliError {
        self.hint = hint.or(self.hint);
        self
    }

    /// Prints the error and returns the exit status.
    pub(super) fn report(self) -> ExitCode {
        print_error(&self.message, self.hint.as_deref());
        self.status.into()
    }
}

impl From<promoflow_installation::Error> for CliError {
    fn from(error: promoflow_installation::Error) -> CliError {
        match error {
            promoflow_installation::Error::Store(error) => error.into(),
            error => CliError::failed(error),
        }
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> CliError {
        match error {
            StoreError::Open(_) | StoreError::Outdated { .. } => CliError::invalid_input(error),
            error => CliError::failed(error),
        }
    }
}

impl From<ServeError> for CliError {
    fn from(error: ServeError) -> CliError {
        match error {
            ServeError::Installation(error) => error.into(),
            error => CliError::failed(with_causes(&error)),
        }
    }
}

impl From<io::Error> for CliError {
    /// Read errors are reported where they happen; the rest are errors of writing to standard
    /// output.
    fn from(error: io::Error) -> CliError {
        CliError::failed(format_args!("cannot write the output: {error}"))
    }
}

/// Prints an error on standard error, with its hint on a line of its own.
pub(super) fn print_error(message: impl Display, hint: Option<&str>) {
    print_labelled("error", output::ERROR, &message.to_string(), hint);
}

/// Prints a warning on standard error.
pub(super) fn print_warning(message: impl Display) {
    print_labelled("warning", output::WARNING, &message.to_string(), None);
}

/// Prints a note on standard error that helps to understand the output.
pub(super) fn print_note(message: impl Display) {
    print_labelled("note", output::HINT, &message.to_string(), None);
}

fn print_labelled(kind: &str, style: output::Style, message: &str, hint: Option<&str>) {
    let colours = output::colours(io::stderr().is_terminal());
    let mut text = format!("{}: {}\n", style.on(colours, kind), message);
    if let Some(hint) = hint {
        let label = output::HINT.on(colours, "hint");
        text.push_str(&format!("  {label}: {}\n", hint));
    }
    output::print_stderr(&text);
}

/// Prints the diagnostics of a file on standard error, each with its position and its hint below.
pub(super) fn print_diagnostics(diagnostics: &[Diagnostic]) {
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
    output::print_stderr(&text);
}

/// Formats a number with its noun: `1 code`, `2 codes`.
pub(super) fn count(number: impl Into<u64>, one: &str, many: &str) -> String {
    match number.into() {
        1 => format!("1 {one}"),
        number => format!("{number} {many}"),
    }
}
