//! A program that embeds Promoflow without its optional features: the engine, SQLite and blocks,
//! and a channel of its own.
//!
//! `cargo xtask lint` checks that it compiles with these features alone.
#![forbid(unsafe_code)]

use std::error::Error;

use promoflow::Promoflow;
use promoflow::channel::{Channel, DeliveryOutcome, OutboundMessage};
use promoflow::event::Event;
use promoflow::message::ChannelKind;

/// A channel that prints messages.
struct Printer;

impl Channel for Printer {
    fn supports(&self, _: ChannelKind) -> bool {
        true
    }

    fn deliver(&self, outbound: &OutboundMessage<'_>) -> DeliveryOutcome {
        println!("{}: {:?}", outbound.address, outbound.content.text);
        DeliveryOutcome::Delivered
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let promoflow = Promoflow::builder("shop.db").channel(Printer).open()?;
    let engine = promoflow.start()?;
    let event = Event::new("birthday", "ann").with_param("Phone", "+380501234567");
    let receipt = engine.send(event)?;
    engine.wait_idle(&receipt.runs)?;
    println!("{} runs", receipt.runs.len());
    Ok(())
}
