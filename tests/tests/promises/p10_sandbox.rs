//! P10: a block gets what it was granted, within its limits; the host and other runs continue.

use std::time::{Duration, Instant};

use promoflow::block::{Bounds, Grants, Interface};
use promoflow::event::Event;
use promoflow::store::{RunId, RunState};
use promoflow::{EngineHandle, Promoflow};
use promoflow_tests::{CODE_THEN_MAIL, MAIL, MISCHIEF, PromoflowExt, TestApp, chaos, ids, until};
use wasm_encoder::{
    Component, ComponentImportSection, ComponentTypeRef, ComponentTypeSection, PrimitiveValType,
};

const TIGHT: Bounds = Bounds {
    time: Duration::from_millis(300),
    memory: 8 << 20,
    table_elements: 10_000,
    host_calls: 10_000,
    claims: 16,
    deliveries: 16,
    notes: 50,
    note_chars: 1_000,
    call_bytes: 1 << 20,
};

/// Returns an installation with twenty codes and tight limits.
fn tight(workers: usize) -> (TestApp, Promoflow) {
    let app = TestApp::new();
    let promoflow = app.builder().bounds(TIGHT).workers(workers).open().unwrap();
    promoflow.add_messages(MAIL);
    promoflow.add_workflows(CODE_THEN_MAIL);
    let codes: String = (0..20).map(|n| format!("C-{n:02},birthday,10\n")).collect();
    promoflow.import_codes(&format!("code,type,discount\n{codes}"));
    (app, promoflow)
}

#[test]
fn p10_a_misbehaving_block_fails_its_run_with_the_reason_and_the_host_continues() {
    for (action, more, state, reason) in [
        ("spin", "", RunState::Running, "exceeded the time limit"),
        ("hoard", "", RunState::Running, "out of memory"),
        ("recurse", "", RunState::Running, "out of bounds"),
        (
            "trap",
            "",
            RunState::Running,
            "it panicked: \"as requested\" (tests/guest/src/action.rs:",
        ),
        ("long-port", "", RunState::Failed, "unknown port `"),
        (
            "long-request",
            "",
            RunState::Failed,
            "at most 200 characters, found 900000",
        ),
        (
            "deep-value",
            ", n: 65",
            RunState::Failed,
            "at most 64 levels",
        ),
        ("flood-log", "", RunState::Running, "host calls"),
        (
            "flood-claims",
            "",
            RunState::Failed,
            "at most 16 promo codes",
        ),
        (
            "flood-data",
            ", n: 100000",
            RunState::Failed,
            "262144 bytes",
        ),
        (
            "flood-data",
            ", n: 5000000",
            RunState::Running,
            "the block trapped",
        ),
        (
            "bad-port",
            "",
            RunState::Failed,
            "unknown port `no-such-port`",
        ),
        ("invalid", "", RunState::Failed, "as requested"),
        ("rejected", "", RunState::Failed, "as requested"),
        ("unavailable", "", RunState::Running, "as requested"),
    ] {
        let (_shop, promoflow) = tight(2);
        promoflow.add_workflows(&chaos(action, &format!("{more}, claims: 2")));
        let running = promoflow.start().unwrap();
        let began = Instant::now();
        let run = promoflow.run_event(&running, action, "ann@example.com");
        let took = began.elapsed();
        let (row, steps) = promoflow.run_of(run);
        let error = row.error.unwrap_or_default();
        assert_eq!(row.state, state, "{action}{more}: {error}");
        assert!(error.contains("step `bad` (mischief)"), "{action}: {error}");
        assert!(error.contains(reason), "{action}{more}: {error}");
        assert!(error.len() < 3_000, "{action} left {} bytes", error.len());
        assert!(!error.chars().any(char::is_control), "{action}: {error:?}");
        assert_eq!(steps.len(), usize::from(state == RunState::Failed));
        assert!(took < Duration::from_secs(10), "{action} took {took:?}");
        assert_eq!(promoflow.available_codes().len(), 20, "{action} kept codes");
        assert_eq!(
            promoflow.birthday(&running, "ben@example.com").as_deref(),
            Some("C-00"),
            "after {action}"
        );
        promoflow.assert_audit();
    }
}

