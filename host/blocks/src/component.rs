//! A block: a compiled component, and calls into it.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use thiserror::Error;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker, TypedFunc};
use wasmtime::{Store, Trap};

use super::bindings::FullBlockPre;
use super::bindings::exports::promoflow::workflow::block as wit;
use super::boundary::{MAX_ERROR_CHARS, MAX_NAME_CHARS, read_error, read_outcome, sanitize};
use super::capability;
use super::capability::data::into_wit;
use super::compiler::{self, CompileError};
use super::describe::read_description;
use super::library::is_standard;
use super::no_host::NoHost;
use super::sandbox::{Bounds, Grants, Interface, SandboxPool, StepState};
use super::structure::{StructureError, check_structure};
use super::types::{Call, HostFunctions, Outcome, Resumption, StepError};
use promoflow_model::block::Description;

/// Maximum size of a component in bytes. JavaScript and Python components contain their engine and
/// have 12 to 18 MB; a larger one is a mistake or an attack on the compiler.
pub const MAX_COMPONENT_BYTES: usize = 32 << 20;

/// The reason why a component is not a valid block.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BlockError {
    /// The component is malformed, too large or too complex.
    #[error(transparent)]
    Structure(#[from] StructureError),
    /// The component could not be compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// It imports an interface that blocks cannot use.
    #[error(
        "it imports `{0}`, which blocks cannot have; expected only interfaces of \
         promoflow:workflow@1"
    )]
    ForeignImport(String),
    /// It imports an interface that was not granted.
    #[error("it imports `{0}`, which it was not granted")]
    NotGranted(String),
    /// It does not export the block interface.
    #[error("it does not export the interface `block` of promoflow:workflow@1: {0}")]
    NotABlock(String),
    /// `describe` failed.
    #[error("its `describe` failed: {0}")]
    Describe(String),
    /// `describe` returned an invalid description.
    #[error("its description is invalid: {0}")]
    Description(String),
}

/// A compiled block. [`link`](Block::link) makes it runnable on a host.
pub struct Block {
    digest: String,
    component: Component,
    imports: Vec<Interface>,
    sets_values: bool,
    sandboxes: Arc<SandboxPool>,
    /// Linked to no host, for `describe`.
    describing: InstancePre<StepState<NoHost>>,
    functions: Functions,
}

/// A block that runs on hosts of one type. Cheap to share; each call gets its own sandbox.
pub struct LinkedBlock<H: HostFunctions> {
    sandboxes: Arc<SandboxPool>,
    pre: InstancePre<StepState<H>>,
    run: ComponentExportIndex,
}

/// The exported functions, looked up once: the generated bindings would look up and check every
/// export for each sandbox.
struct Functions {
    describe: ComponentExportIndex,
    run: ComponentExportIndex,
}

/// The type of `describe` in the contract.
type Describe = TypedFunc<(), (wit::Description,)>;

/// The type of `run` in the contract.
type Run<'c> = TypedFunc<(&'c wit::Call,), (Result<wit::Outcome, wit::BlockError>,)>;

impl Block {
    /// Compiles a component, or loads it from the compilation cache.
    pub fn load(
        sandboxes: &Arc<SandboxPool>,
        bytes: &[u8],
        grants: &Grants,
    ) -> Result<Block, BlockError> {
        let digest = digest(bytes);
        let component = compile(sandboxes, &digest, bytes)?;
        let imports = imports_of(sandboxes, &component)?;
        if let Some(refused) = imports.iter().find(|interface| !grants.allow(**interface)) {
            return Err(BlockError::NotGranted(refused.name().to_owned()));
        }
        let pre = instance_pre(sandboxes, &component, &imports).map_err(not_a_block)?;
        let describing = FullBlockPre::new(pre).map_err(not_a_block)?;
        let functions = find_functions(&component, sandboxes)
            .ok_or_else(|| BlockError::NotABlock("`describe` or `run` is missing".into()))?;
        Ok(Block {
            digest,
            imports,
            sets_values: sets_values(sandboxes, &component),
            sandboxes: Arc::clone(sandboxes),
            component,
            describing: describing.instance_pre().clone(),
            functions,
        })
    }

