//! Compiles each component once, if configured in a child process with resource limits.
//!
//! A compiler cannot be interrupted, and its cost cannot be predicted from its input. So after the
//! structure check a component is first compiled by a child process, which the system kills at its
//! limits. This process then loads the result from the compilation cache. Without a cache it
//! compiles the component again, which takes no more than the child took.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use thiserror::Error;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::compile_child;

/// Time for which a component that failed to compile is rejected without another attempt.
const REJECTED_FOR: Duration = Duration::from_secs(600);
/// Maximum number of components in memory.
const MAX_REMEMBERED: usize = 1_000;
/// Subfolder of the cache that records which components were compiled within the limits.
const COMPILED: &str = "promoflow-compiled";

/// The resource limits for compiling one component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileLimits {
    /// Processor time, rounded up to whole seconds.
    pub processor: Duration,
    /// Wall-clock time. Longer than the processor time, because the machine has other work.
    pub time: Duration,
    /// Memory in bytes.
    pub memory: u64,
}

impl Default for CompileLimits {
    /// Many times the needs of the largest blocks.
    fn default() -> CompileLimits {
        CompileLimits {
            processor: Duration::from_secs(10),
            time: Duration::from_secs(20),
            memory: 512 << 20,
        }
    }
}

/// The method of compiling components.
#[derive(Clone, Debug, Default)]
pub struct Compiler {
    program: Option<PathBuf>,
    limits: CompileLimits,
}

impl Compiler {
    /// Compiles in this process. Only the structure check limits the cost, which can still reach
    /// minutes and gigabytes; use this for trusted components only.
    pub fn in_process() -> Compiler {
        Compiler::default()
    }

    /// Compiles in child processes of this program, whose `main` must start with
    /// [`compile_if_asked`](super::compile_if_asked).
    pub fn program(program: impl Into<PathBuf>) -> Compiler {
        Compiler {
            program: Some(program.into()),
            limits: CompileLimits::default(),
        }
    }

    /// Compiles in child processes of the running program, whose `main` must start with
    /// [`compile_if_asked`](super::compile_if_asked).
    pub fn this_program() -> Compiler {
        match cfg!(target_os = "linux") {
            // The running file, even if it was replaced on disk.
            true => Compiler::program("/proc/self/exe"),
            // An unknown path causes an error when a component is compiled.
            false => Compiler::program(std::env::current_exe().unwrap_or_default()),
        }
    }

    /// Sets the resource limits of a child process.
    #[must_use]
    pub fn limits(mut self, limits: CompileLimits) -> Compiler {
        self.limits = limits;
        self
    }
}

/// The reason why a component was not compiled.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CompileError {
    /// The compilation took too long.
    #[error(
        "compiling it took more than {} s; a block of this size needs a fraction of that: make \
         its functions smaller", .0.as_secs_f32()
    )]
    Time(Duration),
    /// The compilation took too much memory.
    #[error(
        "compiling it took more than {} MiB of memory; a block of this size needs a fraction of \
         that: make its functions smaller", .0 >> 20
    )]
    Memory(u64),
    /// The bytes are not a component.
    #[error("not a WebAssembly component: {0}")]
    Invalid(String),
    /// The compiler itself failed.
    #[error("compiling it failed: {0}")]
    Failed(String),
}

/// The result for a component; `None` until it is compiled.
type CompileSlot = Arc<Mutex<Option<(Instant, Result<Component, CompileError>)>>>;

/// Compiles each component once, even for concurrent callers.
pub(super) struct ComponentCache {
    compiler: Compiler,
    /// The folder of the compilation cache.
    cache: Option<PathBuf>,
    slots: Mutex<HashMap<String, CompileSlot>>,
    /// Locked while a child runs: one at a time, so that the limits hold in total.
    child: Mutex<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ComponentCache {
    pub(super) fn new(compiler: Compiler, cache: Option<PathBuf>) -> ComponentCache {
        ComponentCache {
            compiler,
            cache,
            slots: Mutex::default(),
            child: Mutex::default(),
        }
    }

    /// Returns the compiled component with this digest. The caller has checked its structure.
    pub(super) fn component(
        &self,
        engine: &Engine,
        digest: &str,
        bytes: &[u8],
    ) -> Result<Component, CompileError> {
        let slot = self.slot(digest);
        // A second caller waits here for the first one's result.
        let mut slot = lock(&slot);
        if let Some((at, made)) = slot.as_ref()
            && (made.is_ok() || at.elapsed() < REJECTED_FOR)
        {
            return made.clone();
        }
        let made = self.compile(engine, digest, bytes);
        *slot = Some((Instant::now(), made.clone()));
        made
    }

    fn slot(&self, digest: &str) -> CompileSlot {
        let mut slots = lock(&self.slots);
        if slots.len() >= MAX_REMEMBERED {
            // Slots in use are kept alive by their callers.
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
                    write_mark(mark);
                }
            }
        }
        from_binary(engine, bytes)
    }

    /// Returns the file that records that this compiler compiled the component within the limits.
    fn mark(&self, engine: &Engine, digest: &str) -> Option<PathBuf> {
        let folder = self.cache.as_ref()?.join(COMPILED);
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        self.compiler.limits.memory.hash(&mut hasher);
        self.compiler.limits.processor.hash(&mut hasher);
        Some(folder.join(format!("{digest}-{:016x}", hasher.finish())))
    }
}

/// Records a compilation. Without the record, a child compiles the component again.
fn write_mark(mark: &Path) {
    let put = || {
        std::fs::create_dir_all(mark.parent().unwrap_or(mark))?;
        std::fs::write(mark, [])
    };
    if let Err(error) = put() {
        tracing::debug!("cannot record the compilation: {error}");
    }
}

/// Compiles in this process, or loads the result from the compilation cache.
pub(super) fn from_binary(engine: &Engine, bytes: &[u8]) -> Result<Component, CompileError> {
    Component::from_binary(engine, bytes).map_err(|error| {
        CompileError::Invalid(super::boundary::sanitize(&format!("{error:#}"), 500))
    })
}
