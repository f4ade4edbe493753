//! `promoflow licenses`: the notices of the software that this program is made with.

use clap::Args;

use super::failure::{Done, Status};
use super::output::Out;

/// They ship with the program, wherever that is copied to.
const NOTICES: &str = include_str!("../../../packaging/THIRD-PARTY-NOTICES.txt");

/// Show the licences of the software that this program is made with.
#[derive(Args)]
#[command(after_help = "Example:\n  promoflow licenses | less")]
pub(super) struct Licenses {}

impl Licenses {
    pub(super) fn run(&self, out: &mut Out) -> Done {
        match out.is_json() {
            true => out.json(&serde_json::json!({ "notices": NOTICES }))?,
            false => out.bytes(NOTICES.as_bytes())?,
        }
        Ok(Status::Done)
    }
}
