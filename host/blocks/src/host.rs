//! What a block's call crosses the sandbox with: the contract's types as the host has them.

use std::any::Any;

use promoflow_model::block::Value;
use promoflow_model::clock::Timestamp;
use promoflow_model::message::ChannelKind;
use promoflow_model::pool::Selector;

/// What a step may reach while its block runs. The run implements it: everything that is done
/// here is staged, and nothing of it is true before the segment commits.
pub trait StepHost: Any + Send {
    /// A value of the run.
    fn get(&self, name: &str) -> Option<Value>;

    /// Sets a value of the run.
    fn set(&mut self, name: &str, value: Value) -> Result<(), SetError>;

    /// The names that have a value.
    fn names(&self) -> Vec<String>;

    /// Whom the event is about.
    fn key(&self) -> &str;

    /// Takes the next matching code.
    fn claim(&mut self, request: ClaimRequest) -> Result<Promocode, ClaimError>;

    /// Stages a delivery and gives its number within the run.
    fn send(&mut self, request: SendRequest) -> Result<u32, SendError>;

    /// Notes something in the run's history; the text is bounded and has no control characters.
    fn log(&mut self, level: LogLevel, text: &str);
}

/// One call of a block.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Call {
    /// Parameters by name: checked, defaults filled in, references evaluated.
    pub params: Vec<(String, Value)>,
    /// Why the step runs once more; `None` for the first call.
    pub resumed: Option<Resumption>,
}

/// Why a step runs once more after a wait.
#[derive(Clone, Debug, PartialEq)]
pub enum Resumption {
    /// A code may be there.
    Code,
    /// The answer to a request.
    Reply(Value),
    /// The wait was given up.
    GaveUp,
}

/// How a step ends.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The run leaves by this port.
    Port(String),
    /// The run goes on later, by this port.
    WaitUntil {
        /// When.
        until: Timestamp,
        /// Where.
        port: String,
    },
    /// The step runs again when a code may be there.
    WaitForCode {
        /// Which.
        selector: Selector,
        /// When to stop waiting.
        give_up: Option<Timestamp>,
    },
    /// The step runs again with the reply.
    WaitForReply {
        /// To what.
        request: String,
        /// When to stop waiting.
        give_up: Option<Timestamp>,
    },
}

/// Why a step has no outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepError {
    /// The author must change something.
    Invalid(String),
    /// This run cannot go on.
    Rejected(String),
    /// Something is out of reach.
    Unavailable(String),
    /// The block trapped, or went over a bound of its sandbox.
    Trapped(String),
}

/// A claim, as a block asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRequest {
    /// Which code.
    pub selector: Selector,
    /// Whether an earlier claim's code serves again.
    pub reuse: Reuse,
    /// What happens when no code matches.
    pub when_empty: WhenEmpty,
}

/// When a claim is answered with a code that was claimed before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// Never.
    Never,
    /// Within the run.
    WithinRun,
    /// For the contact, for so many seconds after the claim.
    ForContact(u64),
}

/// What the host does when no code matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhenEmpty {
    /// Says so.
    Report,
    /// Puts the run among those that wait for a refill.
    Wait,
    /// Hands this out, which is not of the pool.
    Substitute(String),
}

/// A code that was handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promocode {
    /// The code.
    pub code: String,
    /// Its type.
    pub code_type: String,
    /// Its discount.
    pub discount: u8,
    /// When it expires; `None`: never.
    pub expires: Option<Timestamp>,
    /// Where it came from.
    pub origin: CodeOrigin,
}

/// Where a code came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeOrigin {
    /// Out of the pool.
    Claimed,
    /// From an earlier claim.
    Reused,
    /// The selector's substitute.
    Substitute,
}

/// Why no code was handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimError {
    /// No code matches.
    Exhausted,
    /// No code matches, and the run shall wait for one.
    MustWait,
    /// The selector is out of bounds.
    Invalid(String),
    /// Too many claims.
    Denied(String),
    /// Try again later.
    Unavailable(String),
}

/// Why a value was not set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetError {
    /// Name or value are none.
    Invalid(String),
    /// The run would hold too much.
    TooLarge(String),
}

/// What is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendRequest {
    /// In order of preference.
    pub targets: Vec<Target>,
    /// Not before.
    pub not_before: Option<Timestamp>,
    /// Given up after.
    pub not_after: Option<Timestamp>,
    /// Only in these hours.
    pub hours: Option<Hours>,
    /// The language to prefer.
    pub language: Option<String>,
}

/// One way to reach somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// How.
    pub channel: ChannelKind,
    /// Whom.
    pub recipient: Recipient,
    /// The message's id.
    pub message: String,
}

/// To whom a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// An address of the channel.
    Address(String),
    /// A contact's id.
    Contact(String),
}

/// Hours in which a delivery may begin, in minutes after midnight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hours {
    /// The first minute.
    pub from: u16,
    /// The minute after the last.
    pub until: u16,
    /// An IANA name.
    pub time_zone: Option<String>,
}

/// Why nothing was staged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// No such message, or one of another channel.
    UnknownMessage(String),
    /// Not an address of the channel.
    InvalidAddress(String),
    /// No such contact, or no address.
    Unreachable(String),
    /// The contact does not want it.
    NoConsent(String),
    /// The message cannot be made.
    Unrenderable(String),
    /// Another field is out of bounds.
    Invalid(String),
    /// Too many deliveries.
    Denied(String),
    /// Try again later.
    Unavailable(String),
}

/// How much a note matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// For the block's author.
    Debug,
    /// For the curious.
    Info,
    /// For those who look for a cause.
    Warn,
    /// For everybody.
    Error,
}
