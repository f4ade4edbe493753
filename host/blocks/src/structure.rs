//! Checks the structure of a component before it is compiled.
//!
//! A compiler's work can grow much faster than its input: 50 KB of WebAssembly can keep it busy for
//! hours. [`check_structure`] reads a component once, in linear time and little memory, and rejects
//! components that exceed the needs of any real block. It does not validate; the compiler does.

use std::ops::Range;

use thiserror::Error;
use wasmparser::{
    BinaryReader, ComponentAlias, ComponentExternName, ComponentImport, ComponentInstance,
    ComponentType, ComponentTypeRef, CompositeInnerType, CoreType, Encoding, FunctionBody,
    MemoryType, Operator, Parser, Payload, RecGroup, SectionLimited, TableType,
};

use super::boundary::{MAX_ERROR_CHARS, sanitize};
use super::component::MAX_COMPONENT_BYTES;

/// Maximum nesting depth of components, including the outermost.
const MAX_DEPTH: usize = 8;
/// Maximum nesting depth of component and instance types.
const MAX_TYPE_DEPTH: usize = 16;
/// Maximum number of locals of a function, including its parameters.
const MAX_LOCALS: u64 = 10_000;
/// Maximum size of a function's body in bytes.
const MAX_FUNCTION_BYTES: u64 = 1 << 20;
/// Maximum product of a function's locals and its blocks and branches: a compiler may have to join
/// each local at each of them.
const MAX_FUNCTION_JOINS: u64 = 4_000_000;
/// Maximum nesting depth of loops.
const MAX_LOOP_DEPTH: usize = 64;
/// Maximum initial memory of a module in bytes. The actual memory is limited per call.
const MAX_MEMORY_BYTES: u64 = 1 << 30;
/// Maximum initial number of elements of a table.
const MAX_TABLE_ELEMENTS: u64 = 1_000_000;

/// The reason why a component's structure is rejected.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum StructureError {
    /// The component is too large.
    #[error("the component has {found} bytes; expected at most {MAX_COMPONENT_BYTES}")]
    TooLarge {
        /// Its size in bytes.
        found: usize,
    },
    /// The bytes are not a component, or damaged.
    #[error("not a WebAssembly component: {0}")]
    Malformed(String),
    /// A count exceeds its limit.
    #[error("it has more than {max} {what}; no block needs that many")]
    TooMany {
        /// The counted items.
        what: &'static str,
        /// The maximum.
        max: u64,
    },
}

type Result<T, E = StructureError> = std::result::Result<T, E>;

/// Items counted over the whole component, including nested ones.
#[derive(Clone, Copy)]
enum Item {
    Component,
    Module,
    Instance,
    NestedInstance,
    ExportOfInstance,
    Type,
    Import,
    Export,
    Alias,
    Canonical,
    Function,
    Memory,
    Table,
    Global,
    Segment,
    Local,
    CodeByte,
    Join,
}

impl Item {
    const COUNT: usize = Item::Join as usize + 1;

    /// Returns its name for errors and its limit.
    fn limit(self) -> (&'static str, u64) {
        match self {
            Item::Component => ("nested components", 100),
            Item::Module => ("modules", 16),
            Item::Instance => ("instances", 200),
            // Each instance of a component contains the instances that the component creates, so
            // their number multiplies per level.
            Item::NestedInstance => ("instances in nested components", 32),
            Item::ExportOfInstance => ("arguments and exports of instances", 10_000),
            Item::Type => ("types", 20_000),
            Item::Import => ("imports", 5_000),
            Item::Export => ("exports", 10_000),
            Item::Alias => ("aliases", 10_000),
            Item::Canonical => ("canonical functions", 5_000),
            Item::Function => ("functions", 50_000),
            Item::Memory => ("memories", 16),
            Item::Table => ("tables", 100),
            Item::Global => ("globals", 10_000),
            Item::Segment => ("segments of data and elements", 20_000),
            Item::Local => ("locals of functions", 2_000_000),
            Item::CodeByte => ("bytes of code", 24 << 20),
            Item::Join => ("locals times branches of functions", 50_000_000),
        }
    }
}

#[derive(Default)]
struct Counts([u64; Item::COUNT]);