#[test]
fn p10_a_run_that_waits_in_a_busy_loop_fails() {
    for action in ["wait-again", "wait-code-again"] {
        let (_shop, promoflow) = tight(2);
        promoflow.add_workflows(&chaos(action, ""));
        // Each time it waits for a code it gets one.
        let codes: String = (0..150)
            .map(|n| format!("D-{n:03},birthday,10\n"))
            .collect();
        promoflow.import_codes(&format!("code,type,discount\n{codes}"));
        let running = promoflow.start().unwrap();
        let run = promoflow.run_event(&running, action, "ann@example.com");
        until(|| promoflow.run_of(run).0.state == RunState::Failed);
        let (row, steps) = promoflow.run_of(run);
        let error = row.error.unwrap_or_default();
        assert!(error.contains("must wait longer"), "{action}: {error}");
        assert!(
            (100..110).contains(&steps.len()),
            "{action}: {}",
            steps.len()
        );
        promoflow.assert_audit();
    }
}

#[test]
fn p10_log_notes_are_truncated_and_limited() {
    let (_shop, promoflow) = tight(2);
    promoflow.add_workflows(&chaos("flood-log", ", n: 500"));
    let running = promoflow.start().unwrap();
    let run = promoflow.run_event(&running, "flood-log", "ann@example.com");
    let (row, steps) = promoflow.run_of(run);
    assert_eq!(row.state, RunState::Completed);
    let log = &steps[0].log;
    assert_eq!(log.len(), 51);
    assert!(log[50].contains("dropped"));
    assert!(log.iter().all(|note| note.chars().count() < 1_020));
}

fn submit(running: &EngineHandle, kind: &str, count: usize) -> Vec<RunId> {
    let receipts = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|number| {
                let event = Event::new(kind, format!("{kind}-{number}"));
                scope.spawn(move || running.send(event).unwrap())
            })
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join().unwrap());
        joined.collect::<Vec<_>>()
    });
    ids(&receipts)
}

#[test]
fn p10_other_runs_continue_while_a_block_spins() {
    let app = TestApp::new();
    let bounds = Bounds {
        time: Duration::from_secs(4),
        ..TIGHT
    };
    let promoflow = app.builder().bounds(bounds).workers(2).open().unwrap();
    promoflow.add_workflows(&chaos("spin", ""));
    promoflow.add_workflows(&chaos("next", ""));
    let running = promoflow.start().unwrap();
    let began = Instant::now();
    let (sender, receiver) = std::sync::mpsc::channel();
    running.submit(Event::new("spin", "ann"), move |receipt| {
        sender.send(receipt.unwrap()).unwrap();
    });
    let runs = submit(&running, "next", 20);
    running.wait_idle(&runs).unwrap();
    assert!(receiver.try_recv().is_err(), "it no longer spins");
    let spun = receiver.recv().unwrap();
    let took = began.elapsed();
    assert!(took >= bounds.time && took < bounds.time * 2, "{took:?}");
    assert!(promoflow.run_of(spun.runs[0]).0.error.is_some());
}

#[test]
fn p10_a_run_may_wait_for_a_sandbox_longer_than_its_time_limit() {
    let (app, promoflow) = tight(80);
    promoflow.add_workflows(&chaos("next", ", claims: 1").replace("birthday", "single"));
    promoflow.add_workflows(&chaos("other", ""));
    promoflow.import_codes("code,type,discount\nSINGLE,single,10\n");
    let running = promoflow.start().unwrap();
    // The only code is staged, and its commit is held back until released. All other runs that want
    // it wait in their sandboxes, up to the number of sandboxes, for one second each.
    let (go_on, release) = std::sync::mpsc::channel::<()>();
    app.clock.before_commit(move || {
        let _released = release.recv();
    });
    running.submit(Event::new("next", "holder"), |_| ());
    until(|| app.clock.pending_hooks() == 0);
    for number in 0..70 {
        running.submit(Event::new("next", format!("waits-{number}")), |_| ());
    }
    std::thread::sleep(Duration::from_millis(200));
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(1_300));
        drop(go_on);
    });
    let runs = submit(&running, "other", 5);
    running.wait_idle(&runs).unwrap();
    for run in runs {
        let (row, _) = promoflow.run_of(run);
        assert_eq!((row.state, row.error), (RunState::Completed, None));
    }
}

