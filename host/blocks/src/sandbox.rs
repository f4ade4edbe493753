//! The sandboxes: one engine with its limits, and the timer that interrupts endless loops.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use wasmtime::{
    Cache, CacheConfig, Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
    StoreLimits, StoreLimitsBuilder,
};

use super::SandboxError;
use super::compiler::{Compiler, ComponentCache};
use super::types::HostFunctions;

/// Limit of the data that one host call may copy out of a sandbox, in wasmtime's fuel.
const HOST_CALL_FUEL: usize = 4 << 20;
/// Interval of the interrupting timer. A step is stopped at most this much late.
const TICK: Duration = Duration::from_millis(10);
/// Maximum number of sandboxes at once; further callers wait. Twice the usual number of workers,
/// and few enough that reserving their address space takes no time.
const SANDBOXES: u32 = 64;
/// Maximum number of modules and of tables per component. Every sandbox has room for that many,
/// whatever the others use.
const MAX_MODULES: u32 = 8;
/// Just above the initial memory of a standard block, so that its slot is reset by writing zeros.
/// For so little memory that is faster than asking the kernel which pages are dirty.
const KEPT_RESIDENT: usize = 256 * 1024;

/// The limits of one call of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Maximum duration, including the time in host functions.
    pub time: Duration,
    /// Maximum linear memory in bytes.
    pub memory: usize,
    /// Maximum number of elements of a table.
    pub table_elements: usize,
    /// Maximum number of host calls.
    pub host_calls: u32,
    /// Maximum number of claims.
    pub claims: u32,
    /// Maximum number of staged deliveries.
    pub deliveries: u32,
    /// Maximum number of log entries; further ones are dropped.
    pub notes: u32,
    /// Maximum length of a log entry in characters; longer ones are cut.
    pub note_chars: usize,
    /// Maximum number of bytes that one host call passes out of the sandbox.
    pub call_bytes: usize,
}

impl Default for Bounds {
    /// Generous for a well-behaved block, tight for any other.
    fn default() -> Bounds {
        Bounds {
            time: Duration::from_secs(2),
            memory: 16 << 20,
            table_elements: 10_000,
            host_calls: 10_000,
            claims: 16,
            deliveries: 16,
            notes: 50,
            note_chars: 1_000,
            call_bytes: 1 << 20,
        }
    }
}

/// A host interface of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    /// The run's values.
    Data,
    /// Promo codes.
    Promocodes,
    /// Deliveries.
    Messages,
    /// Log entries in the run's history.
    Log,
}

impl Interface {
    /// All interfaces.
    pub const ALL: [Interface; 4] = [
        Interface::Data,
        Interface::Promocodes,
        Interface::Messages,
        Interface::Log,
    ];

    /// Returns its name in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Interface::Data => "data",
            Interface::Promocodes => "promocodes",
            Interface::Messages => "messages",
            Interface::Log => "log",
        }
    }
}

/// The host interfaces that a block may import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants(Vec<Interface>);

impl Grants {
    /// Grants every interface. A block still gets only those that it imports.
    pub fn all() -> Grants {
        Grants(Interface::ALL.to_vec())
    }

    /// Grants only these interfaces.
    pub fn only(interfaces: &[Interface]) -> Grants {
        Grants(interfaces.to_vec())
    }

    /// Returns true if the interface is granted.
    pub fn allow(&self, interface: Interface) -> bool {
        self.0.contains(&interface)
    }
}

/// Compiles components and provides their sandboxes. Cheap to share behind an [`Arc`].
pub struct SandboxPool {
    pub(super) engine: Engine,
    pub(super) bounds: Bounds,
    pub(super) component_cache: ComponentCache,
    available: Semaphore,
}

impl SandboxPool {
    /// Creates an engine with these limits that compiles in this process. `cache` is the folder for
    /// compiled code; `None` uses the user's cache folder. Only the host may write to it, because
    /// code from it runs in this process.
    pub fn new(bounds: Bounds, cache: Option<PathBuf>) -> Result<Arc<SandboxPool>, SandboxError> {
        SandboxPool::with_compiler(bounds, cache, Compiler::in_process())
    }

    /// Like [`new`](SandboxPool::new), with another [`Compiler`].
    pub fn with_compiler(
        bounds: Bounds,
        cache: Option<PathBuf>,
        compiler: Compiler,
    ) -> Result<Arc<SandboxPool>, SandboxError> {
        if let Some(folder) = &cache {
            super::cache::check_folder(folder).map_err(SandboxError::CacheFolder)?;
        }
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(SANDBOXES)
            .total_core_instances(SANDBOXES * MAX_MODULES)
            .total_memories(SANDBOXES)
            .total_tables(SANDBOXES * MAX_MODULES)
            .max_memory_size(bounds.memory)
            .table_elements(bounds.table_elements)
            .max_memories_per_component(1)
            .max_core_instances_per_component(MAX_MODULES)
            .max_tables_per_component(MAX_MODULES)
            .max_unused_warm_slots(SANDBOXES)
            .linear_memory_keep_resident(KEPT_RESIDENT)
            .table_keep_resident(KEPT_RESIDENT);
        let cache = open_cache(cache);
        let folder = cache.as_ref().map(|cache| cache.directory().clone());
        let mut config = compiler_config();
        config
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
            .cache(cache);
        let engine =
            Engine::new(&config).map_err(|error| SandboxError::Engine(format!("{error:#}")))?;
        let sandboxes = Arc::new(SandboxPool {
            engine,
            bounds,
            component_cache: ComponentCache::new(compiler, folder),
            available: Semaphore::new(SANDBOXES as usize),
        });
        tick(Arc::downgrade(&sandboxes)).map_err(SandboxError::Thread)?;
        Ok(sandboxes)
    }

