//! Fuzzes what is read from outside, led by coverage, with the Rust that builds everything else.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::cargo;

/// A package of fuzzers.
struct Package {
    manifest: &'static str,
    /// Its programs, one a fuzzer.
    fuzzers: &'static [&'static str],
}

/// The template language has its own, which are built in a moment.
const PACKAGES: [Package; 2] = [
    Package {
        manifest: "velocity/fuzz/Cargo.toml",
        fuzzers: &["render", "escape", "json"],
    },
    Package {
        manifest: "host/fuzz/Cargo.toml",
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
    let is_chosen = |name: &&str| asked.fuzzer.as_deref().is_none_or(|chosen| chosen == *name);
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
    if let Some(input) = &asked.input {
        let [fuzzer] = chosen.as_slice() else {
            bail!("--input wants --fuzzer as well: one of {}", names());
        };
        return cargo::succeed(Command::new(&fuzzer.program).arg(input));
    }
    let seconds = (asked.seconds / chosen.len() as u64).max(1);
    chosen.iter().try_for_each(|fuzzer| fuzzer.run(seconds))
}

/// The names of all fuzzers, for messages.
fn names() -> String {
    PACKAGES
        .map(|package| package.fuzzers.join(", "))
        .join(", ")
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
                    let mut fuzzers = PACKAGES.iter().flat_map(|package| package.fuzzers);
                    ensure!(
                        fuzzers.any(|fuzzer| fuzzer == name),
                        "there is no fuzzer {name}: there are {}",
                        names()
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

/// Builds the fuzzers of a package with coverage, and answers where they are.
fn build(package: &Package, folder: &Path) -> Result<PathBuf> {
    let host = host()?;
    let mut build = cargo::command();
    build
        .args(["build", "--release", "--bins", "--manifest-path"])
        .arg(cargo::root().join(package.manifest))
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
        let mut fuzzer = Command::new(&self.program);
        fuzzer
            .arg(&corpus)
            .args(BOUNDS)
            .arg(format!("-max_total_time={seconds}"))
            .args(
                self.words()
                    .map(|words| format!("-dict={}", words.display())),
            )
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

    /// The words of the language that it is about, where there is a list.
    fn words(&self) -> Option<PathBuf> {
        let is_of_templates = PACKAGES[0].fuzzers.contains(&self.name) || self.name == "documents";
        is_of_templates.then(|| cargo::root().join("velocity/tests/targets/velocity.dict"))
    }

    /// Puts what it begins with into the corpus.
    fn sow(&self, corpus: &Path) -> Result<()> {
        let seeds = cargo::root().join("host/fuzz/seeds").join(self.name);
        if !seeds.is_dir() {
            return self.sow_cases(corpus);
        }
        for seed in fs::read_dir(seeds)? {
            let seed = seed?;
            fs::copy(seed.path(), corpus.join(seed.file_name()))?;
        }
        Ok(())
    }

    /// Puts the recorded cases of the template language into the corpus, in the form that its
    /// targets read.
    fn sow_cases(&self, corpus: &Path) -> Result<()> {
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
