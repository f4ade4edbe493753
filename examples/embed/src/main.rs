//! A program that embeds Promoflow: it opens an installation, applies a message and a workflow,
//! uploads codes, sends events, and delivers messages through its own channel, which prints them.
//!
//! Run it with `cargo run --release -p example-embed`.
#![forbid(unsafe_code)]

use anyhow::{Context, Result, ensure};
use promoflow::channel::{Channel, DeliveryOutcome, OutboundMessage};
use promoflow::event::Event;
use promoflow::message::ChannelKind;
use promoflow::pool::ImportOptions;
use promoflow::{AppliedFile, Promoflow};

const CODES: &str = "code,expirationDate,discount,type\n\
    SPRING-1,2030-12-31,10,birthday\n\
    SPRING-2,2030-12-31,10,birthday\n";

const MESSAGE: &str = "
message: greeting
channel: sms
text: Happy birthday, $!data.get('firstName')! Your code is $!data.get('promocode').
";

const WORKFLOW: &str = "
workflow: birthday
start: { event: birthday }
steps:
  - id: code
    block: get-promocode
    with: { type: birthday, discount: 10, days: 7 }
    ports: { exhausted: end }
  - id: sms
    block: send-message
    with: { channel: sms, message: greeting }
";

/// A channel that prints messages instead of passing them to a provider.
struct Printer;

impl Channel for Printer {
    fn supports(&self, kind: ChannelKind) -> bool {
        kind == ChannelKind::Sms
    }

    fn deliver(&self, outbound: &OutboundMessage<'_>) -> DeliveryOutcome {
        let text = outbound.content.text.as_deref().unwrap_or_default();
        println!(
            "{} to {}: {}",
            outbound.id,
            outbound.address,
            text.trim_end()
        );
        DeliveryOutcome::Delivered
    }
}

fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let promoflow = Promoflow::builder(folder.path().join("shop.db"))
        .channel(Printer)
        .open()?;

    let no_files = |_: &str| Err(std::io::ErrorKind::NotFound.into());
    accept(promoflow.apply_messages("greeting", MESSAGE.as_bytes(), &no_files)?)?;
    accept(promoflow.apply_workflows("birthday", WORKFLOW.as_bytes())?)?;
    let uploaded = promoflow.import(CODES.as_bytes(), &ImportOptions::default(), &mut |_| ())?;
    println!("{} codes uploaded", uploaded.inserted);

    let running = promoflow.start()?;
    let mut runs = Vec::new();
    for (phone, name) in [
        ("+380501111111", "Ann"),
        ("+380502222222", "Ben"),
        ("+380503333333", "Cem"),
    ] {
        let event = Event::new("birthday", phone)
            .with_param("Phone", phone)
            .with_param("firstName", name);
        runs.extend(running.send(event)?.runs);
    }
    running.wait_idle(&runs)?;

    for run in runs {
        let (row, steps) = promoflow
            .run(run)?
            .context("a run that was started is stored")?;
        let last = steps
            .last()
            .and_then(|step| step.port.as_deref())
            .unwrap_or("-");
        println!(
            "run {run} about {}: {:?}, left by `{last}`",
            row.key, row.state
        );
    }
    Ok(())
}

/// Fails with the diagnostics of a file that was not applied.
fn accept<T>(file: AppliedFile<T>) -> Result<()> {
    let faults: Vec<String> = file.diagnostics.iter().map(ToString::to_string).collect();
    ensure!(!file.applied.is_empty(), "{}", faults.join("\n"));
    Ok(())
}
