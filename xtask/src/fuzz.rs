//! Fuzzes the template language, led by coverage, with the Rust that builds everything else.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::cargo;

/// The fuzzers, programs of `velocity/fuzz`.
const FUZZERS: [&str; 3] = ["render", "escape", "json"];

/// What makes stable Rust count the edges that a run takes, as libFuzzer wants it. A nightly one
/// is needed for sanitizers alone, which safe code gains little from.
const COVERAGE: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "--cfg=fuzzing",
];

/// What a fuzzer may take, beside what the targets themselves check: longer inputs find the same
/// more slowly, and a run of ten seconds or a gigabyte is one that does not end.
const BOUNDS: [&str; 3] = ["-max_len=4096", "-timeout=10", "-rss_limit_mb=1000"];

struct Asked {
    seconds: u64,
    fuzzer: Option<String>,
    /// One input, to be run again.
    input: Option<PathBuf>,
}

pub(crate) fn run(args: &[String]) -> Result<()> {
    let asked = Asked::read(args)?;
    let folder = cargo::target_dir()?.join("fuzz");
    let programs = build(&folder)?;
    let chosen = FUZZERS
        .into_iter()
        .filter(|name| asked.fuzzer.as_deref().is_none_or(|chosen| chosen == *name));
    let chosen: Vec<_> = chosen.collect();
    if let Some(input) = &asked.input {
        let [name] = chosen.as_slice() else {
            bail!(
                "--input wants --fuzzer as well: one of {}",
                FUZZERS.join(", ")
            );
        };
        return cargo::succeed(Command::new(programs.join(name)).arg(input));
    }
    let seconds = (asked.seconds / chosen.len() as u64).max(1);
    for name in chosen {
        let fuzzer = Fuzzer {
            name,
            program: programs.join(name),
            folder: &folder,
        };
        fuzzer.run(seconds)?;
    }
    Ok(())
}

impl Asked {
    fn read(args: &[String]) -> Result<Self> {
        let mut asked = Self {
            seconds: 60,
            fuzzer: None,
            input: None,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let value = || {
                args.clone()
                    .next()
                    .with_context(|| format!("{arg} wants a value"))
            };
            match arg.as_str() {
                "--seconds" => {
                    let text = value()?;
                    asked.seconds = text
                        .parse()
                        .with_context(|| format!("--seconds wants a whole number, not {text}"))?;
                }
                "--fuzzer" => {
                    let name = value()?;
                    ensure!(
                        FUZZERS.contains(&name.as_str()),
                        "there is no fuzzer {name}: there are {}",
                        FUZZERS.join(", ")
                    );
                    asked.fuzzer = Some(name.clone());
                }
                "--input" => asked.input = Some(fs::canonicalize(value()?)?),
                other => {
                    bail!("{other} is not understood: --seconds N, --fuzzer NAME, --input FILE")
                }
            }
            args.next();
        }
        Ok(asked)
    }
}

/// Builds the fuzzers with coverage, and answers where they are.
fn build(folder: &Path) -> Result<PathBuf> {
    let host = host()?;
    let mut build = cargo::command();
    build
        .args(["build", "--release", "--bins", "--manifest-path"])
        .arg(cargo::root().join("velocity/fuzz/Cargo.toml"))
        // Programs that run while others are built are left alone by flags for a target.
        .args(["--target", &host])
        .env("CARGO_TARGET_DIR", folder)
        .env("RUSTFLAGS", COVERAGE.join(" "));
    cargo::succeed(&mut build)
        .context("libFuzzer is compiled from its sources, which takes a C++ compiler")?;
    Ok(folder.join(host).join("release"))
}

/// The name of the machine that Rust compiles for.
fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output();
    let output = output.context("rustc can't be started")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host
        .context("rustc does not say what it compiles for")?
        .to_owned())
}

struct Fuzzer<'f> {
    name: &'static str,
    program: PathBuf,
    folder: &'f Path,
}

impl Fuzzer<'_> {
    /// Goes on from what earlier runs found worth keeping.
    fn run(&self, seconds: u64) -> Result<()> {
        let name = self.name;
        let corpus = self.folder.join("corpus").join(name);
        let found = self.folder.join("found").join(name);
        fs::create_dir_all(&corpus)?;
        fs::create_dir_all(&found)?;
        self.sow(&corpus)?;
        println!("{name}: {seconds} s");
        let log = self.folder.join(format!("{name}.log"));
        let words = cargo::root().join("velocity/tests/targets/velocity.dict");
        let mut fuzzer = Command::new(&self.program);
        fuzzer
            .arg(&corpus)
            .args(BOUNDS)
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-dict={}", words.display()))
            .arg(format!("-artifact_prefix={}/", found.display()))
            .arg("-print_final_stats=1")
            .stderr(File::create(&log)?);
        let ended = cargo::succeed(&mut fuzzer);
        // What it prints holds parts of inputs, which may be no text.
        let told = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        summary(&told).iter().for_each(|line| println!("  {line}"));
        ended.with_context(|| {
            format!(
                "{name} found something: {} tells what, and the input is in {}. Run it again \
                 with\n\n    cargo xtask fuzz --fuzzer {name} --input FILE",
                log.display(),
                found.display()
            )
        })
    }

    /// Puts the recorded cases into the corpus, in the form that the targets read.
    fn sow(&self, corpus: &Path) -> Result<()> {
        let cases = cargo::root().join("velocity/tests/cases.jsonl");
        let cases = fs::read_to_string(&cases).context("velocity/tests/cases.jsonl")?;
        let lines = cases.split('\n').filter(|line| !line.is_empty());
        for (number, line) in lines.enumerate() {
            let case: Value = serde_json::from_str(line)?;
            let mut values = match &case["context"] {
                Value::Object(context) => context.clone(),
                _ => serde_json::Map::new(),
            };
            values.insert("data".to_owned(), case["data"].clone());
            let values = json!(values).to_string();
            let seed = if self.name == "json" {
                values.into_bytes()
            } else {
                let template = case["template"].as_str().unwrap_or_default();
                // A zero ends the template, and a byte of options begins the values.
                let options = [0, (number % 8) as u8];
                [template.as_bytes(), &options, values.as_bytes()].concat()
            };
            fs::write(corpus.join(format!("case-{number}")), seed)?;
        }
        // Options that have the targets make calls of methods, of whatever bytes come.
        for options in 8..16 {
            let seed = [vec![0, options], (0..64).collect()].concat();
            fs::write(corpus.join(format!("calls-{options}")), seed)?;
        }
        Ok(())
    }
}

/// What a fuzzer's own words say in the end: how much it ran, and what of the program.
fn summary(told: &str) -> Vec<&str> {
    let of_interest = |line: &&str| {
        ["INFO: Loaded 1 modules", "Done ", "stat::", "SUMMARY"]
            .iter()
            .any(|start| line.starts_with(start))
            || line.contains("DONE")
            || line.contains("panicked at")
    };
    told.lines().filter(of_interest).collect()
}
