//! A block: a compiled component, and calls into it.

use std::collections::HashSet;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use thiserror::Error;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, TypedFunc};
use wasmtime::{Store, Trap};

use super::bindings::FullBlockPre;
use super::bindings::exports::promoflow::workflow::block as wit;
use super::capability::data::{from_wit, into_wit};
use super::capability::log::tame;
use super::capability::{self, promocodes::read_selector};
use super::description::{Alternative, Carries, Description, Kind, Parameter, Port};
use super::host::{Call, Outcome, Resumption, StepError, StepHost};
use super::sandbox::{Grants, Interface, Sandboxes, StepState};
use crate::clock::Timestamp;

/// The largest component that is loaded, in bytes. JavaScript and Python bring their engine and
/// have 12 to 18 MB; more is a mistake or an attack on the compiler.
pub const MAX_COMPONENT_BYTES: usize = 32 << 20;

/// Characters of an error that a block gives.
const MAX_ERROR_CHARS: usize = 2_000;
/// How much a single host call may lift out of a sandbox, in wasmtime's own measure of work.
const HOST_CALL_FUEL: usize = 4 << 20;

/// Why a component is no block. Read by whoever put it there.
#[derive(Debug, Error)]
pub enum BlockError {
    /// Too large.
    #[error("the component has {found} bytes; at most {MAX_COMPONENT_BYTES} are loaded")]
    TooLarge {
        /// Its size in bytes.
        found: usize,
    },
    /// Not a component, or damaged.
    #[error("not a WebAssembly component: {0}")]
    NotAComponent(String),
    /// It imports something that blocks cannot have.
    #[error(
        "it imports `{0}`, which blocks cannot have; expected only interfaces of \
         promoflow:workflow@1"
    )]
    ForeignImport(String),
    /// It imports something that it was not granted.
    #[error("it imports `{0}`, which it was not granted")]
    NotGranted(String),
    /// It does not export what a block exports.
    #[error("it does not export the interface `block` of promoflow:workflow@1: {0}")]
    NotABlock(String),
    /// `describe` failed.
    #[error("its `describe` failed: {0}")]
    Describe(String),
    /// `describe` answered something that cannot be.
    #[error("its description is wrong: {0}")]
    Description(String),
}

/// A compiled block. Cheap to share; each call gets a sandbox of its own.
pub struct Block {
    digest: String,
    imports: Vec<Interface>,
    sets_values: bool,
    sandboxes: Arc<Sandboxes>,
    pre: FullBlockPre<StepState>,
    /// The exported function `run`. Found once: what is made from the contract looks up and checks
    /// every export for each sandbox.
    run: ComponentExportIndex,
}

/// `run` as the contract has it.
type Run<'c> = TypedFunc<(&'c wit::Call,), (Result<wit::Outcome, wit::BlockError>,)>;

impl Block {
    /// Compiles a component, or takes it from the compilation cache.
    pub fn load(
        sandboxes: &Arc<Sandboxes>,
        bytes: &[u8],
        grants: &Grants,
    ) -> Result<Block, BlockError> {
        if bytes.len() > MAX_COMPONENT_BYTES {
            return Err(BlockError::TooLarge { found: bytes.len() });
        }
        let component = Component::from_binary(&sandboxes.engine, bytes)
            .map_err(|error| BlockError::NotAComponent(format!("{error:#}")))?;
        let imports = imports_of(sandboxes, &component)?;
        if let Some(refused) = imports.iter().find(|interface| !grants.allow(**interface)) {
            return Err(BlockError::NotGranted(refused.name().to_owned()));
        }
        let not_a_block = |error: wasmtime::Error| BlockError::NotABlock(format!("{error:#}"));
        let pre = instance_pre(sandboxes, &component, &imports).map_err(not_a_block)?;
        let pre = FullBlockPre::new(pre).map_err(not_a_block)?;
        let run = find_run(&component, sandboxes)
            .ok_or_else(|| BlockError::NotABlock("it has no function `run`".into()))?;
        Ok(Block {
            digest: digest(bytes),
            imports,
            sets_values: sets_values(sandboxes, &component),
            sandboxes: Arc::clone(sandboxes),
            pre,
            run,
        })
    }

    /// SHA-256 of the component, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The host interfaces that it uses.
    pub fn imports(&self) -> &[Interface] {
        &self.imports
    }

    /// Whether it may set values of the run.
    pub fn sets_values(&self) -> bool {
        self.sets_values
    }