impl Counts {
    fn add(&mut self, item: Item, more: impl Into<u64>) -> Result<()> {
        let (what, max) = item.limit();
        let count = &mut self.0[item as usize];
        *count = count.saturating_add(more.into());
        bound(what, *count, max)
    }
}

fn bound(what: &'static str, found: u64, max: u64) -> Result<()> {
    if found > max {
        return Err(StructureError::TooMany { what, max });
    }
    Ok(())
}

fn malformed(error: impl std::fmt::Display) -> StructureError {
    StructureError::Malformed(sanitize(&error.to_string(), MAX_ERROR_CHARS))
}

/// A module or component that is being read.
#[derive(Default)]
struct Level {
    /// Number of parameters of each function type of a module; 0 for other types.
    params: Vec<u64>,
    /// The type indices of a module's own functions.
    functions: Vec<u32>,
    /// Number of function bodies read so far.
    bodies: usize,
}

/// Checks that a component is small and simple enough to be compiled. A pure function of its bytes
/// that runs in linear time.
///
/// # Errors
/// The bytes are not a component, or a limit is exceeded; the error names the limit.
pub fn check_structure(bytes: &[u8]) -> Result<()> {
    if bytes.len() > MAX_COMPONENT_BYTES {
        return Err(StructureError::TooLarge { found: bytes.len() });
    }
    if !Parser::is_component(bytes) {
        return Err(malformed(match Parser::is_core_wasm(bytes) {
            true => {
                "it is a core module; convert it to a component, for example with `cargo xtask blocks`"
            }
            false => "it does not start with the header of a component",
        }));
    }
    let mut check = Check {
        bytes,
        counts: Counts::default(),
        levels: Vec::new(),
    };
    for payload in Parser::new(0).parse_all(bytes) {
        check.payload(payload.map_err(malformed)?)?;
    }
    match check.levels.is_empty() {
        true => Ok(()),
        false => Err(malformed("it ends too early")),
    }
}

struct Check<'b> {
    bytes: &'b [u8],
    counts: Counts,
    /// The outermost level first.
    levels: Vec<Level>,
}

