//! Third-party components: compiled by a child process of the real binary, within limits, and
//! checked by the command line.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use promoflow_block_host::{
    Block, BlockError, Bounds, CompileError, CompileLimits, Compiler, Grants, STANDARD_BLOCKS,
    SandboxPool, check_structure,
};
use wasm_encoder::{
    BlockType, CodeSection, Component, Function, FunctionSection, Instruction, Module,
    ModuleSection, NestedComponentSection, TypeSection, ValType,
};

const PROMOFLOW: &str = env!("CARGO_BIN_EXE_promoflow");

/// Returns a component without exports, whose functions set each of their locals in nested loops.
fn component(functions: usize, locals: u32, loops: u32) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    let (mut declared, mut code) = (FunctionSection::new(), CodeSection::new());
    for _ in 0..functions {
        declared.function(0);
        let mut function = Function::new([(locals, ValType::I64)]);
        for number in 0..loops {
            if number % 50 == 0 && number > 0 {
                close(&mut function, 50);
            }
            function.instruction(&Instruction::Loop(BlockType::Empty));
            for local in [number % locals, (number * 7 + 1) % locals] {
                function.instruction(&Instruction::LocalGet(local));
                function.instruction(&Instruction::I64Const(3));
                function.instruction(&Instruction::I64Add);
                function.instruction(&Instruction::LocalSet((local + 1) % locals));
            }
        }
        close(&mut function, (loops - 1) % 50 + 1);
        function.instruction(&Instruction::End);
        code.function(&function);
    }
    let mut module = Module::new();
    module.section(&types).section(&declared).section(&code);
    let mut component = Component::new();
    component.section(&ModuleSection(&module));
    component.finish()
}

/// Closes `loops` loops, each with a branch back to its start.
fn close(function: &mut Function, loops: u32) {
    for _ in 0..loops {
        function.instruction(&Instruction::LocalGet(0));
        function.instruction(&Instruction::I64Eqz);
        function.instruction(&Instruction::BrIf(0));
        function.instruction(&Instruction::End);
    }
}

fn sandboxes(cache: &Path, compiler: Compiler) -> Arc<SandboxPool> {
    SandboxPool::with_compiler(Bounds::default(), Some(cache.to_owned()), compiler).unwrap()
}

fn load(sandboxes: &Arc<SandboxPool>, bytes: &[u8]) -> BlockError {
    match Block::load(sandboxes, bytes, &Grants::all()) {
        Ok(_) => panic!("the component was accepted"),
        Err(error) => error,
    }
}

/// Writes a program that counts its calls and then compiles.
fn counting(folder: &Path) -> (PathBuf, impl Fn() -> usize) {
    let (script, calls) = (folder.join("compiler"), folder.join("calls"));
    let text = format!(
        "#!/bin/sh\necho called >> '{}'\nexec '{PROMOFLOW}' \"$@\"\n",
        calls.display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o700)).unwrap();
    let count = move || std::fs::read_to_string(&calls).map_or(0, |text| text.lines().count());
    (script, count)
}

#[test]
fn a_component_is_compiled_once_by_a_child_process() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let (program, calls) = counting(folder.path());
    let bytes = component(20, 50, 20);
    let ours = sandboxes(&cache, Compiler::program(&program));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let error = load(&ours, &bytes);
                assert!(matches!(error, BlockError::NotABlock(_)), "{error}");
            });
        }
    });
    assert_eq!(calls(), 1);
    // Another process finds it in the cache.
    let other = sandboxes(&cache, Compiler::program(&program));
    assert!(matches!(load(&other, &bytes), BlockError::NotABlock(_)));
    assert_eq!(calls(), 1);
    // Components shipped with the host need no child.
    for (_, standard) in STANDARD_BLOCKS {
        assert!(Block::load(&other, standard, &Grants::all()).is_ok());
    }
    assert_eq!(calls(), 1);
}

#[test]
fn a_child_over_a_limit_is_killed_and_its_component_rejected_from_then_on() {
    let heavy = component(8, 1_000, 1_500);
    assert_eq!(check_structure(&heavy), Ok(()));
    let limits = CompileLimits::default();
    for (limits, expected) in [
        (
            CompileLimits {
                processor: Duration::from_secs(1),
                ..limits
            },
            "more than 1 s",
        ),
        (
            CompileLimits {
                time: Duration::from_millis(50),
                ..limits
            },
            "more than 0.05 s",
        ),
        (
            CompileLimits {
                memory: 24 << 20,
                ..limits
            },
            "more than 24 MiB",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (program, calls) = counting(folder.path());
        let ours = sandboxes(folder.path(), Compiler::program(program).limits(limits));
        let began = Instant::now();
        for _ in 0..2 {
            let error = load(&ours, &heavy).to_string();
            assert!(error.contains(expected), "{expected}: {error}");
        }
        assert_eq!(calls(), 1);
        assert!(began.elapsed() < Duration::from_secs(15), "{expected}");
    }
}

#[test]
fn compile_errors_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = component(1, 1, 1);
    let fails = |program: &str| {
        let ours = sandboxes(folder.path(), Compiler::program(program));
        load(&ours, &bytes).to_string()
    };
    assert!(fails("/no/such/program").contains("cannot be run"));
    assert!(fails("/bin/true").contains("did not compile the component"));

    // Well-formed but invalid.
    let mut invalid = Function::new([]);
    invalid.instruction(&Instruction::I64Add);
    invalid.instruction(&Instruction::End);
    let (mut types, mut declared, mut code) = (
        TypeSection::new(),
        FunctionSection::new(),
        CodeSection::new(),
    );
    types.ty().function([], []);
    declared.function(0);
    code.function(&invalid);
    let mut module = Module::new();
    module.section(&types).section(&declared).section(&code);
    let mut component = Component::new();
    component.section(&ModuleSection(&module));
    let ours = sandboxes(folder.path(), Compiler::program(PROMOFLOW));
    let error = load(&ours, &component.finish());
    assert!(
        matches!(error, BlockError::Compile(CompileError::Invalid(_))),
        "{error}"
    );
}

