use wasm_encoder::{
    Alias, CodeSection, Component, ComponentAliasSection, ComponentExportKind,
    ComponentExportSection, ComponentImportSection, ComponentInstanceSection,
    ComponentOuterAliasKind, ComponentTypeRef, ComponentTypeSection, DataSection, ExportKind,
    ExportSection, Function, FunctionSection, GlobalSection, GlobalType, Instruction,
    MemorySection, Module, ModuleSection, NestedComponentSection, PrimitiveValType, TableSection,
    TypeSection, ValType,
};

use super::*;
use crate::STANDARD_BLOCKS;

/// Returns a component that contains this module.
fn holding(module: &Module) -> Vec<u8> {
    let mut component = Component::new();
    component.section(&ModuleSection(module));
    component.finish()
}

/// Returns a component with a module of these functions, each without parameters.
fn functions(bodies: &[Function]) -> Vec<u8> {
    let (mut types, mut functions, mut code) = Default::default();
    TypeSection::ty(&mut types).function([], []);
    for body in bodies {
        FunctionSection::function(&mut functions, 0);
        CodeSection::function(&mut code, body);
    }
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&code);
    holding(&module)
}

fn refused(bytes: &[u8], what: &str) {
    match check_structure(bytes) {
        Err(StructureError::TooMany { what: found, .. }) => assert_eq!(found, what),
        other => panic!("{what}: {other:?}"),
    }
}

fn blocks(locals: u32, blocks: usize) -> Function {
    let mut function = Function::new([(locals, ValType::I64)]);
    for _ in 0..blocks {
        function.instruction(&Instruction::Block(wasm_encoder::BlockType::Empty));
    }
    for _ in 0..=blocks {
        function.instruction(&Instruction::End);
    }
    function
}

#[test]
fn real_blocks_pass() {
    for (name, bytes) in STANDARD_BLOCKS {
        assert_eq!(check_structure(bytes), Ok(()), "{name}");
    }
    assert_eq!(check_structure(&functions(&[blocks(1_000, 500)])), Ok(()));
}

#[test]
fn rejects_bytes_that_are_no_component() {
    let good = STANDARD_BLOCKS[0].1;
    for bytes in [
        &b""[..],
        b"\0asm",
        b"\0asm\x01\0\0\0",
        b"(component)",
        &good[..good.len() - 1],
        &good[..9],
    ] {
        let checked = check_structure(bytes);
        assert!(
            matches!(checked, Err(StructureError::Malformed(_))),
            "{checked:?}"
        );
    }
    let trailing = [good, b"more"].concat();
    assert!(check_structure(&trailing).is_err());
    let large = vec![0; MAX_COMPONENT_BYTES + 1];
    assert_eq!(
        check_structure(&large),
        Err(StructureError::TooLarge { found: large.len() })
    );
}

/// Returns where the sections of a component end: each is an id, its size in LEB128, and that many
/// bytes.
fn section_ends(component: &[u8]) -> Vec<usize> {
    let mut ends = vec![8];
    let mut at = 8;
    while at < component.len() {
        let (mut size, mut shift) = (0, 0);
        loop {
            at += 1;
            size |= usize::from(component[at] & 0x7f) << shift;
            shift += 7;
            if component[at] & 0x80 == 0 {
                break;
            }
        }
        at += 1 + size;
        ends.push(at);
    }
    assert_eq!(at, component.len());
    ends
}

#[test]
fn truncated_and_damaged_components_cause_no_panic() {
    let good = STANDARD_BLOCKS[0].1;
    let ends = section_ends(good);
    for end in (0..good.len()).step_by(97) {
        // A component that ends after a whole section may be valid.
        let is_valid = check_structure(&good[..end]).is_ok();
        assert!(!is_valid || ends.contains(&end), "{end}");
    }
    let mut damaged = good.to_vec();
    for at in (0..good.len()).step_by(31) {
        damaged[at] ^= 0xff;
        let _either = check_structure(&damaged);
        damaged[at] = good[at];
    }
}