impl Check<'_> {
    fn payload(&mut self, payload: Payload<'_>) -> Result<()> {
        let counts = &mut self.counts;
        match payload {
            Payload::Version { encoding, .. } => {
                if !self.levels.is_empty() {
                    counts.add(
                        match encoding {
                            Encoding::Component => Item::Component,
                            Encoding::Module => Item::Module,
                        },
                        1_u64,
                    )?;
                }
                self.levels.push(Level::default());
                bound(
                    "levels of components",
                    self.levels.len() as u64,
                    MAX_DEPTH as u64,
                )?;
            }
            // The parser leaves this check to its callers.
            Payload::ModuleSection {
                unchecked_range, ..
            }
            | Payload::ComponentSection {
                unchecked_range, ..
            } if unchecked_range.end > self.bytes.len() => {
                return Err(malformed("it ends too early"));
            }
            Payload::End(_) => drop(self.levels.pop()),

            Payload::ComponentTypeSection(section) => self.component_types(section.range())?,
            Payload::CoreTypeSection(section) => {
                counts.add(Item::Type, section.count())?;
                for core_type in section {
                    count_core_type(counts, &core_type.map_err(malformed)?)?;
                }
            }
            Payload::ComponentInstanceSection(section) => {
                let nested = self.levels.len() > 1;
                for instance in section {
                    let items = match instance.map_err(malformed)? {
                        ComponentInstance::Instantiate { args, .. } => {
                            if nested {
                                counts.add(Item::NestedInstance, 1_u64)?;
                            }
                            args.len()
                        }
                        ComponentInstance::FromExports(exports) => exports.len(),
                    };
                    counts.add(Item::Instance, 1_u64)?;
                    counts.add(Item::ExportOfInstance, items as u64)?;
                }
            }
            Payload::InstanceSection(section) => {
                for instance in section {
                    let items = match instance.map_err(malformed)? {
                        wasmparser::Instance::Instantiate { args, .. } => args.len(),
                        wasmparser::Instance::FromExports(exports) => exports.len(),
                    };
                    counts.add(Item::Instance, 1_u64)?;
                    counts.add(Item::ExportOfInstance, items as u64)?;
                }
            }
            Payload::ComponentImportSection(section) => {
                counts.add(Item::Import, section.count())?
            }
            Payload::ComponentExportSection(section) => {
                counts.add(Item::Export, section.count())?
            }
            Payload::ComponentAliasSection(section) => counts.add(Item::Alias, section.count())?,
            Payload::ComponentCanonicalSection(section) => {
                counts.add(Item::Canonical, section.count())?;
            }

            Payload::TypeSection(section) => {
                counts.add(Item::Type, section.count())?;
                self.core_types(section)?;
            }
            Payload::ImportSection(section) => counts.add(Item::Import, section.count())?,
            Payload::ExportSection(section) => counts.add(Item::Export, section.count())?,
            Payload::FunctionSection(section) => {
                counts.add(Item::Function, section.count())?;
                if let Some(level) = self.levels.last_mut() {
                    level.functions = read_all(section)?;
                }
            }
            Payload::MemorySection(section) => {
                counts.add(Item::Memory, section.count())?;
                read_all(section)?.iter().try_for_each(check_memory)?;
            }
            Payload::TableSection(section) => {
                counts.add(Item::Table, section.count())?;
                for table in section {
                    check_table(&table.map_err(malformed)?.ty)?;
                }
            }
            Payload::GlobalSection(section) => counts.add(Item::Global, section.count())?,
            Payload::TagSection(section) => counts.add(Item::Global, section.count())?,
            Payload::ElementSection(section) => counts.add(Item::Segment, section.count())?,
            Payload::DataSection(section) => counts.add(Item::Segment, section.count())?,
            Payload::CodeSectionStart { count, size, .. } => {
                // A module may contain more bodies than declared functions; the compiler reports
                // that.
                counts.add(Item::CodeByte, size)?;
                bound("functions", count.into(), Item::Function.limit().1)?;
            }
            Payload::CodeSectionEntry(body) => self.function(&body)?,
            Payload::UnknownSection { id, .. } => {
                return Err(malformed(format_args!(
                    "it has a section of unknown kind {id}"
                )));
            }
            _ => {}
        }
        Ok(())
    }

    /// Counts the types of a module, because a compiler keeps a function's parameters as locals.
    fn core_types(&mut self, section: SectionLimited<'_, RecGroup>) -> Result<()> {
        for group in section {
            let group = group.map_err(malformed)?;
            let more = group.types().len().saturating_sub(1);
            self.counts.add(Item::Type, more as u64)?;
            let Some(level) = self.levels.last_mut() else {
                continue;
            };
            level
                .params
                .extend(group.types().map(|one| match &one.composite_type.inner {
                    CompositeInnerType::Func(function) => function.params().len() as u64,
                    _ => 0,
                }));
        }
        Ok(())
    }

    fn function(&mut self, body: &FunctionBody<'_>) -> Result<()> {
        let bytes = body.range().len() as u64;
        bound("bytes in a function", bytes, MAX_FUNCTION_BYTES)?;
        let mut locals = 0_u64;
        if let Some(level) = self.levels.last_mut() {
            let declared = level.functions.get(level.bodies);
            let params = declared.and_then(|index| level.params.get(*index as usize));
            locals += params.copied().unwrap_or(0);
            level.bodies += 1;
        }
        for group in body.get_locals_reader().map_err(malformed)? {
            let (count, _) = group.map_err(malformed)?;
            locals += u64::from(count);
            bound("locals in a function", locals, MAX_LOCALS)?;
        }
        self.counts.add(Item::Local, locals)?;
        let mut branches = 1_u64;
        // For each open block, true if it is a loop.
        let mut open = Vec::new();
        let mut loops = 0_usize;
        let mut operators = body.get_operators_reader().map_err(malformed)?;
        while !operators.eof() {
            let operator = operators.read().map_err(malformed)?;
            match operator {
                Operator::Block { .. }
                | Operator::Loop { .. }
                | Operator::If { .. }
                | Operator::TryTable { .. } => {
                    let is_loop = matches!(operator, Operator::Loop { .. });
                    loops += usize::from(is_loop);
                    bound("nested loops", loops as u64, MAX_LOOP_DEPTH as u64)?;
                    open.push(is_loop);
                }
                Operator::End => loops -= usize::from(open.pop().unwrap_or(false)),
                _ => {}
            }
            branches += match operator {
                Operator::BrTable { targets } => u64::from(targets.len()) + 1,
                Operator::Block { .. }
                | Operator::Loop { .. }
                | Operator::If { .. }
                | Operator::Else
                | Operator::TryTable { .. }
                | Operator::Br { .. }
                | Operator::BrIf { .. }
                | Operator::BrOnNull { .. }
                | Operator::BrOnNonNull { .. }
                | Operator::BrOnCast { .. }
                | Operator::BrOnCastFail { .. } => 1,
                _ => 0,
            };
        }
        let joins = branches.saturating_mul(locals);
        bound(
            "locals times branches in a function",
            joins,
            MAX_FUNCTION_JOINS,
        )?;
        self.counts.add(Item::Join, joins)
    }

    /// Counts the types of a component. The parser follows nested types recursively, so the depth
    /// is checked before it does.
    fn component_types(&mut self, range: Range<usize>) -> Result<()> {
        let section = self.bytes.get(range.clone()).unwrap_or_default();
        let mut reader = BinaryReader::new(section, range.start);
        let count = reader.read_var_u32().map_err(malformed)?;
        for _ in 0..count {
            component_type(&mut reader, &mut self.counts, 1)?;
        }
        Ok(())
    }
}

