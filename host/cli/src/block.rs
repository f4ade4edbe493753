//! `promoflow block`: the components that workflows place.

use std::path::Path;

use clap::Subcommand;
use promoflow_api_model::Block;
use promoflow_block_host::{BlockLibrary, Grants, LibraryBlock};
use promoflow_document::with_causes;
use promoflow_model::block::{Carries, Description, Kind, Value};

use super::args::IgnoredArgs;
use super::context::CliContext;
use super::error::{CliError, CommandResult, Status};
use super::output::{BOLD, Out, SUCCESS, sanitize, sanitize_line};
use super::table::Table;

/// Blocks: the WebAssembly components that workflows place.
#[derive(Subcommand)]
#[command(after_help = "Example:\n  promoflow block list --blocks my-blocks")]
pub(super) enum BlockCommand {
    /// List the blocks that workflows may place: the standard ones and those in --blocks.
    #[command(after_help = "Example:\n  promoflow block list --blocks my-blocks")]
    List,
    /// Show the parameters and ports of a block.
    #[command(after_help = "Examples:\n  promoflow block info get-promocode\n  \
                      promoflow block info my-blocks/lottery.wasm")]
    Info {
        /// The component's file, or the name of a block that workflows may place.
        file: String,
    },
    /// Check that a component is a block: load it and read its description.
    #[command(after_help = "Example:\n  promoflow block check my-blocks/lottery.wasm")]
    Check {
        /// The component's file.
        file: String,
    },
    /// Create a block: not part of this release yet.
    #[command(hide = true)]
    New(IgnoredArgs),
    /// Test a block: not part of this release yet.
    #[command(hide = true)]
    Test(IgnoredArgs),
}

impl BlockCommand {
    pub(super) fn run(self, context: &CliContext, out: &mut Out) -> CommandResult {
        match self {
            BlockCommand::List => list(&context.library()?, out),
            BlockCommand::Info { file } => {
                let mut library = BlockLibrary::default();
                let is_file = Path::new(&file).exists() && !Path::new(&file).is_dir();
                let name = match is_file {
                    true => load(context, &mut library, &file)?,
                    false => {
                        library = context.library()?;
                        file.clone()
                    }
                };
                let block = library.get(&name).ok_or_else(|| {
                    let why = library.missing_reason(&name);
                    let why = why.unwrap_or_else(|| format!("{file}: no such file or block"));
                    CliError::invalid_input(why)
                        .with_hint("run `promoflow block list` for the blocks")
                })?;
                info(block, out)
            }
            BlockCommand::Check { file } => {
                let mut library = BlockLibrary::default();
                let name = load(context, &mut library, &file)?;
                let block = library
                    .get(&name)
                    .ok_or_else(|| CliError::failed("block is missing"))?;
                if out.is_json() {
                    out.json(&Block::from(block))?;
                } else {
                    let good = out.style(SUCCESS, "valid block");
                    let version = &block.description.version;
                    let file = sanitize_line(&file);
                    out.line(format_args!("{file}: {good}, {name} {version}"))?;
                }
                Ok(Status::Success)
            }
            BlockCommand::New(_) => Err(CliError::unsupported("`promoflow block new`")),
            BlockCommand::Test(_) => Err(CliError::unsupported("`promoflow block test`")),
        }
    }
}

fn load(context: &CliContext, library: &mut BlockLibrary, file: &str) -> Result<String, CliError> {
    // A path that exists but is not a file, including a broken or circular link, is reported where
    // it is read.
    if std::fs::symlink_metadata(file).is_err() {
        return Err(CliError::invalid_input(format_args!(
            "{file}: no such file"
        )));
    }
    library
        .add_file(&context.sandboxes()?, file.as_ref(), &Grants::all())
        .map_err(|error| CliError::invalid_input(with_causes(&error)))
}

fn imports(block: &LibraryBlock) -> Vec<&'static str> {
    let imports = block.block.imports().iter();
    imports.map(|interface| interface.name()).collect()
}

