//! The messages that a workflow sends: the values they read, and the promo codes they claim.

use std::io;

use promoflow_model::message::CodeTag;
use promoflow_model::workflow::{Reading, Sending};
use serde_json::{Value, json};

use crate::failure::count;
use crate::output::{DIM, Out};

/// Returns a sending as JSON.
pub(super) fn as_json(sending: &Sending) -> Value {
    let reads = sending.reads.iter();
    let reads = reads.map(|one| json!({ "name": one.read.name, "setBy": one.set_by }));
    let codes = sending.codes.iter().map(|code| {
        let lane = &code.selector.lane;
        json!({
            "type": lane.code_type,
            "discount": lane.discount,
            "days": code.selector.days,
            "instead": code.instead,
        })
    });
    json!({
        "step": sending.step,
        "message": sending.message,
        "reads": reads.collect::<Vec<_>>(),
        "codes": codes.collect::<Vec<_>>(),
    })
}

/// Prints a sending in words, one line per message.
pub(super) fn tell(sending: &Sending, out: &mut Out) -> io::Result<()> {
    let mut parts: Vec<String> = sending.codes.iter().map(takes).collect();
    let reads: Vec<String> = sending.reads.iter().map(reads).collect();
    if !reads.is_empty() {
        parts.push(format!("reads {}", reads.join(", ")));
    }
    if parts.is_empty() {
        return Ok(());
    }
    let about = out.style(DIM, parts.join("; "));
    out.line(format_args!(
        "  {} sends {}: {about}",
        sending.step, sending.message
    ))
}

fn takes(code: &CodeTag) -> String {
    let lane = &code.selector.lane;
    let days = count(u64::from(code.selector.days), "more day", "more days");
    format!(
        "claims a code of type {}, discount {}, valid for {days}",
        lane.code_type, lane.discount
    )
}

fn reads(reading: &Reading) -> String {
    let name = &reading.read.name;
    match &reading.set_by {
        Some(step) => format!("{name} (set by {step})"),
        None if reading.read.tag => format!("{name} (from the contact or the event)"),
        None => format!("{name} (from the event)"),
    }
}
