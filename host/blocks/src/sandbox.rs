//! The sandboxes: one engine, its bounds, and the clock that interrupts endless loops.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use wasmtime::component::Linker;
use wasmtime::{
    Cache, CacheConfig, Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
    StoreLimits, StoreLimitsBuilder,
};

use super::compiler::{Compiled, Compiler};
use super::host::StepHost;

/// How long a tick of the interrupting clock is. A step is stopped at most that much late.
const TICK: Duration = Duration::from_millis(10);
/// Sandboxes that exist at once; who wants one more waits. Twice as many as any host of ours has
/// workers, few enough that reserving their address space takes no time.
const SANDBOXES: u32 = 64;
/// Modules of a component, and their tables. There is room for that many in every sandbox, so that
/// none fails for what the others hold.
const MOST_PARTS: u32 = 8;
/// Just above the memory that a standard block starts with, so that a slot is wiped by writing
/// zeros. For so little that takes less time than to ask the kernel which pages were touched.
const KEPT_RESIDENT: usize = 256 * 1024;

/// What a step may use. Every bound is on one call of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How long a call may take, waiting for the host included.
    pub time: Duration,
    /// Bytes of linear memory.
    pub memory: usize,
    /// Elements of a table.
    pub table_elements: usize,
    /// Calls of host functions.
    pub host_calls: u32,
    /// Promo codes that a call may claim.
    pub claims: u32,
    /// Deliveries that a call may stage.
    pub deliveries: u32,
    /// Notes in the history; what is more is dropped and counted.
    pub notes: u32,
    /// Characters of a note; what is longer is cut.
    pub note_chars: usize,
    /// Bytes that cross from the block in one host call.
    pub call_bytes: usize,
}

impl Default for Bounds {
    /// Generous for a block that does its work, tight for one that does not.
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
    /// Notes in the history.
    Log,
}

impl Interface {
    /// All of them.
    pub const ALL: [Interface; 4] = [
        Interface::Data,
        Interface::Promocodes,
        Interface::Messages,
        Interface::Log,
    ];

    /// Its name in the contract.
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
    /// Every interface. What a block does not import it does not get in any case.
    pub fn all() -> Grants {
        Grants(Interface::ALL.to_vec())
    }

    /// These alone.
    pub fn only(interfaces: &[Interface]) -> Grants {
        Grants(interfaces.to_vec())
    }

    /// Whether it is among them.
    pub fn allow(&self, interface: Interface) -> bool {
        self.0.contains(&interface)
    }
}

/// Compiles components and gives them sandboxes. Cheap to share behind an [`Arc`].
pub struct Sandboxes {
    pub(super) engine: Engine,
    pub(super) bounds: Bounds,
    pub(super) compiled: Compiled,
    free: Slots,
}

impl Sandboxes {
    /// An engine with these bounds, which compiles in this process; `cache` is the folder that
    /// compiled code is kept in, `None` for the user's own cache folder. It must belong to the host
    /// alone: who can write there can run code in this process.
    pub fn new(bounds: Bounds, cache: Option<PathBuf>) -> wasmtime::Result<Arc<Sandboxes>> {
        Sandboxes::with_compiler(bounds, cache, Compiler::in_process())
    }

    /// The same with another way to compile components.
    pub fn with_compiler(
        bounds: Bounds,
        cache: Option<PathBuf>,
        compiler: Compiler,
    ) -> wasmtime::Result<Arc<Sandboxes>> {
        if let Some(folder) = &cache {
            super::cache::secure(folder).map_err(wasmtime::Error::msg)?;
        }
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(SANDBOXES)
            .total_core_instances(SANDBOXES * MOST_PARTS)
            .total_memories(SANDBOXES)
            .total_tables(SANDBOXES * MOST_PARTS)
            .max_memory_size(bounds.memory)
            .table_elements(bounds.table_elements)
            .max_memories_per_component(1)
            .max_core_instances_per_component(MOST_PARTS)
            .max_tables_per_component(MOST_PARTS)
            .max_unused_warm_slots(SANDBOXES)
            .linear_memory_keep_resident(KEPT_RESIDENT)
            .table_keep_resident(KEPT_RESIDENT);
        let cache = open_cache(cache);
        let folder = cache.as_ref().map(|cache| cache.directory().clone());
        let mut config = compiler_config();
        config
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
            .cache(cache);
        let engine = Engine::new(&config)?;
        let sandboxes = Arc::new(Sandboxes {
            engine,
            bounds,
            compiled: Compiled::new(compiler, folder),
            free: Slots::new(SANDBOXES as usize),
        });
        tick(Arc::downgrade(&sandboxes))?;
        Ok(sandboxes)
    }

