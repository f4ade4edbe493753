//! Fuzzes the parsers of external input, guided by coverage, with the toolchain of the workspace.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};

use crate::cargo;

/// A package of fuzzers.
struct Package {
    name: &'static str,
    /// Its programs, one per fuzzer.
    fuzzers: &'static [&'static str],
}

/// Turns the fuzzers on, for linters.
pub(crate) const FEATURES: &str = "promoflow-fuzz/libfuzzer,promoflow-velocity-fuzz/libfuzzer";

/// The template language has a separate package, because it builds quickly.
const PACKAGES: [Package; 2] = [
    Package {
        name: "promoflow-velocity-fuzz",
        fuzzers: &["render", "escape", "json"],
    },
    Package {
        name: "promoflow-fuzz",
        fuzzers: &[
            "csv",
            "upload-json",
            "documents",
            "events",
            "smtp-replies",
            "component",
        ],
    },
];

/// Flags that make stable Rust count edges in libFuzzer's format. Only sanitizers would need a
/// nightly toolchain, and safe code gains little from them.
const COVERAGE: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
];

/// Limits of an input, besides the checks of the targets: longer inputs find the same errors more
/// slowly, and an execution of ten seconds or one gigabyte counts as a hang.
const BOUNDS: [&str; 3] = ["-max_len=4096", "-timeout=10", "-rss_limit_mb=1000"];

/// Options of the task.
#[derive(Args)]
pub(crate) struct Options {
    /// Time in seconds, divided among the fuzzers
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,
    /// Run only this fuzzer
    #[arg(long, value_name = "NAME", value_parser = names())]
    fuzzer: Option<String>,
    /// Run the fuzzer once, with the input in this file
    #[arg(long, value_name = "FILE", requires = "fuzzer")]
    input: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let folder = cargo::target_dir()?.join("fuzz");
    let is_chosen = |name: &&str| {
        options
            .fuzzer
            .as_deref()
            .is_none_or(|chosen| chosen == *name)
    };
    let mut chosen = Vec::new();
    for package in &PACKAGES {
        let names: Vec<_> = package.fuzzers.iter().copied().filter(is_chosen).collect();
        if names.is_empty() {
            continue;
        }
        let programs = build(package, &folder)?;
        chosen.extend(names.into_iter().map(|name| Fuzzer {
            name,
            program: programs.join(name),
            folder: &folder,
        }));
    }
    if let (Some(input), [fuzzer]) = (&options.input, chosen.as_slice()) {
        let input = fs::canonicalize(input).with_context(|| input.display().to_string())?;
        return cargo::succeed(Command::new(&fuzzer.program).arg(input));
    }
    let seconds = (options.seconds / chosen.len() as u64).max(1);
    chosen.iter().try_for_each(|fuzzer| fuzzer.run(seconds))
}

/// Returns the names of all fuzzers.
fn names() -> PossibleValuesParser {
    PACKAGES.iter().flat_map(|package| package.fuzzers).into()
}

/// Builds the fuzzers of a package with coverage and returns their folder.
fn build(package: &Package, folder: &Path) -> Result<PathBuf> {
    let host = host()?;
    let mut build = cargo::command();
    build
        .args([
            "build",
            "--profile",
            "fuzz",
            "--bins",
            "--features",
            "libfuzzer",
        ])
        .args(["-p", package.name])
        // With an explicit target, these flags do not affect build scripts and macros.
        .args(["--target", &host])
        .env("CARGO_TARGET_DIR", folder)
        .env("RUSTFLAGS", COVERAGE.join(" "));
    cargo::succeed(&mut build).context("cannot compile libFuzzer; it needs a C++ compiler")?;
    Ok(folder.join(host).join("fuzz"))
}

/// Returns the host triple of the compiler.
fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output();
    let output = output.context("cannot start rustc")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc prints no host triple")?.to_owned())
}

struct Fuzzer<'f> {
    name: &'static str,
    program: PathBuf,
    folder: &'f Path,
}

impl Fuzzer<'_> {
    /// Continues from the corpus of earlier runs.
    fn run(&self, seconds: u64) -> Result<()> {
        let name = self.name;
        let corpus = self.folder.join("corpus").join(name);
        let found = self.folder.join("found").join(name);
        fs::create_dir_all(&corpus)?;
        fs::create_dir_all(&found)?;
        self.seed_corpus(&corpus)?;
        println!("{name}: {seconds} s");
        let log = self.folder.join(format!("{name}.log"));
        let mut fuzzer = Command::new(&self.program);
        fuzzer
            .arg(&corpus)
            .args(BOUNDS)
            .arg(format!("-max_total_time={seconds}"))
            .args(
                self.dictionary()
                    .map(|path| format!("-dict={}", path.display())),
            )
            .arg(format!("-artifact_prefix={}/", found.display()))
            .arg("-print_final_stats=1")
            .stderr(File::create(&log)?);
        let ended = cargo::succeed(&mut fuzzer);
        // The log contains parts of inputs, which may not be text.
        let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        summary(&text).iter().for_each(|line| println!("  {line}"));
        ended.with_context(|| {
            format!(
                "{name} found an error: see {} and the input in {}. Run it again \
                 with\n\n    cargo xtask fuzz --fuzzer {name} --input FILE",
                log.display(),
                found.display()
            )
        })
    }

    /// Returns the dictionary of the fuzzed language, if there is one.
    fn dictionary(&self) -> Option<PathBuf> {
        let is_of_templates = PACKAGES[0].fuzzers.contains(&self.name) || self.name == "documents";
        is_of_templates.then(|| cargo::root().join("velocity/tests/targets/velocity.dict"))
    }

    /// Adds the seeds to the corpus.
    fn seed_corpus(&self, corpus: &Path) -> Result<()> {
        let seeds = cargo::root().join("host/fuzz/seeds").join(self.name);
        if !seeds.is_dir() {
            return self.seed_cases(corpus);
        }
        for seed in fs::read_dir(seeds)? {
            let seed = seed?;
            fs::copy(seed.path(), corpus.join(seed.file_name()))?;
        }
        Ok(())
    }

    /// Adds the recorded cases of the template language to the corpus, in the format of its
    /// targets.
    fn seed_cases(&self, corpus: &Path) -> Result<()> {
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
                // A zero byte ends the template, and a byte of options starts the values.
                let options = [0, (number % 8) as u8];
                [template.as_bytes(), &options, values.as_bytes()].concat()
            };
            fs::write(corpus.join(format!("case-{number}")), seed)?;
        }
        // Options that make the targets call methods with arbitrary bytes.
        for options in 8..16 {
            let seed = [vec![0, options], (0..64).collect()].concat();
            fs::write(corpus.join(format!("calls-{options}")), seed)?;
        }
        Ok(())
    }
}

/// Returns the interesting lines of a fuzzer's log: its statistics and its coverage.
fn summary(text: &str) -> Vec<&str> {
    let of_interest = |line: &&str| {
        ["INFO: Loaded 1 modules", "Done ", "stat::", "SUMMARY"]
            .iter()
            .any(|start| line.starts_with(start))
            || line.contains("DONE")
            || line.contains("panicked at")
    };
    text.lines().filter(of_interest).collect()
}
