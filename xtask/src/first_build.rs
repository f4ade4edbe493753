//! Reports the expected time and the progress of the first build.

use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::cargo;

/// Processor time in minutes from nothing to the end of `cargo xtask demo`, measured on a cloud
/// machine with two cores in 2026. A current desktop machine takes half of it.
const PROCESSOR_MINUTES: u64 = 20;

/// Lower bound in minutes for any number of cores: wasmtime and then the own crates are
/// compiled when little else is left.
const MIN_MINUTES: u64 = 4;

/// Runs a cargo command. If nothing has been compiled yet, prints the expected time first, and the
/// elapsed time every minute: cargo prints nothing for minutes while it compiles the last, large
/// crates.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    if is_compiled(&cargo::target_dir()?) {
        return cargo::succeed(command);
    }
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let minutes = PROCESSOR_MINUTES.div_ceil(cores).max(MIN_MINUTES);
    eprintln!(
        "xtask: the first build compiles everything, about {minutes} minutes on {cores} cores; \
         later builds compile only changes"
    );
    let (end, ended) = mpsc::channel::<()>();
    let clock = thread::spawn(move || report(&ended, minutes));
    let result = cargo::succeed(command);
    drop(end);
    // The thread returns nothing.
    clock.join().ok();
    result
}

/// Returns true if the largest dependency, and so most of the rest, is compiled.
fn is_compiled(target: &Path) -> bool {
    let Ok(units) = target.join("release/.fingerprint").read_dir() else {
        return false;
    };
    units
        .flatten()
        .any(|unit| unit.file_name().to_string_lossy().starts_with("wasmtime-"))
}

/// Prints the elapsed time every minute until the sender is dropped.
fn report(ended: &mpsc::Receiver<()>, minutes: u64) {
    let begun = Instant::now();
    while ended.recv_timeout(Duration::from_secs(60)) == Err(mpsc::RecvTimeoutError::Timeout) {
        let so_far = begun.elapsed().as_secs() / 60;
        match minutes.checked_sub(so_far).filter(|left| *left > 0) {
            Some(left) => eprintln!("xtask: {so_far} min so far, about {left} more"),
            None => eprintln!("xtask: {so_far} min so far; this machine is slower than expected"),
        }
    }
}
