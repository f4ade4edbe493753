//! The structure of a component, checked before anything is made of it.
//!
//! A compiler's work can grow much faster than its input: 50 KB of WebAssembly can keep it busy
//! for hours. [`check_structure`] reads a component once, in time proportional to its size and in
//! little memory, and refuses what no real block has. It does not validate: the compiler does.

use std::ops::Range;

use thiserror::Error;
use wasmparser::{
    BinaryReader, ComponentAlias, ComponentExternName, ComponentImport, ComponentInstance,
    ComponentType, ComponentTypeRef, CompositeInnerType, CoreType, Encoding, FunctionBody,
    MemoryType, Operator, Parser, Payload, RecGroup, SectionLimited, TableType,
};

use super::boundary::{MAX_ERROR_CHARS, clean};
use super::component::MAX_COMPONENT_BYTES;

/// Levels of components in components, the outermost included.
const MAX_DEPTH: usize = 8;
/// Levels of component and instance types in one another.
const MAX_TYPE_DEPTH: usize = 16;
/// Locals of a function, its parameters included.
const MAX_LOCALS: u64 = 10_000;
/// Bytes of a function's body.
const MAX_FUNCTION_BYTES: u64 = 1 << 20;
/// Locals of a function, times its blocks and branches: a compiler may have to join each local at
/// each of them.
const MAX_FUNCTION_JOINS: u64 = 4_000_000;
/// Loops in one another.
const MAX_LOOP_DEPTH: usize = 64;
/// Bytes of memory that a module declares to begin with. What it gets is bounded for each call.
const MAX_MEMORY_BYTES: u64 = 1 << 30;
/// Elements of a table that a module declares to begin with.
const MAX_TABLE_ELEMENTS: u64 = 1_000_000;

/// Why a component's structure is refused.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum StructureError {
    /// It is larger than what is loaded.
    #[error("the component has {found} bytes; at most {MAX_COMPONENT_BYTES} are loaded")]
    TooLarge {
        /// Its size in bytes.
        found: usize,
    },
    /// It is not a component, or damaged.
    #[error("not a WebAssembly component: {0}")]
    Malformed(String),
    /// It has more of something than a block may have.
    #[error("it has more than {max} {what}; no block needs that many")]
    TooMany {
        /// What it has too many of.
        what: &'static str,
        /// How many are allowed.
        max: u64,
    },
}

type Result<T, E = StructureError> = std::result::Result<T, E>;

/// What is counted over the whole component, with everything that is nested in it.
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

    /// Its name in errors, and how many are allowed.
    fn limit(self) -> (&'static str, u64) {
        match self {
            Item::Component => ("nested components", 100),
            Item::Module => ("modules", 16),
            Item::Instance => ("instances", 200),
            // Each instance of a component holds those that the component makes, so that their
            // number multiplies from level to level.
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
    StructureError::Malformed(clean(&error.to_string(), MAX_ERROR_CHARS))
}

/// A module or component that is being read.
#[derive(Default)]
struct Level {
    /// Parameters of each function type of a module; 0 for other types.
    params: Vec<u64>,
    /// The types of a module's own functions.
    functions: Vec<u32>,
    /// Functions whose body was read.
    bodies: usize,
}

/// Checks that a component is small and simple enough to be compiled. A pure function of its
/// bytes; its time is proportional to their number.
///
/// # Errors
/// It is not a component, or names the limit that it exceeds.
pub fn check_structure(bytes: &[u8]) -> Result<()> {
    if bytes.len() > MAX_COMPONENT_BYTES {
        return Err(StructureError::TooLarge { found: bytes.len() });
    }
    if !Parser::is_component(bytes) {
        return Err(malformed(match Parser::is_core_wasm(bytes) {
            true => {
                "it is a core module; make a component of it, such as with `cargo xtask blocks`"
            }
            false => "it does not begin with the header of a component",
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
    /// The outermost first.
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
                // A module may have bodies that no function is declared for; the compiler says so.
                counts.add(Item::CodeByte, size)?;
                bound("functions", count.into(), Item::Function.limit().1)?;
            }
            Payload::CodeSectionEntry(body) => self.function(&body)?,
            Payload::UnknownSection { id, .. } => {
                return Err(malformed(format_args!(
                    "it has a section of the unknown kind {id}"
                )));
            }
            _ => {}
        }
        Ok(())
    }

    /// Types of a module: a compiler keeps a function's parameters as locals.
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
        // Whether each of the blocks that are open is a loop.
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
                    bound("loops in one another", loops as u64, MAX_LOOP_DEPTH as u64)?;
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

    /// Types of a component. They may hold one another, and what reads them for us would follow
    /// them however deep, so the levels are counted before it does.
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
        // No other type holds one; they only refer to others by their index.
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
                    "a type holds a declaration of the unknown kind {other} (at offset {position:#x})"
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
    bound("bytes of memory to begin with", bytes, MAX_MEMORY_BYTES)
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
