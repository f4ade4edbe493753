//! The child process that compiles a component, and the parent's side of it.
//!
//! The parent starts a program with [`COMPILE_ARGUMENT`], writes the component to its standard
//! input, and reads errors from its standard error. The child sets its own resource limits before
//! it reads anything, so that no caller can forget them.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use wasmtime::Engine;

use super::compiler::{CompileError, CompileLimits, from_binary};
use super::component::MAX_COMPONENT_BYTES;
use super::sandbox;

/// The first argument of a program that should compile.
const COMPILE_ARGUMENT: &str = "__compile-block";
/// The exit status of a child that rejects the component; the error is on standard error.
const REJECTED: i32 = 3;
/// Printed by the child after a successful compilation: a program that does not know the argument
/// may also exit with 0.
const COMPILED: &str = "compiled";
/// Maximum number of bytes read from a child's standard error.
const MAX_ERROR_BYTES: u64 = 4_096;

/// Compiles a component and exits, if this process was started for that by a
/// [`Compiler`](super::Compiler); otherwise it does nothing. Call it in the first line of `main`.
pub fn compile_if_asked() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments
        .next()
        .is_none_or(|first| first != COMPILE_ARGUMENT)
    {
        return;
    }
    let status = match compile(arguments) {
        Ok(()) => {
            eprintln!("{COMPILED}");
            0
        }
        Err(error) => {
            eprintln!("{error}");
            REJECTED
        }
    };
    std::process::exit(status);
}

fn compile(mut arguments: impl Iterator<Item = OsString>) -> Result<(), String> {
    let mut number = || {
        let argument = arguments.next().unwrap_or_default();
        let parsed = argument.to_string_lossy().parse::<u64>();
        parsed.map_err(|_| "this argument is for internal use only".to_owned())
    };
    let (seconds, memory) = (number()?, number()?);
    let cache = arguments.next().map(PathBuf::from);
    limit_process(seconds, memory)
        .map_err(|error| format!("cannot limit the compiler process: {error}"))?;
    let mut config = sandbox::compiler_config();
    if let Some(folder) = cache {
        config.cache(sandbox::open_cache(Some(folder)));
    }
    let engine = Engine::new(&config).map_err(|error| format!("{error:#}"))?;
    let mut bytes = Vec::new();
    let most = MAX_COMPONENT_BYTES as u64;
    io::stdin()
        .lock()
        .take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    match from_binary(&engine, &bytes) {
        Ok(_) => Ok(()),
        Err(CompileError::Invalid(text)) => Err(text),
        Err(other) => Err(other.to_string()),
    }
}

/// Sets the resource limits of this process.
#[cfg(unix)]
fn limit_process(seconds: u64, memory: u64) -> nix::Result<()> {
    use nix::sys::resource::{Resource, setrlimit};

    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    setrlimit(Resource::RLIMIT_CPU, seconds, seconds + 1)?;
    // Adds the memory of the program itself, such as its code.
    let memory = memory.saturating_add(own_memory());
    match setrlimit(Resource::RLIMIT_AS, memory, memory) {
        // Some systems cannot limit memory; the time limit still applies.
        Err(_) if !cfg!(target_os = "linux") => Ok(()),
        other => other,
    }
}

#[cfg(not(unix))]
fn limit_process(_seconds: u64, _memory: u64) -> io::Result<()> {
    Ok(())
}

/// Returns the size of this process's address space in bytes.
#[cfg(unix)]
fn own_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let kilobytes = size.and_then(|size| size.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(256 << 10) << 10
}

/// Compiles a component in a child process with limits. The result is in the compilation cache.
pub(super) fn run(
    program: &Path,
    limits: CompileLimits,
    cache: Option<&Path>,
    bytes: &[u8],
) -> Result<(), CompileError> {
    let failed = |error: io::Error| {
        let program = program.display();
        CompileError::Failed(format!("the program {program} cannot be run: {error}"))
    };
    let mut command = Command::new(program);
    command
        .arg(COMPILE_ARGUMENT)
        .arg(seconds(limits.processor).to_string())
        .arg(limits.memory.to_string())
        .args(cache)
        .env_clear()
        // The allocator would reserve a gigabyte at once, which counts as used under the limit. In
        // KiB.
        .env("MIMALLOC_ARENA_RESERVE", "32768")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let (status, said, in_time) = thread::scope(|scope| {
        let stdin = child.stdin.take();
        scope.spawn(move || {
            if let Some(mut stdin) = stdin {
                // A child that exits early reports the reason on standard error.
                let _closed = stdin.write_all(bytes);
            }
        });
        let stderr = child.stderr.take();
        let (sender, receiver) = mpsc::channel();
        scope.spawn(move || {
            let mut said = Vec::new();
            if let Some(mut stderr) = stderr {
                let _cut = stderr.by_ref().take(MAX_ERROR_BYTES).read_to_end(&mut said);
                // The pipe closes when the child exits.
                let _rest = io::copy(&mut stderr, &mut io::sink());
            }
            let _nobody_waits = sender.send(said);
        });
        let said = receiver.recv_timeout(limits.time);
        let in_time = said.is_ok();
        if !in_time {
            let _has_ended = child.kill();
        }
        (wait(&mut child), said.unwrap_or_default(), in_time)
    });
    let status = status.map_err(failed)?;
    if !in_time {
        return Err(CompileError::Time(limits.time));
    }
    classify_exit(status, &String::from_utf8_lossy(&said), limits)
}

fn wait(child: &mut Child) -> io::Result<ExitStatus> {
    let waited = child.wait();
    if waited.is_err() {
        let _has_ended = child.kill();
    }
    waited
}

/// Rounds up to whole seconds, the unit of the system's limit.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// Converts the exit status of a child to a result.
fn classify_exit(
    status: ExitStatus,
    said: &str,
    limits: CompileLimits,
) -> Result<(), CompileError> {
    let said = super::boundary::sanitize(said.trim(), 500);
    // The system's error texts for a failed large allocation.
    let no_memory = said.contains("os error 12") || said.contains("annot allocate memory");
    match status.code() {
        Some(0) if said == COMPILED => Ok(()),
        Some(0) => Err(CompileError::Failed(
            "the compiler program did not compile the component: its `main` must begin with \
             `compile_if_asked`"
                .into(),
        )),
        Some(REJECTED) if no_memory => Err(CompileError::Memory(limits.memory)),
        Some(REJECTED) => Err(CompileError::Invalid(said)),
        Some(code) => Err(CompileError::Failed(format!(
            "its compiler ended with status {code}: {said}"
        ))),
        None => Err(killed_error(status, &said, limits)),
    }
}

#[cfg(unix)]
fn killed_error(status: ExitStatus, said: &str, limits: CompileLimits) -> CompileError {
    use std::os::unix::process::ExitStatusExt;

    use nix::sys::signal::Signal;

    let signal = status.signal().map(Signal::try_from);
    match signal {
        Some(Ok(Signal::SIGXCPU)) => CompileError::Time(limits.processor),
        // A failed allocation ends in SIGABRT, a failed stack growth in SIGSEGV or SIGBUS. SIGKILL
        // comes from the system when it is out of memory.
        Some(Ok(Signal::SIGABRT | Signal::SIGSEGV | Signal::SIGBUS | Signal::SIGKILL)) => {
            CompileError::Memory(limits.memory)
        }
        _ => CompileError::Failed(format!("its compiler was killed ({status}): {said}")),
    }
}

#[cfg(not(unix))]
fn killed_error(status: ExitStatus, said: &str, _limits: CompileLimits) -> CompileError {
    CompileError::Failed(format!("its compiler was killed ({status}): {said}"))
}