fn list(library: &BlockLibrary, out: &mut Out) -> CommandResult {
    let mut table = Table::new(["BLOCK", "VERSION", "SHA-256", "IMPORTS", "TITLE"]);
    for (name, block) in library.iter() {
        if out.is_json() {
            out.json(&Block::from(block))?;
            continue;
        }
        let cells = [
            name.to_owned(),
            block.description.version.clone(),
            block.block.digest().chars().take(12).collect(),
            imports(block).join(", "),
            block.description.title.clone(),
        ];
        table.row(out, cells)?;
    }
    if !out.is_json() {
        table.finish(out, "No blocks.")?;
    }
    Ok(Status::Success)
}

fn info(block: &LibraryBlock, out: &mut Out) -> CommandResult {
    let described = &block.description;
    if out.is_json() {
        out.json(&Block::with_details(block))?;
        return Ok(Status::Success);
    }
    let title = out.style(BOLD, sanitize_line(&described.title));
    out.line(format_args!(
        "{title} ({} {})",
        described.name, described.version
    ))?;
    out.line(format_args!("{}", sanitize(&described.description)))?;
    out.line(format_args!("  sha-256  {}", block.block.digest()))?;
    out.line(format_args!("  imports  {}", imports(block).join(", ")))?;
    show_parameters(described, out)?;
    out.line(format_args!("\n{}", out.style(BOLD, "Ports")))?;
    for port in &described.ports {
        let follows = match port.follows {
            true => " By default the next step follows.",
            false => "",
        };
        out.line(format_args!(
            "  {}: {}{follows}",
            port.name,
            sanitize_line(&port.description)
        ))?;
    }
    Ok(Status::Success)
}

fn show_parameters(described: &Description, out: &mut Out) -> std::io::Result<()> {
    if described.parameters.is_empty() {
        return Ok(());
    }
    out.line(format_args!("\n{}", out.style(BOLD, "Parameters")))?;
    for parameter in &described.parameters {
        let need = match (&parameter.default, parameter.required) {
            (Some(default), _) => format!(", default {}", value(default)),
            (None, true) => ", required".to_owned(),
            (None, false) => String::new(),
        };
        let kind = kind(&parameter.kind);
        out.line(format_args!("  {}: {kind}{need}", parameter.name))?;
        if !parameter.description.is_empty() {
            out.line(format_args!(
                "      {}",
                sanitize_line(&parameter.description)
            ))?;
        }
    }
    Ok(())
}

fn value(value: &Value) -> String {
    match value {
        Value::Text(text) | Value::Json(text) => sanitize_line(text),
        Value::Integer(number) => number.to_string(),
        Value::Decimal(number) => number.to_string(),
        Value::Boolean(yes) => yes.to_string(),
    }
}

/// Describes the values of a parameter in words.
fn kind(kind: &Kind) -> String {
    match kind {
        Kind::Text {
            min_length,
            max_length,
        } => format!("text of {min_length} to {max_length} characters"),
        Kind::Integer { min, max } => format!("a whole number from {min} to {max}"),
        Kind::Decimal { min, max } => format!("a number from {min} to {max}"),
        Kind::Boolean => "true or false".into(),
        Kind::Duration => "a duration such as 15m, 12h or 30d".into(),
        Kind::Choice(alternatives) => {
            let names: Vec<String> = alternatives
                .iter()
                .map(|one| match one.carries {
                    Carries::Nothing => sanitize_line(&one.name),
                    Carries::Text => format!("{{ {}: text }}", sanitize_line(&one.name)),
                    Carries::Duration => format!("{{ {}: 30d }}", sanitize_line(&one.name)),
                })
                .collect();
            format!("one of {}", names.join(", "))
        }
        Kind::Message => "the id of a message".into(),
        Kind::Channel => "a channel".into(),
        Kind::Hours => "hours of the day, such as 09:00-21:00".into(),
        Kind::TimeZone => "a time zone such as Europe/Kyiv".into(),
        Kind::Any => "anything".into(),
    }
}
