//! `promoflow licenses`: the licence texts of third-party software.

use clap::Args;

use super::error::{CommandResult, Status};
use super::output::Out;

/// Embedded, so that the texts ship with every copy of the program.
const NOTICES: &str = include_str!("../THIRD-PARTY-NOTICES.txt");

/// Show the licences of the third-party software in this program.
#[derive(Args)]
#[command(after_help = "Example:\n  promoflow licenses | less")]
pub(super) struct Licenses {}

impl Licenses {
    pub(super) fn run(&self, out: &mut Out) -> CommandResult {
        match out.is_json() {
            true => out.json(&serde_json::json!({ "notices": NOTICES }))?,
            false => out.bytes(NOTICES.as_bytes())?,
        }
        Ok(Status::Success)
    }
}