    /// Returns the SHA-256 digest of the component, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Returns the host interfaces that it imports.
    pub fn imports(&self) -> &[Interface] {
        &self.imports
    }

    /// Returns true if it may set values of the run.
    pub fn sets_values(&self) -> bool {
        self.sets_values
    }

    /// Calls `describe`. Host functions are not available to it.
    pub fn describe(&self) -> Result<Description, BlockError> {
        let _permit = self.sandboxes.acquire();
        let bounds = Bounds {
            host_calls: 0,
            ..self.sandboxes.bounds
        };
        let mut store = self.sandboxes.store(NoHost, bounds);
        let described = self.call_describe(&mut store).map_err(|error| {
            BlockError::Describe(trap_text(&error, store.data().used.panic.as_deref()))
        })?;
        read_description(described).map_err(BlockError::Description)
    }

    fn call_describe(
        &self,
        store: &mut Store<StepState<NoHost>>,
    ) -> wasmtime::Result<wit::Description> {
        let instance = self.describing.instantiate(&mut *store)?;
        // Fails now if `run` has another type, instead of in the first step.
        let _run: Run<'_> = instance.get_typed_func(&mut *store, self.functions.run)?;
        let describe: Describe = instance.get_typed_func(&mut *store, self.functions.describe)?;
        let (described,) = describe.call(store, ())?;
        Ok(described)
    }

    /// Links the block to hosts of one type.
    pub fn link<H: HostFunctions>(&self) -> Result<LinkedBlock<H>, BlockError> {
        let pre = instance_pre(&self.sandboxes, &self.component, &self.imports);
        Ok(LinkedBlock {
            sandboxes: Arc::clone(&self.sandboxes),
            pre: pre.map_err(not_a_block)?,
            run: self.functions.run,
        })
    }
}

impl<H: HostFunctions> LinkedBlock<H> {
    /// Makes one call in a fresh sandbox. The host moves into the sandbox and comes back.
    pub fn run(&self, call: Call, host: H) -> (Result<Outcome, StepError>, H) {
        // Acquired first and released last: waiting for a permit takes no time of the call, and the
        // engine gets the sandbox back before the next caller asks for one.
        let permit = self.sandboxes.acquire();
        let mut store = self.sandboxes.store(host, self.sandboxes.bounds);
        let call = write_call(call);
        let called = self.call_run(&mut store, &call);
        let result = match called {
            Ok(Ok(outcome)) => read_outcome(outcome),
            Ok(Err(error)) => Err(read_error(error)),
            Err(error) => {
                let said = store.data().used.panic.as_deref();
                Err(StepError::Trapped(trap_text(&error, said)))
            }
        };
        let host = store.into_data().host;
        drop(permit);
        (result, host)
    }

    fn call_run(
        &self,
        store: &mut Store<StepState<H>>,
        call: &wit::Call,
    ) -> wasmtime::Result<Result<wit::Outcome, wit::BlockError>> {
        let instance = self.pre.instantiate(&mut *store)?;
        let run: Run<'_> = instance.get_typed_func(&mut *store, self.run)?;
        let (outcome,) = run.call(store, (call,))?;
        Ok(outcome)
    }
}

/// Compiles a component. Standard blocks need no structure check.
fn compile(sandboxes: &SandboxPool, digest: &str, bytes: &[u8]) -> Result<Component, BlockError> {
    if is_standard(bytes) {
        return Ok(compiler::from_binary(&sandboxes.engine, bytes)?);
    }
    check_structure(bytes)?;
    let component = sandboxes
        .component_cache
        .component(&sandboxes.engine, digest, bytes)?;
    Ok(component)
}

/// Finds the exported functions of the contract.
fn find_functions(component: &Component, sandboxes: &SandboxPool) -> Option<Functions> {
    let exports = component.component_type();
    let (interface, _) = exports
        .exports(&sandboxes.engine)
        .find(|(name, _)| name.starts_with("promoflow:workflow/block@1."))?;
    let block = component.get_export_index(None, interface)?;
    Some(Functions {
        describe: component.get_export_index(Some(&block), "describe")?,
        run: component.get_export_index(Some(&block), "run")?,
    })
}