fn promoflow(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(PROMOFLOW);
    command.args(args).current_dir(folder);
    for name in ["PROMOFLOW_DB", "PROMOFLOW_BLOCKS"] {
        command.env_remove(name);
    }
    let cache = folder.join("cache");
    command.env("PROMOFLOW_CACHE", cache).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn block_check_rejects_files_that_are_not_blocks_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut nested = Component::new();
    for _ in 0..100 {
        let mut outer = Component::new();
        outer.section(&NestedComponentSection(&nested));
        nested = outer;
    }
    std::fs::write(at("nested.wasm"), nested.finish()).unwrap();
    std::fs::write(at("joins.wasm"), component(1, 5_000, 2_000)).unwrap();
    std::fs::write(at("none.wasm"), component(1, 1, 1)).unwrap();
    std::fs::write(at("text.wasm"), "(component)").unwrap();
    std::fs::create_dir(at("folder.wasm")).unwrap();
    nix::unistd::mkfifo(&at("pipe.wasm"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::os::unix::fs::symlink(at("loop.wasm"), at("loop.wasm")).unwrap();
    for (file, expected) in [
        ("nested.wasm", "more than 8 levels of components"),
        ("joins.wasm", "locals times branches in a function"),
        ("none.wasm", "does not export the interface `block`"),
        ("text.wasm", "not a WebAssembly component"),
        ("folder.wasm", "not a regular file"),
        ("pipe.wasm", "not a regular file"),
        ("loop.wasm", "cannot read the block"),
        ("missing.wasm", "no such file"),
    ] {
        let checked = promoflow(folder.path(), &["block", "check", file]);
        let error = text(&checked.stderr);
        assert_eq!(checked.status.code(), Some(2), "{file}: {error}");
        assert!(error.contains(expected), "{file}: {error}");
        assert!(error.contains(file), "{error}");
        assert!(checked.stdout.is_empty(), "{file}");
    }
}

/// The files were compiled once and stay as they are, like the blocks of strangers.
#[test]
fn blocks_compiled_against_contract_1_0_load() {
    let folder = tempfile::tempdir().unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/contract-1.0");
    for name in ["get-promocode", "send-message"] {
        let file = fixtures.join(format!("{name}.wasm"));
        let checked = promoflow(folder.path(), &["block", "check", file.to_str().unwrap()]);
        assert!(checked.status.success(), "{}", text(&checked.stderr));
        assert!(
            text(&checked.stdout).contains(name),
            "{}",
            text(&checked.stdout)
        );
    }
}

#[test]
fn an_invalid_file_does_not_affect_other_blocks_of_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("blocks")).unwrap();
    std::fs::write(folder.path().join("blocks/bad.wasm"), "none").unwrap();
    let listed = promoflow(folder.path(), &["block", "list", "--blocks", "blocks"]);
    assert_eq!(listed.status.code(), Some(0));
    assert!(text(&listed.stdout).contains("send-message"));
    assert!(
        text(&listed.stderr).contains("bad.wasm"),
        "the file is not named"
    );
    let info = promoflow(
        folder.path(),
        &["block", "info", "bad", "--blocks", "blocks"],
    );
    assert_eq!(info.status.code(), Some(2));
    assert!(text(&info.stderr).contains("not a WebAssembly component"));
}

#[test]
fn component_texts_are_sanitised_for_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let (_, standard) = STANDARD_BLOCKS[1];
    let mut bytes = standard.to_vec();
    // The block's description contains control characters.
    let mut replaced = 0;
    for (ours, hostile) in [
        ("Send message", "\u{1b}[2J\u{9b}1mEvil"),
        (env!("CARGO_PKG_VERSION"), "\u{1b}[31m"),
    ] {
        assert_eq!(ours.len(), hostile.len(), "{ours}");
        let places: Vec<usize> = bytes
            .windows(ours.len())
            .enumerate()
            .filter(|(_, window)| *window == ours.as_bytes())
            .map(|(at, _)| at)
            .collect();
        for at in places {
            bytes[at..at + ours.len()].copy_from_slice(hostile.as_bytes());
            replaced += 1;
        }
    }
    assert!(replaced >= 2);
    let name = "e\u{1b}[2J\u{202e}vil.wasm";
    std::fs::write(folder.path().join(name), bytes).unwrap();
    for command in ["check", "info"] {
        let shown = promoflow(folder.path(), &["block", command, name]);
        assert_eq!(shown.status.code(), Some(0), "{}", text(&shown.stderr));
        for stream in [text(&shown.stdout), text(&shown.stderr)] {
            let raw = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
            assert!(!stream.contains(raw), "{command}: {stream:?}");
        }
    }
}