#[test]
fn limits_depth_and_number_of_nested_components() {
    let mut inner = Component::new();
    for _ in 0..2_000 {
        let mut outer = Component::new();
        outer.section(&NestedComponentSection(&inner));
        inner = outer;
    }
    refused(&inner.finish(), "levels of components");

    let mut wide = Component::new();
    for _ in 0..101 {
        wide.section(&NestedComponentSection(&Component::new()));
    }
    refused(&wide.finish(), "nested components");

    let mut modules = Component::new();
    for _ in 0..17 {
        modules.section(&ModuleSection(&Module::new()));
    }
    refused(&modules.finish(), "modules");
}

#[test]
fn rejects_instances_that_multiply() {
    // Each component creates several instances of the previous one, so their number doubles per
    // level.
    let mut outer = Component::new();
    outer.section(&NestedComponentSection(&Component::new()));
    for number in 0..20_u32 {
        let mut next = Component::new();
        let mut aliases = ComponentAliasSection::new();
        aliases.alias(Alias::Outer {
            kind: ComponentOuterAliasKind::Component,
            count: 1,
            index: number,
        });
        let mut instances = ComponentInstanceSection::new();
        for _ in 0..2 {
            instances.instantiate::<Vec<(&str, ComponentExportKind, u32)>, _>(0, vec![]);
        }
        next.section(&aliases).section(&instances);
        outer.section(&NestedComponentSection(&next));
    }
    refused(&outer.finish(), "instances in nested components");

    let mut many = Component::new();
    many.section(&NestedComponentSection(&Component::new()));
    let mut instances = ComponentInstanceSection::new();
    for _ in 0..1_000 {
        instances.instantiate::<Vec<(&str, ComponentExportKind, u32)>, _>(0, vec![]);
    }
    many.section(&instances);
    refused(&many.finish(), "instances");
}

#[test]
fn limits_depth_and_number_of_types() {
    // The parser is recursive; a thread's stack must suffice for the maximum depth.
    let deep = |levels: usize| {
        let mut section = Vec::new();
        section.push(1);
        for _ in 0..levels {
            // A component type with one declaration, which is a type.
            section.extend([0x41, 1, 1]);
        }
        section.extend([0x42, 0]);
        let mut bytes = Component::new().finish();
        bytes.push(7);
        leb(&mut bytes, section.len());
        bytes.extend(section);
        bytes
    };
    assert_eq!(check_structure(&deep(10)), Ok(()));
    for levels in [20, 1_000, 1_000_000] {
        refused(&deep(levels), "levels of types");
    }

    let mut types = ComponentTypeSection::new();
    for _ in 0..20_001 {
        types.defined_type().primitive(PrimitiveValType::String);
    }
    let mut component = Component::new();
    component.section(&types);
    refused(&component.finish(), "types");

    let mut types = ComponentTypeSection::new();
    let mut instance = wasm_encoder::InstanceType::new();
    for number in 0..10_001 {
        let of = ComponentTypeRef::Type(wasm_encoder::TypeBounds::SubResource);
        instance.export(format!("r-{number}"), of);
    }
    types.instance(&instance);
    let mut component = Component::new();
    component.section(&types);
    refused(&component.finish(), "exports");
}

fn leb(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).unwrap_or_default() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap_or_default());
}

#[test]
fn limits_imports_exports_and_aliases() {
    let mut types = ComponentTypeSection::new();
    types.instance(&wasm_encoder::InstanceType::new());
    let mut imports = ComponentImportSection::new();
    let mut exports = ComponentExportSection::new();
    let mut aliases = ComponentAliasSection::new();
    for number in 0..10_001_u32 {
        let name = format!("a-{number}");
        imports.import(&name, ComponentTypeRef::Instance(0));
        exports.export(&name, ComponentExportKind::Instance, 0, None);
        aliases.alias(Alias::Outer {
            kind: ComponentOuterAliasKind::Type,
            count: 0,
            index: 0,
        });
    }
    let with = |section: &dyn Fn(&mut Component)| {
        let mut component = Component::new();
        component.section(&types);
        section(&mut component);
        component.finish()
    };
    refused(&with(&|one| _ = one.section(&imports)), "imports");
    refused(&with(&|one| _ = one.section(&exports)), "exports");
    refused(&with(&|one| _ = one.section(&aliases)), "aliases");
}