/// Returns a component that imports an instance of that name with one function.
fn importing(name: &str) -> Vec<u8> {
    let mut types = ComponentTypeSection::new();
    let mut instance = wasm_encoder::InstanceType::new();
    instance
        .ty()
        .function()
        .params([("path", PrimitiveValType::String)])
        .result(None);
    instance.export("open", ComponentTypeRef::Func(0));
    types.instance(&instance);
    let mut imports = ComponentImportSection::new();
    imports.import(name, ComponentTypeRef::Instance(0));
    let mut component = Component::new();
    component.section(&types).section(&imports);
    component.finish()
}

fn refused(app: &TestApp, bytes: &[u8]) -> String {
    let folder = app.sibling("blocks");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("foreign.wasm"), bytes).unwrap();
    let promoflow = app.builder().blocks(folder).open().unwrap();
    let blocks = promoflow.blocks().unwrap();
    // It does not affect other blocks.
    assert!(blocks.get("send-message").is_some() && blocks.get("mischief").is_some());
    let [refused] = blocks.rejected() else {
        panic!("the component was accepted")
    };
    refused.why.clone()
}

#[test]
fn p10_a_workflow_error_names_a_block_that_cannot_be_loaded() {
    let app = TestApp::new();
    let folder = app.sibling("blocks");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("lottery.wasm"), b"\0asm").unwrap();
    let promoflow = app.builder().blocks(folder).open().unwrap();
    promoflow.add_messages(MAIL);
    promoflow.add_workflows(CODE_THEN_MAIL);
    let workflow = "{ workflow: w, start: { event: e }, steps: [ { id: s, block: lottery } ] }";
    let applied = promoflow
        .apply_workflows("w.yaml", workflow.as_bytes())
        .unwrap();
    let [fault] = &*applied.diagnostics else {
        panic!("{:#?}", applied.diagnostics)
    };
    assert!(fault.message.contains("lottery.wasm"), "{}", fault.message);
    assert!(
        fault.message.contains("not a WebAssembly component"),
        "{}",
        fault.message
    );
}

#[test]
fn p10_two_blocks_with_one_name_are_rejected() {
    let app = TestApp::new();
    let folder = app.sibling("blocks");
    std::fs::create_dir_all(&folder).unwrap();
    let mut other = std::fs::read(MISCHIEF).unwrap();
    // A custom section: the same block in another file.
    other.extend([0, 3, 1, b'x', 0]);
    std::fs::write(folder.join("other.wasm"), other).unwrap();
    let promoflow = app.builder().blocks(folder).open().unwrap();
    let blocks = promoflow.blocks().unwrap();
    assert!(blocks.get("mischief").is_none());
    let why = blocks.missing_reason("mischief").unwrap();
    assert!(why.contains("two blocks are named `mischief`"), "{why}");
}

#[test]
fn p10_rejects_a_component_with_forbidden_imports() {
    for foreign in [
        "wasi:filesystem/types@0.2.0",
        "wasi:sockets/tcp@0.2.0",
        "other:vendor/data@1.0.0",
        "promoflow:workflow/secrets@1.0.0",
        "promoflow:workflow/data@2.0.0",
    ] {
        let error = refused(&TestApp::new(), &importing(foreign));
        assert!(error.contains(&format!("imports `{foreign}`")), "{error}");
        assert!(error.contains("foreign.wasm"), "{error}");
    }
}

#[test]
fn p10_rejects_files_that_are_not_blocks() {
    let known = importing("promoflow:workflow/data@1.0.0");
    assert!(refused(&TestApp::new(), &known).contains("does not export"));
    assert!(refused(&TestApp::new(), &known[..known.len() - 3]).contains("not a WebAssembly"));
    assert!(refused(&TestApp::new(), b"\0asm\x01\0\0\0").contains("not a WebAssembly component"));
    assert!(refused(&TestApp::new(), b"").contains("not a WebAssembly component"));
    assert!(refused(&TestApp::new(), &vec![0; 33 << 20]).contains("at most"));
}

#[test]
fn p10_a_block_gets_only_what_it_was_granted() {
    let app = TestApp::new();
    let grants = Grants::only(&[Interface::Data, Interface::Log, Interface::Messages]);
    let promoflow = app.builder().grants(grants).open().unwrap();
    let blocks = promoflow.blocks().unwrap();
    assert!(
        blocks.get("mischief").is_none(),
        "mischief claims promo codes"
    );
    let error = &blocks.rejected()[0].why;
    assert!(
        error.contains("`promocodes`, which it was not granted"),
        "{error}"
    );
}
