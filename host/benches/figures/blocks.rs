//! `block_overhead`: a fresh sandbox, its call and its teardown, compared with the same block
//! compiled natively; also the ceiling of the blocks alone, without storage, on all cores.

use std::hint::black_box;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use plugin_get_promocode::GetPromocode;
use plugin_send_message::SendMessage;
use promoflow::block::Value;
use promoflow_block_host::{
    BlockLibrary, Bounds, Call, ClaimError, ClaimRequest, CodeOrigin, HostFunctions, LinkedBlock,
    LogLevel, Outcome, Promocode, SandboxPool, SendError, SendRequest, SetError,
};

use crate::goal::Goal;
use crate::report::{Report, Rounds, median};

const CALLS: u32 = 20_000;
const ROUNDS: usize = 7;

pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let sandboxes = SandboxPool::new(Bounds::default(), None)
        .map_err(|error| anyhow::anyhow!("cannot create sandboxes: {error:#}"))?;
    let library = BlockLibrary::standard(&sandboxes)?;
    let block = |name: &str| {
        let known = library.get(name).context("a standard block")?;
        anyhow::Ok(known.block.link::<NoopHost>()?)
    };
    let (code, message) = (block("get-promocode")?, block("send-message")?);
    sandboxes.warm_up_thread();

    let [mut both, mut codes, mut messages] = [(); 3].map(|()| Rounds::default());
    let mut ceilings = Vec::new();
    for round in 0..=ROUNDS {
        let values = [
            per_call(|| in_sandbox(&code, code_call()))?,
            per_call(|| in_sandbox(&message, message_call()))?,
        ];
        let natives = [per_call(native_code)?, per_call(native_message)?];
        let ceiling = ceiling(&sandboxes, &code, &message)?;
        if round > 0 {
            let mean = |both: [f64; 2]| both.iter().sum::<f64>() / 2.0;
            both.add(mean(values), mean(natives));
            codes.add(values[0], natives[0]);
            messages.add(values[1], natives[1]);
            ceilings.push(ceiling);
        }
    }
    let note = "a fresh sandbox, its call and its teardown; baseline: the same block compiled \
                natively";
    report.add_compared(
        "block_overhead",
        "us/block",
        Some(Goal::value_at_most(10.0)),
        &format!("the mean of both standard blocks: {note}"),
        &both,
    );
    for (name, rounds) in [("get_promocode", &codes), ("send_message", &messages)] {
        let name = format!("block_overhead_{name}");
        report.add_compared(&name, "us/block", None, note, rounds);
    }
    report.add_single(
        "blocks_alone_runs_per_s",
        "runs/s",
        None,
        "runs of two blocks without storage, on all cores: the ceiling of durable_runs_per_s",
        &ceilings,
    );
    ensure!(median(&ceilings) > 0.0, "no block ran");
    Ok(())
}

fn per_call(mut call: impl FnMut() -> Result<()>) -> Result<f64> {
    let begin = Instant::now();
    for _ in 0..CALLS {
        call()?;
    }
    Ok(begin.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS))
}

fn code_call() -> Call {
    Call {
        params: vec![
            ("type".into(), Value::Text("birthday".into())),
            ("discount".into(), Value::Integer(10)),
            ("days".into(), Value::Integer(7)),
            ("as".into(), Value::Text("promocode".into())),
            ("when-empty".into(), Value::Text("port".into())),
            ("reuse".into(), Value::Text("never".into())),
        ],
        resumed: None,
    }
}

fn message_call() -> Call {
    Call {
        params: vec![
            ("channel".into(), Value::Text("sms".into())),
            ("message".into(), Value::Text("greeting".into())),
        ],
        resumed: None,
    }
}

fn in_sandbox(block: &LinkedBlock<NoopHost>, call: Call) -> Result<()> {
    let (outcome, _) = block.run(call, NoopHost);
    match outcome {
        Ok(Outcome::Port(port)) if port == "next" => Ok(()),
        other => anyhow::bail!("the block answered {other:?}"),
    }
}

/// Runs `get-promocode` compiled for this machine, with the SDK's test double as the host.
fn native_code() -> Result<()> {
    let mut host = promoflow_block::testing::Host::new().code("HAPPY-1");
    let step = [
        ("type", "birthday".into()),
        ("discount", 10.into()),
        ("days", 7.into()),
        ("as", "promocode".into()),
        ("when-empty", "port".into()),
        ("reuse", "never".into()),
    ];
    let outcome = host.run::<GetPromocode>(step);
    ensure!(black_box(outcome).is_ok(), "the block failed");
    Ok(())
}

/// Runs `send-message` in the same way.
fn native_message() -> Result<()> {
    let mut host = promoflow_block::testing::Host::new().value("Phone", "+380501234567");
    let step = [("channel", "sms".into()), ("message", "greeting".into())];
    let outcome = host.run::<SendMessage>(step);
    ensure!(black_box(outcome).is_ok(), "the block failed");
    Ok(())
}

/// Returns the runs per second of two blocks on all cores, with nothing stored.
fn ceiling(
    sandboxes: &SandboxPool,
    code: &LinkedBlock<NoopHost>,
    message: &LinkedBlock<NoopHost>,
) -> Result<f64> {
    let cores = thread::available_parallelism().map_or(2, usize::from);
    let begin = Instant::now();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..cores)
            .map(|_| {
                scope.spawn(|| {
                    sandboxes.warm_up_thread();
                    for _ in 0..CALLS / 2 {
                        in_sandbox(code, code_call())?;
                        in_sandbox(message, message_call())?;
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        for thread in threads {
            thread
                .join()
                .map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        }
        anyhow::Ok(())
    })?;
    let runs = f64::from(CALLS / 2) * cores as f64;
    Ok(runs / begin.elapsed().as_secs_f64())
}

/// A host whose functions do nothing.
struct NoopHost;

impl HostFunctions for NoopHost {
    fn get(&self, name: &str) -> Option<Value> {
        (name == "Phone").then(|| Value::Text("+380501234567".into()))
    }

    fn set(&mut self, _: &str, _: Value) -> Result<(), SetError> {
        Ok(())
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn key(&self) -> &str {
        "ann"
    }

    fn claim(&mut self, request: ClaimRequest) -> Result<Promocode, ClaimError> {
        Ok(Promocode {
            code: "HAPPY-1".into(),
            code_type: request.selector.code_group.code_type,
            discount: request.selector.code_group.discount,
            expires: None,
            origin: CodeOrigin::Claimed,
        })
    }

    fn send(&mut self, _: SendRequest) -> Result<u32, SendError> {
        Ok(0)
    }

    fn log(&mut self, _: LogLevel, _: &str) {}
}