    /// Asks the block what it is. Its imports are out of reach meanwhile.
    pub fn describe(&self) -> Result<Description, BlockError> {
        let _slot = self.sandboxes.slot();
        let mut store = self.store(None);
        let described = self
            .pre
            .instantiate(&mut store)
            .and_then(|block| block.promoflow_workflow_block().call_describe(&mut store))
            .map_err(|error| BlockError::Describe(trap_text(&error)))?;
        let description = read_description(described);
        check_description(&description).map_err(BlockError::Description)?;
        Ok(description)
    }

    /// Makes one call in a fresh sandbox. The host comes back whatever happened.
    pub fn run(
        &self,
        call: Call,
        host: Box<dyn StepHost>,
    ) -> (Result<Outcome, StepError>, Box<dyn StepHost>) {
        // The slot comes first and goes last: waiting for it takes none of the call's time, and the
        // engine has the sandbox back before anybody else asks it for one.
        let slot = self.sandboxes.slot();
        let mut store = self.store(Some(host));
        let call = write_call(call);
        let called = self.call_run(&mut store, &call);
        let result = match called {
            Ok(Ok(outcome)) => read_outcome(outcome),
            Ok(Err(error)) => Err(read_error(error)),
            Err(error) => Err(StepError::Trapped(trap_text(&error))),
        };
        let host = store.into_data().host;
        drop(slot);
        match host {
            Some(host) => (result, host),
            // `run` put it there, and nothing takes it out.
            None => unreachable!("a sandbox lost the host that it was lent"),
        }
    }

    fn call_run(
        &self,
        store: &mut Store<StepState>,
        call: &wit::Call,
    ) -> wasmtime::Result<Result<wit::Outcome, wit::BlockError>> {
        let instance = self.pre.instance_pre().instantiate(&mut *store)?;
        let run: Run<'_> = instance.get_typed_func(&mut *store, self.run)?;
        let (outcome,) = run.call(store, (call,))?;
        Ok(outcome)
    }

    fn store(&self, host: Option<Box<dyn StepHost>>) -> Store<StepState> {
        let state = StepState::new(host, self.sandboxes.bounds);
        let mut store = Store::new(&self.sandboxes.engine, state);
        store.limiter(|state| &mut state.limits);
        store.set_epoch_deadline(self.sandboxes.deadline());
        store.set_hostcall_fuel(HOST_CALL_FUEL.max(self.sandboxes.bounds.call_bytes));
        store
    }
}

/// Where a component exports `run`.
fn find_run(component: &Component, sandboxes: &Sandboxes) -> Option<ComponentExportIndex> {
    let exports = component.component_type();
    let (interface, _) = exports
        .exports(&sandboxes.engine)
        .find(|(name, _)| name.starts_with("promoflow:workflow/block@1."))?;
    let block = component.get_export_index(None, interface)?;
    component.get_export_index(Some(&block), "run")
}

/// SHA-256 in hexadecimal.
pub(super) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn imports_of(sandboxes: &Sandboxes, component: &Component) -> Result<Vec<Interface>, BlockError> {
    let mut imports = Vec::new();
    for (name, item) in component.component_type().imports(&sandboxes.engine) {
        // Types of an interface are imported where another one uses them; they grant nothing.
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
                None => return Err(BlockError::ForeignImport(name.to_owned())),
            },
            None => return Err(BlockError::ForeignImport(name.to_owned())),
        }
    }
    Ok(imports)
}

