//! The command line: `promoflow --help` lists what it can do.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
