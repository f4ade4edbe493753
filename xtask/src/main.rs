//! Development tasks of this repository. `cargo xtask --help` lists them.
#![forbid(unsafe_code)]

mod blocks;
mod cargo;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod features;
mod first_build;
mod fuzz;
mod lint;
mod load;
mod notices;
/// Shared as source: a dependency on `promoflow-tests` would compile the whole product before any
/// task starts.
#[path = "../../tests/src/options.rs"]
#[expect(unreachable_pub, reason = "the items are public in promoflow-tests")]
mod options;
mod packages;
mod test_tools;
mod wasm_target;

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};
use promoflow_test_postgres::Server;

use options::{CrashOptions, OutboxOptions};

/// Development tasks of this repository
///
/// Each task installs what it needs, such as Python servers for tests. If a program that a task runs
/// fails, the exit status is that of the program.
#[derive(Parser)]
#[command(name = "xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build promoflow and run `promoflow demo`
    Demo {
        /// Arguments of `promoflow demo`; `--postgres` alone starts a throw-away PostgreSQL for it
        args: Vec<OsString>,
    },
    /// Run all tests, or those that the arguments select
    Test {
        /// Arguments of `cargo test`
        args: Vec<OsString>,
    },
    /// Kill processes under load and compare what they acknowledged with what is stored
    Crash(CrashOptions),
    /// Deliver through a faulty mail server and compare the database with the server's log
    Outbox(OutboxOptions),
    /// Send events to the HTTP service with wrk, in rounds, and watch its memory
    Load(load::Options),
    /// Build target/release/promoflow
    Build,
    /// Run the benchmarks next to their baselines; fail if a goal is missed
    ///
    /// Prints a table, writes target/bench/report.json and audits the databases of the
    /// measurements. Groups that are measured alone replace their own figures in the report.
    Bench {
        /// Groups to measure: durable, latency, blocks, import, start, serve, smtp, growth,
        /// postgres, build
        /// [default: all but build, which compiles everything in a temporary folder]
        #[arg(value_name = "GROUP")]
        groups: Vec<String>,
    },
    /// Fuzz the parsers of external input, guided by coverage
    Fuzz(fuzz::Options),
    /// Build WebAssembly components from block crates; print their size and imports
    Blocks {
        /// Folders of block crates [default: the blocks whose components are checked in, which are
        /// replaced]
        paths: Vec<PathBuf>,
        /// Folder for the components [default: target/blocks]
        #[arg(long, value_name = "DIR", requires = "paths")]
        out: Option<PathBuf>,
    },
    /// Run rustfmt, clippy and rustdoc with warnings as errors, and check the licence notices, the
    /// checked-in components and the packages
    Lint,
    /// Write packaging/THIRD-PARTY-NOTICES.txt, the licences of everything compiled in
    Notices {
        /// Only check that the file is up to date
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    let Arguments { task } = Arguments::parse_from(pass_on_arguments(env::args_os().collect()));
    let Err(error) = run(&task) else {
        return ExitCode::SUCCESS;
    };
    eprintln!("xtask: {error:#}");
    let ended = error.downcast_ref::<cargo::Ended>();
    ExitCode::from(ended.map_or(1, |ended| ended.status))
}

fn run(task: &Task) -> Result<()> {
    match task {
        Task::Demo { args } => demo(args),
        Task::Test { args } => test(args),
        Task::Crash(options) => crash(options),
        Task::Outbox(options) => outbox(options),
        Task::Load(options) => load::run(options),
        Task::Build => build(),
        Task::Bench { groups } => bench(groups),
        Task::Fuzz(options) => fuzz::run(options),
        Task::Blocks { paths, .. } if paths.is_empty() => blocks::refresh(),
        Task::Blocks { paths, out } => blocks::build(paths, out.as_deref()),
        Task::Lint => lint::run(),
        Task::Notices { check: false } => notices::write_file(),
        Task::Notices { check: true } => notices::check_file(),
    }
}

/// Inserts `--` after `demo` and `test`, whose arguments belong to other programs: clap then passes
/// on options, and a `--` of the user's, unchanged.
fn pass_on_arguments(mut args: Vec<OsString>) -> Vec<OsString> {
    let passes_on = args
        .get(1)
        .is_some_and(|task| task == "demo" || task == "test");
    let is_help = args
        .get(2)
        .is_some_and(|arg| arg == "--help" || arg == "-h");
    if passes_on && !is_help {
        args.insert(2, "--".into());
    }
    args
}

/// Every cargo command names the whole workspace: cargo unifies features over the named packages,
/// so that shared dependencies, above all wasmtime, are compiled once.
const EVERYTHING: [&str; 2] = ["--release", "--workspace"];

fn build() -> Result<()> {
    compile("build", &["--bin", "promoflow"])
}