#[test]
fn limits_number_size_and_joins_of_functions() {
    refused(&functions(&vec![blocks(0, 0); 50_001]), "functions");
    refused(&functions(&[blocks(10_001, 0)]), "locals in a function");
    refused(
        &functions(&[Function::new([(u32::MAX, ValType::I32)])]),
        "locals in a function",
    );
    let mut loops = Function::new([]);
    for _ in 0..65 {
        loops.instruction(&Instruction::Loop(wasm_encoder::BlockType::Empty));
    }
    for _ in 0..66 {
        loops.instruction(&Instruction::End);
    }
    refused(&functions(&[loops]), "nested loops");
    refused(
        &functions(&[blocks(5_000, 15_000)]),
        "locals times branches in a function",
    );
    refused(
        &functions(&vec![blocks(5_000, 700); 20]),
        "locals times branches of functions",
    );
    refused(&functions(&[blocks(0, 400_000)]), "bytes in a function");
    let mut table = Function::new([(1_000, ValType::I32)]);
    table.instruction(&Instruction::I32Const(0));
    table.instruction(&Instruction::BrTable(vec![0; 60_000].into(), 0));
    table.instruction(&Instruction::End);
    refused(&functions(&[table]), "locals times branches in a function");
}

#[test]
fn parameters_count_as_locals() {
    let mut types = TypeSection::new();
    types.ty().function([ValType::I64; 1_000], []);
    let mut declared = FunctionSection::new();
    declared.function(0);
    let mut code = CodeSection::new();
    code.function(&blocks(0, 11_000));
    let mut module = Module::new();
    module.section(&types).section(&declared).section(&code);
    refused(&holding(&module), "locals times branches in a function");
}

#[test]
fn limits_memories_tables_globals_and_segments() {
    let memory = |minimum, memory64| wasm_encoder::MemoryType {
        minimum,
        maximum: None,
        memory64,
        shared: false,
        page_size_log2: None,
    };
    let with_memory = |memory| {
        let mut memories = MemorySection::new();
        memories.memory(memory);
        let mut module = Module::new();
        module.section(&memories);
        holding(&module)
    };
    assert_eq!(check_structure(&with_memory(memory(17, false))), Ok(()));
    for memory in [
        memory(65_536, false),
        memory(1 << 48, true),
        memory(u64::MAX, true),
    ] {
        refused(&with_memory(memory), "bytes of initial memory");
    }
    let mut memories = MemorySection::new();
    for _ in 0..17 {
        memories.memory(memory(0, false));
    }
    let mut module = Module::new();
    module.section(&memories);
    refused(&holding(&module), "memories");

    let mut tables = TableSection::new();
    tables.table(wasm_encoder::TableType {
        element_type: wasm_encoder::RefType::FUNCREF,
        table64: false,
        minimum: 10_000_000,
        maximum: None,
        shared: false,
    });
    let mut module = Module::new();
    module.section(&tables);
    refused(&holding(&module), "elements in a table");

    let mut globals = GlobalSection::new();
    for _ in 0..10_001 {
        let i32 = GlobalType {
            val_type: ValType::I32,
            mutable: false,
            shared: false,
        };
        globals.global(i32, &wasm_encoder::ConstExpr::i32_const(0));
    }
    let mut module = Module::new();
    module.section(&globals);
    refused(&holding(&module), "globals");

    let mut data = DataSection::new();
    for _ in 0..20_001 {
        data.passive([]);
    }
    let mut module = Module::new();
    module.section(&data);
    refused(&holding(&module), "segments of data and elements");

    let mut exports = ExportSection::new();
    for number in 0..10_001 {
        exports.export(&number.to_string(), ExportKind::Func, 0);
    }
    let mut module = Module::new();
    module.section(&exports);
    refused(&holding(&module), "exports");
}

#[test]
fn declared_counts_allocate_no_memory() {
    // Each section claims four billion items in five bytes.
    for id in 1..=12 {
        for nested in [false, true] {
            let claim = [id, 5, 0xff, 0xff, 0xff, 0xff, 0x0f];
            let bytes = match nested {
                false => [&Component::new().finish()[..], &claim].concat(),
                true => {
                    let module = [&Module::new().finish()[..], &claim].concat();
                    let mut bytes = Component::new().finish();
                    bytes.push(1);
                    leb(&mut bytes, module.len());
                    [bytes, module].concat()
                }
            };
            // In a module, the start section contains a function index.
            let is_claim = !(nested && id == 8);
            assert_eq!(check_structure(&bytes).is_err(), is_claim, "section {id}");
        }
    }
}
