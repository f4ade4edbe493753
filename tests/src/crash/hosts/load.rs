//! The load: events by their number, and what each of them does.

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// What the run of an event does before its message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Claims a code.
    Prompt,
    /// Claims a code, and waits until a time.
    Sleeping,
    /// Waits for a code, because there are fewer codes than events for a while.
    Patient,
}

impl Kind {
    /// Returns the kind of an event. Runs that wait are few: other transactions stop while a wait is
    /// committed, so the more there are the less happens at once.
    pub(super) fn of(number: u64) -> Kind {
        match number % 50 {
            0 => Kind::Patient,
            15 | 35 => Kind::Sleeping,
            _ => Kind::Prompt,
        }
    }

    /// Returns the type of the events, and of the codes.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Prompt => "prompt",
            Kind::Sleeping => "sleeping",
            Kind::Patient => "patient",
        }
    }
}

/// The message and the workflows.
pub(super) const MESSAGE: &str = "
message: mail
channel: email
subject: A code
text: \"$!data.get('promocode')\"
";
pub(super) const WORKFLOWS: &str = "
workflow: prompt
start: { event: prompt }
steps:
  - id: code
    block: get-promocode
    with: { type: prompt, discount: 10, days: 0 }
    ports: { exhausted: end }
  - { id: mail, block: send-message, with: { channel: email, message: mail } }
---
workflow: sleeping
start: { event: sleeping }
steps:
  - id: code
    block: get-promocode
    with: { type: sleeping, discount: 10, days: 0 }
    ports: { exhausted: end }
  - id: sleep
    block: mischief
    with: { do: wait, until: $!data.get('until') }
    ports: { other: end }
  - { id: mail, block: send-message, with: { channel: email, message: mail } }
---
workflow: patient
start: { event: patient }
steps:
  - id: code
    block: get-promocode
    with: { type: patient, discount: 10, days: 0, when-empty: wait }
  - { id: mail, block: send-message, with: { channel: email, message: mail } }
";

/// Returns the configuration of the hosts, which send their messages to a port of this machine.
pub(super) fn configuration(receiver: u16) -> String {
    format!(
        r#"
[[channel]]
type = "http"
takes = ["email"]
url = "http://127.0.0.1:{receiver}/"
json = {{ to = "$address", code = "$text" }}
connections = 16
timeout-seconds = 5
"#
    )
}

/// Returns the id of an event, which is also its key.
pub(super) fn id(number: u64) -> String {
    format!("e{number}")
}

/// Returns where the message of an event is sent.
pub(super) fn address(number: u64) -> String {
    format!("e{number}@example.com")
}

/// Returns the body of a request with an event. `until`: the time for which a sleeping run waits, in
/// milliseconds since 1970.
pub(super) fn event(number: u64, until: u128) -> String {
    let (id, address) = (id(number), address(number));
    let kind = Kind::of(number).name();
    format!(
        r#"{{"id":"{id}","eventTypeKey":"{kind}","keyValue":"{id}","params":[{{"name":"EmailAddress","value":"{address}"}},{{"name":"until","value":"{until}"}}]}}"#
    )
}

/// Returns exactly as many codes as the events of a kind below `events` need, as a file.
pub(super) fn codes(kind: Kind, events: std::ops::Range<u64>) -> String {
    let mut csv = "code\n".to_owned();
    for number in events.filter(|number| Kind::of(*number) == kind) {
        let _ = writeln!(csv, "{}{number}", &kind.name()[..2].to_uppercase());
    }
    csv
}

/// Returns the time in milliseconds since 1970.
pub(super) fn now() -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis())
}