fn demo(args: &[OsString]) -> Result<()> {
    build()?;
    let promoflow = cargo::target_dir()?.join("release/promoflow");
    let mut demo = Command::new(promoflow);
    demo.arg("demo");
    let (postgres, args): (Vec<_>, Vec<_>) = args.iter().partition(|arg| *arg == "--postgres");
    if postgres.is_empty() {
        return cargo::succeed(demo.args(args));
    }
    test_tools::ensure_postgresql()?;
    let server = Server::start()?;
    let database = server.database();
    demo.arg("--postgres").arg(database.address());
    cargo::succeed(demo.args(args))
}

fn bench(groups: &[String]) -> Result<()> {
    if groups.is_empty() || groups.iter().any(|group| group == "smtp") {
        test_tools::ensure_postfix()?;
    }
    if groups.is_empty() || groups.iter().any(|group| group == "postgres") {
        test_tools::ensure_postgresql()?;
    }
    // `cargo bench` uses the release profile by itself.
    let mut args = vec!["--bench", "figures", "--"];
    args.extend(groups.iter().map(String::as_str));
    compile("bench", &args)
}

fn crash(options: &CrashOptions) -> Result<()> {
    if options.hosts.is_some() {
        test_tools::ensure_postgresql()?;
    }
    let release = build_with("crash")?;
    let mut crash = Command::new(release.join("crash"));
    cargo::succeed(crash.arg(release.join("promoflow")).args(options.to_args()))
}

fn outbox(options: &OutboxOptions) -> Result<()> {
    test_tools::ensure()?;
    let release = build_with("outbox")?;
    let mut outbox = Command::new(release.join("outbox"));
    cargo::succeed(
        outbox
            .arg(release.join("promoflow"))
            .args(options.to_args()),
    )
}

/// Builds `promoflow` and another program, and returns the folder of both.
fn build_with(name: &str) -> Result<PathBuf> {
    compile("build", &["--bin", "promoflow", "--bin", name])?;
    Ok(cargo::target_dir()?.join("release"))
}

/// Runs a cargo command over the whole workspace.
fn compile(command: &str, args: &[&str]) -> Result<()> {
    let everything = match command {
        "bench" => &EVERYTHING[1..],
        _ => &EVERYTHING[..],
    };
    first_build::run(cargo::command().arg(command).args(everything).args(args))
}

fn test(args: &[OsString]) -> Result<()> {
    test_tools::ensure()?;
    test_tools::ensure_postgresql()?;
    // Only tests of several hosts need it, which are selected by hand.
    if args.iter().any(|arg| arg == "--ignored") {
        test_tools::ensure_faketime()?;
    }
    if args.is_empty() && env::var_os("PROMOFLOW_TEST_ENGINE").is_some_and(|it| it == "postgres") {
        return test_on_postgres();
    }
    let selects = |arg: &OsString| {
        let arg = arg.to_string_lossy();
        arg.starts_with("-p") || arg.starts_with("--package")
    };
    let packages = match args.iter().take_while(|arg| *arg != "--").any(selects) {
        true => &EVERYTHING[..1],
        false => &EVERYTHING[..],
    };
    first_build::run(cargo::command().arg("test").args(packages).args(args))
}

/// The suites that run on every engine, with a database for each test.
const ENGINE_SUITES: [&str; 4] = [
    // Of the binary.
    "messages", "service", "session", // Of the library.
    "promises",
];

/// Runs the suites that run on every engine on PostgreSQL.
fn test_on_postgres() -> Result<()> {
    let mut suites = cargo::command();
    suites.arg("test").args(EVERYTHING);
    for suite in ENGINE_SUITES {
        suites.args(["--test", suite]);
    }
    suites.env("PROMOFLOW_TEST_ENGINE", "postgres");
    first_build::run(&mut suites)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Task {
        let args = line.split_whitespace().map(OsString::from).collect();
        Arguments::try_parse_from(pass_on_arguments(args))
            .unwrap()
            .task
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn arguments_of_test_and_demo_are_passed_on_unchanged() {
        for line in [
            "-p promoflow --test help -- --nocapture",
            "-- --ignored",
            "",
        ] {
            let Task::Test { args } = parse(&format!("xtask test {line}")) else {
                panic!("not the task test");
            };
            assert_eq!(args, line.split_whitespace().collect::<Vec<_>>());
        }
        let Task::Demo { args } = parse("xtask demo --dir shop") else {
            panic!("not the task demo");
        };
        assert_eq!(args, ["--dir", "shop"]);
    }

    #[test]
    fn options_of_crash_and_outbox_are_passed_on() {
        for line in [
            "--serve --seconds=5 --connections=3 --seed=1",
            "--hosts=3 --events=500 --kills=2",
            "--kills=7",
        ] {
            let Task::Crash(options) = parse(&format!("xtask crash {line}")) else {
                panic!("not the task crash");
            };
            assert_eq!(options.to_args().join(" "), line);
        }
        let Task::Outbox(options) = parse("xtask outbox --seed 4") else {
            panic!("not the task outbox");
        };
        assert_eq!(options.to_args(), ["--deliveries=100000", "--seed=4"]);
    }
}
