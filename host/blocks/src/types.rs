//! The host's types for calls into and out of a sandbox.

use promoflow_model::block::Value;
use promoflow_model::clock::Timestamp;
use promoflow_model::message::ChannelKind;
use promoflow_model::pool::Selector;

/// The host functions that a block can call. Implemented by the engine: every effect is staged and
/// takes effect only when the segment commits.
pub trait HostFunctions: Send + 'static {
    /// Returns a value of the run.
    fn get(&self, name: &str) -> Option<Value>;

    /// Sets a value of the run.
    fn set(&mut self, name: &str, value: Value) -> Result<(), SetError>;

    /// Returns the names of all values.
    fn names(&self) -> Vec<String>;

    /// Returns the event key.
    fn key(&self) -> &str;

    /// Claims the next matching code.
    fn claim(&mut self, request: ClaimRequest) -> Result<Promocode, ClaimError>;

    /// Stages a delivery and returns its index within the segment.
    fn send(&mut self, request: SendRequest) -> Result<u32, SendError>;

    /// Writes an entry to the run's history. The text is short and has no control characters.
    fn log(&mut self, level: LogLevel, text: &str);
}

/// One call of a block.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Call {
    /// Parameters by name: checked, with defaults, and with references evaluated.
    pub params: Vec<(String, Value)>,
    /// The end of the wait before this call; `None` for the first call.
    pub resumed: Option<Resumption>,
}

/// The reason why a step runs again after a wait.
#[derive(Clone, Debug, PartialEq)]
pub enum Resumption {
    /// A matching code may be available.
    Code,
    /// The reply to a request.
    Reply(Value),
    /// The wait timed out.
    GaveUp,
}

/// The outcome of a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The run leaves by this port.
    Port(String),
    /// The run continues at a later time by this port.
    WaitUntil {
        /// The time.
        until: Timestamp,
        /// The port.
        port: String,
    },
    /// The step runs again when a matching code may be available.
    WaitForCode {
        /// The selector of the code.
        selector: Selector,
        /// The end of the wait.
        give_up: Option<Timestamp>,
    },
    /// The step runs again with the reply.
    WaitForReply {
        /// The name of the request.
        request: String,
        /// The end of the wait.
        give_up: Option<Timestamp>,
    },
}

/// The reason why a step failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepError {
    /// The workflow or its parameters must be changed.
    Invalid(String),
    /// This run cannot continue.
    Rejected(String),
    /// Something is temporarily unavailable.
    Unavailable(String),
    /// The block trapped or exceeded a limit of its sandbox.
    Trapped(String),
}

/// A block's request for a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRequest {
    /// The criteria of the code.
    pub selector: Selector,
    /// The condition for reusing an earlier claim's code.
    pub reuse: Reuse,
    /// The reaction if no code matches.
    pub when_empty: WhenEmpty,
}

/// The condition for reusing an earlier claim's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// Always claims a new code.
    Never,
    /// Reuses a code of the same run.
    WithinRun,
    /// Reuses a code of the same contact for this number of seconds after the claim.
    ForContact(u64),
}

/// The reaction if no code matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhenEmpty {
    /// Returns an error to the block.
    Report,
    /// Makes the run wait for a refill.
    Wait,
    /// Returns this code, which is not from the pool.
    Substitute(String),
}

/// A code returned to a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promocode {
    /// The code.
    pub code: String,
    /// Its type.
    pub code_type: String,
    /// Its discount in percent.
    pub discount: u8,
    /// Its expiry; `None` if it never expires.
    pub expires: Option<Timestamp>,
    /// The origin of the code.
    pub origin: CodeOrigin,
}

/// The origin of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeOrigin {
    /// A new claim from the pool.
    Claimed,
    /// An earlier claim.
    Reused,
    /// The selector's substitute.
    Substitute,
}

/// The reason why no code was returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimError {
    /// No code matches.
    Exhausted,
    /// No code matches, and the run must wait for one.
    MustWait,
    /// The selector is invalid.
    Invalid(String),
    /// Too many claims.
    Denied(String),
    /// A temporary failure.
    Unavailable(String),
}

/// The reason why a value was not set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetError {
    /// The name or the value is invalid.
    Invalid(String),
    /// The run's values would be too large.
    TooLarge(String),
}

/// A block's request for a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendRequest {
    /// The alternatives in order of preference.
    pub targets: Vec<DeliveryTarget>,
    /// The earliest time to send.
    pub not_before: Option<Timestamp>,
    /// The time after which the delivery is cancelled.
    pub not_after: Option<Timestamp>,
    /// The hours in which the delivery may be sent.
    pub hours: Option<Hours>,
    /// The preferred language.
    pub language: Option<String>,
}

/// An alternative of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryTarget {
    /// The channel.
    pub channel: ChannelKind,
    /// The recipient.
    pub recipient: Recipient,
    /// The message id.
    pub message: String,
}

/// The recipient of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// An address of the channel.
    Address(String),
    /// A contact id.
    Contact(String),
}

/// Hours in which a delivery may start, in minutes after midnight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hours {
    /// The first minute.
    pub from: u16,
    /// The minute after the last one.
    pub until: u16,
    /// An IANA time zone name.
    pub time_zone: Option<String>,
}

/// The reason why no delivery was staged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The message does not exist, or is for another channel.
    UnknownMessage(String),
    /// The address is not valid for the channel.
    InvalidAddress(String),
    /// The contact does not exist or has no address.
    Unreachable(String),
    /// The contact has unsubscribed.
    NoConsent(String),
    /// The message cannot be rendered.
    Unrenderable(String),
    /// Another field is invalid.
    Invalid(String),
    /// Too many deliveries.
    Denied(String),
    /// A temporary failure.
    Unavailable(String),
}

/// The level of a log entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Details for the block's author.
    Debug,
    /// Normal progress.
    Info,
    /// A likely problem.
    Warn,
    /// An error.
    Error,
}
