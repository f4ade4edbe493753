//! Compiling components: once for each, and in a child process with limits where one is set up.
//!
//! A compiler cannot be interrupted, and what it takes does not follow from what it is given.
//! So a component whose structure is sound is first compiled by a child process, which the system
//! stops at its limits. What the child made lies in the compilation cache then, where this process
//! finds it; and where there is no cache, compiling it again takes no more than the child took.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use thiserror::Error;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::compile_child;

/// How long a component that could not be compiled is refused without another attempt.
const REFUSED_FOR: Duration = Duration::from_secs(600);
/// Components that are remembered.
const MAX_REMEMBERED: usize = 1_000;
/// Folder in the cache that says what was compiled within the limits.
const COMPILED: &str = "promoflow-compiled";

/// What compiling one component may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileLimits {
    /// Processor time, rounded up to whole seconds.
    pub processor: Duration,
    /// Time on the clock. More than processor time, since the machine has other work.
    pub time: Duration,
    /// Bytes of memory.
    pub memory: u64,
}

impl Default for CompileLimits {
    /// Many times what the largest blocks take.
    fn default() -> CompileLimits {
        CompileLimits {
            processor: Duration::from_secs(10),
            time: Duration::from_secs(20),
            memory: 512 << 20,
        }
    }
}

/// How components are compiled.
#[derive(Clone, Debug, Default)]
pub struct Compiler {
    program: Option<PathBuf>,
    limits: CompileLimits,
}

impl Compiler {
    /// In this process. What compiling a component takes is bounded by its structure alone, which
    /// leaves room for minutes and gigabytes: for components of people who are trusted.
    pub fn in_process() -> Compiler {
        Compiler::default()
    }

    /// By child processes of that program, whose `main` begins with
    /// [`compile_if_asked`](super::compile_if_asked).
    pub fn program(program: impl Into<PathBuf>) -> Compiler {
        Compiler {
            program: Some(program.into()),
            limits: CompileLimits::default(),
        }
    }

    /// By child processes of the program that is running, whose `main` begins with
    /// [`compile_if_asked`](super::compile_if_asked).
    pub fn this_program() -> Compiler {
        match cfg!(target_os = "linux") {
            // The file that is running, even where another was put in its place.
            true => Compiler::program("/proc/self/exe"),
            // One that is not known cannot be run, which is said once it is to compile.
            false => Compiler::program(std::env::current_exe().unwrap_or_default()),
        }
    }

    /// What a child may take.
    #[must_use]
    pub fn limits(mut self, limits: CompileLimits) -> Compiler {
        self.limits = limits;
        self
    }
}

/// Why a component was not compiled.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CompileError {
    /// It took too long.
    #[error(
        "compiling it took more than {} s; a block of this size needs a fraction of that: make \
         its functions smaller", .0.as_secs_f32()
    )]
    Time(Duration),
    /// It took too much memory.
    #[error(
        "compiling it took more than {} MiB of memory; a block of this size needs a fraction of \
         that: make its functions smaller", .0 >> 20
    )]
    Memory(u64),
    /// It is not a component.
    #[error("not a WebAssembly component: {0}")]
    Invalid(String),
    /// The compiler itself failed.
    #[error("it could not be compiled: {0}")]
    Failed(String),
}

/// What became of a component; empty while nobody has compiled it.
type Slot = Arc<Mutex<Option<(Instant, Result<Component, CompileError>)>>>;

/// Compiles each component once, whoever asks for it and however many at the same time.
pub(super) struct Compiled {
    compiler: Compiler,
    /// The folder of the compilation cache.
    cache: Option<PathBuf>,
    slots: Mutex<HashMap<String, Slot>>,
    /// Held while a child runs: one at a time, so that the limits hold for all together.
    child: Mutex<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Compiled {
    pub(super) fn new(compiler: Compiler, cache: Option<PathBuf>) -> Compiled {
        Compiled {
            compiler,
            cache,
            slots: Mutex::default(),
            child: Mutex::default(),
        }
    }

    /// The compiled component of that digest. Its structure was checked.
    pub(super) fn component(
        &self,
        engine: &Engine,
        digest: &str,
        bytes: &[u8],
    ) -> Result<Component, CompileError> {
        let slot = self.slot(digest);
        // Whoever comes second waits here, and takes what the first has made.
        let mut slot = lock(&slot);
        if let Some((at, made)) = slot.as_ref()
            && (made.is_ok() || at.elapsed() < REFUSED_FOR)
        {
            return made.clone();
        }
        let made = self.compile(engine, digest, bytes);
        *slot = Some((Instant::now(), made.clone()));
        made
    }

    fn slot(&self, digest: &str) -> Slot {
        let mut slots = lock(&self.slots);
        if slots.len() >= MAX_REMEMBERED {
            // Those that somebody waits for are kept by them.
            slots.clear();
        }
        Arc::clone(slots.entry(digest.to_owned()).or_default())
    }

    fn compile(
        &self,
        engine: &Engine,
        digest: &str,
        bytes: &[u8],
    ) -> Result<Component, CompileError> {
        if let Some(program) = &self.compiler.program {
            let mark = self.mark(engine, digest);
            if !mark.as_ref().is_some_and(|mark| mark.exists()) {
                let _one_at_a_time = lock(&self.child);
                compile_child::run(program, self.compiler.limits, self.cache.as_deref(), bytes)?;
                if let Some(mark) = &mark {
                    put_mark(mark);
                }
            }
        }
        from_binary(engine, bytes)
    }

    /// The file that says that a component was compiled within the limits by this compiler.
    fn mark(&self, engine: &Engine, digest: &str) -> Option<PathBuf> {
        let folder = self.cache.as_ref()?.join(COMPILED);
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        self.compiler.limits.memory.hash(&mut hasher);
        self.compiler.limits.processor.hash(&mut hasher);
        Some(folder.join(format!("{digest}-{:016x}", hasher.finish())))
    }
}

/// Without the mark the component is compiled by a child again, and nothing else.
fn put_mark(mark: &Path) {
    let put = || {
        std::fs::create_dir_all(mark.parent().unwrap_or(mark))?;
        std::fs::write(mark, [])
    };
    if let Err(error) = put() {
        tracing::debug!("cannot note what was compiled: {error}");
    }
}

/// Compiles in this process, or takes it from the compilation cache.
pub(super) fn from_binary(engine: &Engine, bytes: &[u8]) -> Result<Component, CompileError> {
    Component::from_binary(engine, bytes)
        .map_err(|error| CompileError::Invalid(super::boundary::clean(&format!("{error:#}"), 500)))
}
