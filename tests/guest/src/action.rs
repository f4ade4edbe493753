//! The actions that the block can perform.

use std::hint::black_box;

use promoflow_block::{CodeWait, Error, Outcome, Params, ReplyWait, Value, data, log};

use crate::{claim, selector};

/// One action.
#[derive(Clone, Copy)]
pub(crate) enum Action {
    Next,
    Other,
    Spin,
    Hoard,
    Trap,
    Recurse,
    FloodLog,
    FloodClaims,
    FloodData,
    Unavailable,
    Invalid,
    Rejected,
    BadPort,
    ClaimThenTrap,
    Wait,
    WaitCode,
    WaitReply,
    WaitAgain,
    WaitCodeAgain,
    LongPort,
    LongRequest,
    DeepValue,
}

impl Action {
    /// Every action, with the name that a step uses.
    pub(crate) const ALL: [(&'static str, Self); 22] = [
        ("next", Self::Next),
        ("other", Self::Other),
        ("spin", Self::Spin),
        ("hoard", Self::Hoard),
        ("trap", Self::Trap),
        ("recurse", Self::Recurse),
        ("flood-log", Self::FloodLog),
        ("flood-claims", Self::FloodClaims),
        ("flood-data", Self::FloodData),
        ("unavailable", Self::Unavailable),
        ("invalid", Self::Invalid),
        ("rejected", Self::Rejected),
        ("bad-port", Self::BadPort),
        ("claim-then-trap", Self::ClaimThenTrap),
        ("wait", Self::Wait),
        ("wait-code", Self::WaitCode),
        ("wait-reply", Self::WaitReply),
        ("wait-again", Self::WaitAgain),
        ("wait-code-again", Self::WaitCodeAgain),
        ("long-port", Self::LongPort),
        ("long-request", Self::LongRequest),
        ("deep-value", Self::DeepValue),
    ];

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, action)| *action)
    }

    pub(crate) fn perform(self, params: &Params) -> Result<Outcome, Error> {
        let n = params.integer("n")?;
        match self {
            Self::Next => {}
            Self::Other => return Ok(Outcome::port("other")),
            Self::Spin => spin(),
            Self::Hoard => hoard(),
            Self::Trap | Self::ClaimThenTrap => panic!("as requested"),
            Self::Recurse => {
                black_box(recurse(1));
            }
            Self::FloodLog => (0..n).for_each(|_| log::info(&"flood ".repeat(200))),
            Self::FloodClaims => (0..n).try_for_each(|_| claim(params))?,
            Self::FloodData => flood_data(n)?,
            Self::Unavailable => return Err(Error::Unavailable("as requested".into())),
            Self::Invalid => return Err(Error::Invalid("as requested".into())),
            Self::Rejected => return Err(Error::Rejected("as requested".into())),
            Self::BadPort => return Ok(Outcome::port("no-such-port")),
            Self::WaitCodeAgain => return Ok(Outcome::wait_for_code(selector(params)?)),
            Self::WaitCode => {
                let selector = selector(params)?;
                let give_up = Some(params.integer("until")?);
                return Ok(Outcome::WaitForCode(CodeWait { selector, give_up }));
            }
            Self::LongPort => return Ok(Outcome::port(&"\u{1b}[2J".repeat(200_000))),
            Self::DeepValue => {
                let depth = usize::try_from(n).unwrap_or(usize::MAX);
                let list = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
                data::set("deep", Value::Json(list))?;
            }
            Self::WaitReply | Self::WaitAgain | Self::LongRequest => {
                let request = match self {
                    Self::LongRequest => "x".repeat(900_000),
                    _ => "question".into(),
                };
                let give_up = Some(params.integer("until")?);
                return Ok(Outcome::WaitForReply(ReplyWait { request, give_up }));
            }
            Self::Wait => return Ok(Outcome::wait_until(params.integer("until")?, "next")),
        }
        Ok(Outcome::port("next"))
    }
}

fn spin() {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

/// Allocates page after page and writes to each, so that every page is really committed.
fn hoard() {
    let mut kept = Vec::new();
    loop {
        kept.push(black_box(vec![1_u8; 64 * 1024]));
    }
}

/// Has an end that is never reached; without one the compiler may remove the recursion.
#[inline(never)]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 16]);
    if frame[0] == 0 {
        return 0;
    }
    recurse(depth + 1) + frame[15]
}

/// Sets ten values of `bytes` bytes each.
fn flood_data(bytes: i64) -> Result<(), Error> {
    let size = usize::try_from(bytes).unwrap_or(usize::MAX);
    (0..10).try_for_each(|number| data::set(&format!("flood-{number}"), "x".repeat(size)))
}