/// Returns the SHA-256 digest in hexadecimal.
pub(super) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn imports_of(
    sandboxes: &SandboxPool,
    component: &Component,
) -> Result<Vec<Interface>, BlockError> {
    let mut imports = Vec::new();
    for (name, item) in component.component_type().imports(&sandboxes.engine) {
        // Interfaces that only provide types grant nothing.
        if let ComponentItem::ComponentInstance(instance) = &item.ty
            && instance
                .exports(&sandboxes.engine)
                .all(|(_, item)| matches!(item.ty, ComponentItem::Type(_)))
            && name.starts_with("promoflow:workflow/")
        {
            continue;
        }
        let interface = name.strip_prefix("promoflow:workflow/").and_then(|rest| {
            let (interface, version) = rest.split_once('@')?;
            version.starts_with("1.").then_some(interface)
        });
        match interface {
            Some(known) => match Interface::ALL.into_iter().find(|one| one.name() == known) {
                Some(interface) => imports.push(interface),
                None => {
                    return Err(BlockError::ForeignImport(sanitize(
                        name,
                        MAX_NAME_CHARS * 2,
                    )));
                }
            },
            None => {
                return Err(BlockError::ForeignImport(sanitize(
                    name,
                    MAX_NAME_CHARS * 2,
                )));
            }
        }
    }
    Ok(imports)
}

/// Returns true if a component imports the function that sets a value. One that only reads values
/// does not.
fn sets_values(sandboxes: &SandboxPool, component: &Component) -> bool {
    let of_data = format!("promoflow:workflow/{}@", Interface::Data.name());
    let imports = component.component_type();
    imports.imports(&sandboxes.engine).any(|(name, item)| {
        name.starts_with(&of_data)
            && match &item.ty {
                ComponentItem::ComponentInstance(data) => {
                    data.get_export(&sandboxes.engine, "set").is_some()
                }
                _ => false,
            }
    })
}

fn not_a_block(error: wasmtime::Error) -> BlockError {
    BlockError::NotABlock(sanitize(&format!("{error:#}"), MAX_ERROR_CHARS))
}

fn instance_pre<H: HostFunctions>(
    sandboxes: &SandboxPool,
    component: &Component,
    imports: &[Interface],
) -> wasmtime::Result<InstancePre<StepState<H>>> {
    let mut linker = Linker::new(&sandboxes.engine);
    for interface in imports {
        capability::link(&mut linker, *interface)?;
    }
    linker.instantiate_pre(component)
}

/// Describes a trap. `said` is the block's panic message, if it panicked.
fn trap_text(error: &wasmtime::Error, said: Option<&str>) -> String {
    let trap = error.downcast_ref::<Trap>();
    if let (None | Some(Trap::UnreachableCodeReached), Some(said)) = (trap, said) {
        return said.to_owned();
    }
    let text = match trap {
        Some(Trap::Interrupt) => "it exceeded the time limit of a step".to_owned(),
        Some(Trap::StackOverflow) => "it overflowed its stack".to_owned(),
        Some(Trap::UnreachableCodeReached) => "it aborted (a panic, or out of memory)".to_owned(),
        Some(trap) => trap.to_string(),
        None => format!("{:#}", error.root_cause()),
    };
    sanitize(&text, MAX_ERROR_CHARS)
}

fn write_call(call: Call) -> wit::Call {
    wit::Call {
        params: call
            .params
            .into_iter()
            .map(|(name, value)| wit::Entry {
                name,
                value: into_wit(value),
            })
            .collect(),
        resumed: call.resumed.map(|resumed| match resumed {
            Resumption::Code => wit::Resumption::Code,
            Resumption::Reply(value) => wit::Resumption::Reply(into_wit(value)),
            Resumption::GaveUp => wit::Resumption::GaveUp,
        }),
    }
}