/// Whether a component imports the function that sets a value: one that only reads them does not.
fn sets_values(sandboxes: &Sandboxes, component: &Component) -> bool {
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

fn instance_pre(
    sandboxes: &Sandboxes,
    component: &Component,
    imports: &[Interface],
) -> wasmtime::Result<InstancePre<StepState>> {
    let mut linker = sandboxes.linker();
    for interface in imports {
        capability::link(&mut linker, *interface)?;
    }
    linker.instantiate_pre(component)
}

fn trap_text(error: &wasmtime::Error) -> String {
    let text = match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => "it took longer than a step may".to_owned(),
        Some(Trap::StackOverflow) => "it went too deep: its stack is full".to_owned(),
        Some(Trap::UnreachableCodeReached) => "it gave up (a panic, or memory ran out)".to_owned(),
        Some(trap) => trap.to_string(),
        None => format!("{:#}", error.root_cause()),
    };
    tame(&text, MAX_ERROR_CHARS)
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

fn read_outcome(outcome: wit::Outcome) -> Result<Outcome, StepError> {
    Ok(match outcome {
        wit::Outcome::Port(port) => Outcome::Port(port),
        wit::Outcome::WaitUntil(timer) => Outcome::WaitUntil {
            until: Timestamp(timer.until),
            port: timer.port,
        },
        wit::Outcome::WaitForCode(wait) => Outcome::WaitForCode {
            selector: read_selector(&wait.selector).map_err(StepError::Invalid)?,
            give_up: wait.give_up.map(Timestamp),
        },
        wit::Outcome::WaitForReply(wait) => Outcome::WaitForReply {
            request: wait.request,
            give_up: wait.give_up.map(Timestamp),
        },
    })
}

fn read_error(error: wit::BlockError) -> StepError {
    match error {
        wit::BlockError::Invalid(text) => StepError::Invalid(tame(&text, MAX_ERROR_CHARS)),
        wit::BlockError::Rejected(text) => StepError::Rejected(tame(&text, MAX_ERROR_CHARS)),
        wit::BlockError::Unavailable(text) => StepError::Unavailable(tame(&text, MAX_ERROR_CHARS)),
    }
}

fn read_description(description: wit::Description) -> Description {
    Description {
        name: description.name,
        version: description.version,
        title: description.title,
        description: description.description,
        parameters: description
            .parameters
            .into_iter()
            .map(read_parameter)
            .collect(),
        ports: description
            .ports
            .into_iter()
            .map(|port| Port {
                name: port.name,
                title: port.title,
                description: port.description,
                follows: port.follows,
            })
            .collect(),
    }
}

fn read_parameter(parameter: wit::Parameter) -> Parameter {
    let kind = match parameter.kind {
        wit::Kind::Text(bounds) => Kind::Text {
            min_length: bounds.min_length,
            max_length: bounds.max_length,
        },
        wit::Kind::Integer(bounds) => Kind::Integer {
            min: bounds.min,
            max: bounds.max,
        },
        wit::Kind::Decimal(bounds) => Kind::Decimal {
            min: bounds.min,
            max: bounds.max,
        },
        wit::Kind::Boolean => Kind::Boolean,
        wit::Kind::Duration => Kind::Duration,
        wit::Kind::Choice(alternatives) => Kind::Choice(
            alternatives
                .into_iter()
                .map(|alternative| Alternative {
                    name: alternative.name,
                    title: alternative.title,
                    carries: match alternative.carries {
                        wit::Carries::Nothing => Carries::Nothing,
                        wit::Carries::Text => Carries::Text,
                        wit::Carries::Duration => Carries::Duration,
                    },
                })
                .collect(),
        ),
        wit::Kind::Message => Kind::Message,
        wit::Kind::Channel => Kind::Channel,
        wit::Kind::Hours => Kind::Hours,
        wit::Kind::TimeZone => Kind::TimeZone,
        wit::Kind::Any => Kind::Any,
    };
    Parameter {
        name: parameter.name,
        title: parameter.title,
        description: parameter.description,
        kind,
        required: parameter.required,
        default: parameter.default.map(from_wit),
    }
}

/// Refuses what authors could not write or read: a name is what stands in their files.
fn check_description(description: &Description) -> Result<(), String> {
    let name = |what: &str, name: &str| {
        let good = (1..=64).contains(&name.len())
            && name
                .bytes()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-');
        if good {
            Ok(())
        } else {
            Err(format!("{what} `{}` is not kebab-case", tame(name, 64)))
        }
    };
    let unique = |what: &str, names: Vec<&str>| {
        let mut seen = HashSet::new();
        match names.into_iter().find(|name| !seen.insert(*name)) {
            Some(twice) => Err(format!("{what} `{twice}` stands twice")),
            None => Ok(()),
        }
    };
    name("the name", &description.name)?;
    for parameter in &description.parameters {
        name("the parameter", &parameter.name)?;
    }
    for port in &description.ports {
        name("the port", &port.name)?;
    }
    unique(
        "the parameter",
        description
            .parameters
            .iter()
            .map(|one| one.name.as_str())
            .collect(),
    )?;
    unique(
        "the port",
        description
            .ports
            .iter()
            .map(|one| one.name.as_str())
            .collect(),
    )?;
    if description.ports.is_empty() {
        return Err("it has no port, so no run could leave it".into());
    }
    Ok(())
}