    /// Makes this thread ready to call into sandboxes, so that its first call is as fast as the
    /// others.
    pub fn prepare_thread(&self) {
        Engine::tls_eager_initialize();
    }

    /// Waits until a sandbox is free.
    pub(super) fn slot(&self) -> Slot<'_> {
        self.free.take()
    }

    /// Ticks after which a call is interrupted.
    pub(super) fn deadline(&self) -> u64 {
        let ticks = self.bounds.time.as_millis() / TICK.as_millis();
        u64::try_from(ticks).unwrap_or(u64::MAX).max(1)
    }

    pub(super) fn linker(&self) -> Linker<StepState> {
        Linker::new(&self.engine)
    }
}

/// What decides how components are compiled. What is compiled with it in one process can be used in
/// another.
pub(super) fn compiler_config() -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config
}

/// Wasmtime's compilation cache, or none where there is no folder for it: compiling anew is
/// slower and nothing else.
pub(super) fn open_cache(folder: Option<PathBuf>) -> Option<Cache> {
    let mut config = CacheConfig::new();
    if let Some(folder) = folder {
        config.with_directory(folder);
    }
    match Cache::new(config) {
        Ok(cache) => Some(cache),
        Err(error) => {
            tracing::warn!("compiled blocks are not kept: {error:#}");
            None
        }
    }
}

/// Starts the thread that ticks until the sandboxes are gone.
fn tick(sandboxes: Weak<Sandboxes>) -> wasmtime::Result<()> {
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

/// How many sandboxes are free. The engine fails when all are taken; this waits.
struct Slots {
    counts: Mutex<Counts>,
    returned: Condvar,
}

struct Counts {
    free: usize,
    /// Who waits: waking nobody is a system call all the same.
    waiting: usize,
}

pub(super) struct Slot<'s>(&'s Slots);

impl Slots {
    fn new(count: usize) -> Slots {
        Slots {
            counts: Mutex::new(Counts {
                free: count,
                waiting: 0,
            }),
            returned: Condvar::new(),
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Slot<'_> {
        let mut counts = self.counts();
        while counts.free == 0 {
            counts.waiting += 1;
            counts = self
                .returned
                .wait(counts)
                .unwrap_or_else(PoisonError::into_inner);
            counts.waiting -= 1;
        }
        counts.free -= 1;
        Slot(self)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut counts = self.0.counts();
        counts.free += 1;
        if counts.waiting > 0 {
            self.0.returned.notify_one();
        }
    }
}

/// What a sandbox carries: the run that it works for, and what it has used.
pub(super) struct StepState {
    pub(super) host: Option<Box<dyn StepHost>>,
    pub(super) limits: StoreLimits,
    pub(super) bounds: Bounds,
    pub(super) used: Used,
}

/// What a call has used of its bounds.
#[derive(Default)]
pub(super) struct Used {
    pub(super) host_calls: u32,
    pub(super) claims: u32,
    pub(super) deliveries: u32,
    pub(super) notes: u32,
    /// What the block said when it panicked.
    pub(super) panic: Option<String>,
}

impl StepState {
    pub(super) fn new(host: Option<Box<dyn StepHost>>, bounds: Bounds) -> StepState {
        let limits = StoreLimitsBuilder::new()
            .memory_size(bounds.memory)
            .table_elements(bounds.table_elements)
            .instances(MOST_PARTS as usize)
            .memories(1)
            .tables(MOST_PARTS as usize)
            .build();
        StepState {
            host,
            limits,
            bounds,
            used: Used::default(),
        }
    }

    /// Counts a host call and gives the run; an error is a trap.
    pub(super) fn enter(&mut self) -> wasmtime::Result<&mut dyn StepHost> {
        self.used.host_calls += 1;
        if self.used.host_calls > self.bounds.host_calls {
            wasmtime::bail!("more than {} calls of the host", self.bounds.host_calls);
        }
        match &mut self.host {
            Some(host) => Ok(host.as_mut()),
            None => wasmtime::bail!("`describe` may not call the host"),
        }
    }
}