    /// Prepares this thread for calls into sandboxes, so that its first call is as fast as the
    /// others.
    pub fn warm_up_thread(&self) {
        Engine::tls_eager_initialize();
    }

    /// Blocks until a sandbox is available.
    pub(super) fn acquire(&self) -> Permit<'_> {
        self.available.take()
    }

    /// Returns the number of ticks after which a call is interrupted.
    fn deadline(&self) -> u64 {
        let ticks = self.bounds.time.as_millis() / TICK.as_millis();
        u64::try_from(ticks).unwrap_or(u64::MAX).max(1)
    }

    /// Creates the store of a call: the memory of its sandbox, its host and its limits.
    pub(super) fn store<H: HostFunctions>(&self, host: H, bounds: Bounds) -> Store<StepState<H>> {
        let mut store = Store::new(&self.engine, StepState::new(host, bounds));
        store.limiter(|state| &mut state.limits);
        store.set_epoch_deadline(self.deadline());
        store.set_hostcall_fuel(HOST_CALL_FUEL.max(bounds.call_bytes));
        store
    }
}

/// Returns the settings that determine compiled code. Processes with the same settings can share
/// it.
pub(super) fn compiler_config() -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config
}

/// Opens wasmtime's compilation cache. Without a folder there is none, which is only slower.
pub(super) fn open_cache(folder: Option<PathBuf>) -> Option<Cache> {
    let mut config = CacheConfig::new();
    if let Some(folder) = folder {
        config.with_directory(folder);
    }
    match Cache::new(config) {
        Ok(cache) => Some(cache),
        Err(error) => {
            tracing::warn!("no cache for compiled blocks: {error:#}");
            None
        }
    }
}

/// Starts the timer thread, which ends with the sandboxes.
fn tick(sandboxes: Weak<SandboxPool>) -> io::Result<()> {
    thread::Builder::new()
        .name("block-ticks".into())
        .spawn(move || {
            while let Some(sandboxes) = sandboxes.upgrade() {
                sandboxes.engine.increment_epoch();
                drop(sandboxes);
                thread::sleep(TICK);
            }
        })?;
    Ok(())
}

/// A semaphore for sandboxes: the engine would fail if all are in use; this blocks.
struct Semaphore {
    counts: Mutex<Counts>,
    returned: Condvar,
}

struct Counts {
    available: usize,
    /// Number of waiting threads: a wake-up costs a system call even if none waits.
    waiting: usize,
}

pub(super) struct Permit<'s>(&'s Semaphore);

impl Semaphore {
    fn new(count: usize) -> Semaphore {
        Semaphore {
            counts: Mutex::new(Counts {
                available: count,
                waiting: 0,
            }),
            returned: Condvar::new(),
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Permit<'_> {
        let mut counts = self.counts();
        while counts.available == 0 {
            counts.waiting += 1;
            counts = self
                .returned
                .wait(counts)
                .unwrap_or_else(PoisonError::into_inner);
            counts.waiting -= 1;
        }
        counts.available -= 1;
        Permit(self)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut counts = self.0.counts();
        counts.available += 1;
        if counts.waiting > 0 {
            self.0.returned.notify_one();
        }
    }
}

/// The state of a sandbox: its host, its limits and their usage.
pub(super) struct StepState<H> {
    pub(super) host: H,
    pub(super) limits: StoreLimits,
    pub(super) bounds: Bounds,
    pub(super) used: Usage,
}

/// The resources that a call has used.
#[derive(Default)]
pub(super) struct Usage {
    pub(super) host_calls: u32,
    pub(super) claims: u32,
    pub(super) deliveries: u32,
    pub(super) notes: u32,
    /// The block's panic message.
    pub(super) panic: Option<String>,
}

impl<H: HostFunctions> StepState<H> {
    pub(super) fn new(host: H, bounds: Bounds) -> StepState<H> {
        let limits = StoreLimitsBuilder::new()
            .memory_size(bounds.memory)
            .table_elements(bounds.table_elements)
            .instances(MAX_MODULES as usize)
            .memories(1)
            .tables(MAX_MODULES as usize)
            .build();
        StepState {
            host,
            limits,
            bounds,
            used: Usage::default(),
        }
    }

    /// Counts a host call and returns the host. An error is a trap.
    pub(super) fn enter(&mut self) -> wasmtime::Result<&mut H> {
        if self.bounds.host_calls == 0 {
            wasmtime::bail!("`describe` must not call the host");
        }
        self.used.host_calls += 1;
        if self.used.host_calls > self.bounds.host_calls {
            wasmtime::bail!("more than {} host calls", self.bounds.host_calls);
        }
        Ok(&mut self.host)
    }
}
