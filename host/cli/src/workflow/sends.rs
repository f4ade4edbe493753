//! The messages that a workflow sends: the values they read, and the promo codes they claim.

use std::io;

use promoflow_model::message::CodeTag;
use promoflow_model::workflow::{MessageUse, ValueUse};
use serde_json::{Value, json};

use crate::error::count;
use crate::output::{DIM, Out};

/// Returns a sending as JSON.
pub(super) fn as_json(message_use: &MessageUse) -> Value {
    let reads = message_use.reads.iter();
    let reads = reads.map(|one| json!({ "name": one.read.name, "setBy": one.set_by }));
    let codes = message_use.codes.iter().map(|code| {
        let code_group = &code.selector.code_group;
        json!({
            "type": code_group.code_type,
            "discount": code_group.discount,
            "days": code.selector.days,
            "default": code.instead,
        })
    });
    json!({
        "step": message_use.step,
        "message": message_use.message,
        "reads": reads.collect::<Vec<_>>(),
        "codes": codes.collect::<Vec<_>>(),
    })
}

/// Prints a sending in words, one line per message.
pub(super) fn print(message_use: &MessageUse, out: &mut Out) -> io::Result<()> {
    let mut parts: Vec<String> = message_use.codes.iter().map(takes).collect();
    let reads: Vec<String> = message_use.reads.iter().map(reads).collect();
    if !reads.is_empty() {
        parts.push(format!("reads {}", reads.join(", ")));
    }
    if parts.is_empty() {
        return Ok(());
    }
    let about = out.style(DIM, parts.join("; "));
    out.line(format_args!(
        "  {} sends {}: {about}",
        message_use.step, message_use.message
    ))
}

fn takes(code: &CodeTag) -> String {
    let code_group = &code.selector.code_group;
    let days = count(u64::from(code.selector.days), "more day", "more days");
    format!(
        "claims a code of type {}, discount {}, valid for {days}",
        code_group.code_type, code_group.discount
    )
}

fn reads(value_use: &ValueUse) -> String {
    let name = &value_use.read.name;
    match &value_use.set_by {
        Some(step) => format!("{name} (set by {step})"),
        None if value_use.read.tag => format!("{name} (from the contact or the event)"),
        None => format!("{name} (from the event)"),
    }
}