fn component_type(reader: &mut BinaryReader<'_>, counts: &mut Counts, depth: usize) -> Result<()> {
    bound("levels of types", depth as u64, MAX_TYPE_DEPTH as u64)?;
    counts.add(Item::Type, 1_u64)?;
    let is_component = match reader.clone().read_u8().map_err(malformed)? {
        0x41 => true,
        0x42 => false,
        // All other types refer to types by index and do not nest.
        _ => {
            return reader
                .read::<ComponentType<'_>>()
                .map(drop)
                .map_err(malformed);
        }
    };
    reader.read_u8().map_err(malformed)?;
    let declarations = reader.read_var_u32().map_err(malformed)?;
    for _ in 0..declarations {
        let position = reader.original_position();
        match reader.read_u8().map_err(malformed)? {
            0x00 => {
                let core_type = reader.read::<CoreType<'_>>().map_err(malformed)?;
                counts.add(Item::Type, 1_u64)?;
                count_core_type(counts, &core_type)?;
            }
            0x01 => component_type(reader, counts, depth + 1)?,
            0x02 => {
                counts.add(Item::Alias, 1_u64)?;
                reader.read::<ComponentAlias<'_>>().map_err(malformed)?;
            }
            0x03 if is_component => {
                counts.add(Item::Import, 1_u64)?;
                reader.read::<ComponentImport<'_>>().map_err(malformed)?;
            }
            0x04 => {
                counts.add(Item::Export, 1_u64)?;
                reader
                    .read::<ComponentExternName<'_>>()
                    .map_err(malformed)?;
                reader.read::<ComponentTypeRef>().map_err(malformed)?;
            }
            other => {
                return Err(malformed(format_args!(
                    "a type has a declaration of unknown kind {other} (at offset {position:#x})"
                )));
            }
        }
    }
    Ok(())
}

fn count_core_type(counts: &mut Counts, core_type: &CoreType<'_>) -> Result<()> {
    let held = match core_type {
        CoreType::Rec(group) => group.types().len(),
        CoreType::Module(declarations) => declarations.len(),
    };
    counts.add(Item::Type, held as u64)
}

fn check_memory(memory: &MemoryType) -> Result<()> {
    let page = 1_u64 << memory.page_size_log2.unwrap_or(16).min(16);
    let bytes = memory.initial.saturating_mul(page);
    bound("bytes of initial memory", bytes, MAX_MEMORY_BYTES)
}

fn check_table(table: &TableType) -> Result<()> {
    bound("elements in a table", table.initial, MAX_TABLE_ELEMENTS)
}

fn read_all<'a, T: wasmparser::FromReader<'a>>(section: SectionLimited<'a, T>) -> Result<Vec<T>> {
    section
        .into_iter()
        .map(|item| item.map_err(malformed))
        .collect()
}

#[cfg(test)]
mod tests;
