//! What a person runs in this repository: `cargo xtask help` lists it.
#![forbid(unsafe_code)]

mod cargo;
#[cfg(test)]
mod features;
mod first_build;
mod fuzz;
mod lint;
mod load;
mod notices;
mod test_tools;
mod wasm_target;

use std::env;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

const HELP: &str = "\
Usage: cargo xtask COMMAND

  demo [ARGS…]            builds promoflow and runs `promoflow demo ARGS…`
  test [ARGS…]            runs every test; ARGS go to `cargo test`
  crash [--kills N] [--seed S]
                          kills processes of the real binary under load, 100 unless told, and
                          compares what they acknowledged with what is there
  crash --serve [--seconds N] [--kills N] [--connections N] [--seed S]
                          the same of the HTTP service: 32 connections send events for 60 seconds,
                          and it is killed ten times, unless told
  outbox [--deliveries N] [--seed S]
                          delivers through a mail server with faults, 100,000 unless told, and
                          compares what is stored with what the server noted
  load [--seconds N] [--connections N] [--events N] [--event TYPE]
                          sends events to the HTTP service by wrk, in rounds of 10 seconds by 64
                          connections until so many are accepted, and watches its memory; of the
                          type birthday, which starts a run, unless told
  build                   builds target/release/promoflow
  bench [GROUP…]          measures the figures beside what they are compared with, audits what
                          that leaves, writes target/bench/report.json, and fails where a goal is
                          missed; a group that is measured alone replaces its own figures there;
                          groups: durable latency blocks import start growth serve
  fuzz [--seconds N] [--fuzzer NAME] [--input FILE]
                          fuzzes what is read from outside, led by coverage, for a minute in all
                          unless told; or runs one with an input again; fuzzers: render escape json
                          (templates), csv upload-json documents events
                          smtp-replies component
  blocks [PATH…] [--out DIR]
                          makes components of the standard blocks, or of the block crates in
                          PATH…, in target/blocks or DIR, and prints size and imports
  lint                    rustfmt, clippy and rustdoc, with every warning an error; and whether
                          the notices are of the present dependencies
  notices [--check]       writes packaging/THIRD-PARTY-NOTICES.txt, the licences of all that is
                          compiled in

Each adds the Rust target for WebAssembly where it is missing. An exit status other than 0 is that
of the command that failed.";

fn main() -> ExitCode {
    let mut args = env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let Err(error) = run(&command, &rest) else {
        return ExitCode::SUCCESS;
    };
    eprintln!("xtask: {error:#}");
    let ended = error.downcast_ref::<cargo::Ended>();
    ExitCode::from(ended.map_or(1, |ended| ended.status))
}

fn run(command: &str, args: &[String]) -> Result<()> {
    match command {
        "demo" => demo(args),
        "test" => test(args),
        "crash" => crash(args),
        "outbox" => outbox(args),
        "build" => nothing_more(args).and_then(|()| build()),
        "bench" => bench(args),
        "load" => load::run(args),
        "fuzz" => fuzz::run(args),
        "blocks" => blocks(args),
        "lint" => nothing_more(args).and_then(|()| lint::run()),
        "notices" => notices::run(args),
        "help" | "--help" | "-h" => {
            println!("{HELP}");
            Ok(())
        }
        "" => bail!("which command?\n\n{HELP}"),
        unknown => bail!("there is no command {unknown}\n\n{HELP}"),
    }
}

fn nothing_more(args: &[String]) -> Result<()> {
    match args.first() {
        Some(more) => bail!("{more} is not understood here: this command takes nothing more"),
        None => Ok(()),
    }
}

/// Features are unified over the packages that a call names: naming the workspace in each of them
/// has what they share, wasmtime above all, compiled once.
const EVERYTHING: [&str; 2] = ["--release", "--workspace"];

fn build() -> Result<()> {
    compile("build", &["--bin", "promoflow"])
}

fn demo(args: &[String]) -> Result<()> {
    build()?;
    let promoflow = cargo::target_dir()?.join("release/promoflow");
    let mut demo = Command::new(promoflow);
    cargo::succeed(demo.arg("demo").args(args))
}

fn bench(groups: &[String]) -> Result<()> {
    // The profile of benchmarks is that of releases.
    let mut args = vec!["--bench", "figures", "--"];
    args.extend(groups.iter().map(String::as_str));
    compile("bench", &args)
}

fn crash(args: &[String]) -> Result<()> {
    let release = build_with("crash")?;
    let mut crash = Command::new(release.join("crash"));
    cargo::succeed(crash.arg(release.join("promoflow")).args(args))
}

fn outbox(args: &[String]) -> Result<()> {
    test_tools::ensure()?;
    let release = build_with("outbox")?;
    let mut outbox = Command::new(release.join("outbox"));
    cargo::succeed(outbox.arg(release.join("promoflow")).args(args))
}

fn blocks(args: &[String]) -> Result<()> {
    wasm_target::ensure()?;
    cargo::run("build", EVERYTHING, ["--bin", "xtask-blocks"])?;
    let target = cargo::target_dir()?;
    let mut blocks = Command::new(target.join("release/xtask-blocks"));
    blocks.arg(cargo::root().join("Cargo.toml")).arg(target);
    cargo::succeed(blocks.args(args))
}

/// Builds the product and one more program, and returns the folder of both.
fn build_with(name: &str) -> Result<PathBuf> {
    compile("build", &["--bin", "promoflow", "--bin", name])?;
    Ok(cargo::target_dir()?.join("release"))
}

/// Runs a cargo command over the whole workspace, with what it needs.
fn compile(command: &str, args: &[&str]) -> Result<()> {
    wasm_target::ensure()?;
    let everything = match command {
        "bench" => &EVERYTHING[1..],
        _ => &EVERYTHING[..],
    };
    first_build::run(cargo::command().arg(command).args(everything).args(args))
}

fn test(args: &[String]) -> Result<()> {
    wasm_target::ensure()?;
    test_tools::ensure()?;
    let chosen = |arg: &String| arg.starts_with("-p") || arg.starts_with("--package");
    let packages = match args.iter().take_while(|arg| *arg != "--").any(chosen) {
        true => &EVERYTHING[..1],
        false => &EVERYTHING[..],
    };
    first_build::run(cargo::command().arg("test").args(packages).args(args))
}
