//! Sends a file of events through the engine: many in flight, results in order.

use std::collections::{BTreeMap, HashSet};
use std::io::BufReader;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use promoflow_installation::EngineHandle;
use promoflow_model::event::{CheckedEvent, Event, MAX_EVENT_BYTES};

use super::results::{EventResult, EventResults};
use crate::error::CliError;
use crate::input::{Input, Line, next_line};
use crate::output::Out;

/// Maximum number of events in flight. Events share commits, and each waits until its commit is
/// durable: a smaller window would make small commits.
const WINDOW: usize = 4096;
/// Longer lines are not kept in memory. The size limit of events is checked elsewhere.
const MAX_LINE_BYTES: usize = 16 * MAX_EVENT_BYTES;

type Numbered = (u64, EventResult);

/// Sends every event of a file, and collects the results in the order of the lines.
pub(super) fn send_all(
    running: &EngineHandle,
    input: Input,
    results: &mut EventResults,
    out: &mut Out,
) -> Result<(), CliError> {
    let (permits, permit_returns) = sync_channel(WINDOW);
    let (result, receiver) = channel();
    thread::scope(|scope| {
        let reading = scope.spawn(move || read_all(running, input, &permits, &result));
        let collected = collect_all(&receiver, permit_returns, results, out);
        // The output failed: dropping the receiver makes the reader stop.
        drop(receiver);
        let read = reading
            .join()
            .unwrap_or_else(|_| Err(CliError::failed("the reader of the file panicked")));
        collected.and(read)
    })
}

fn read_all(
    running: &EngineHandle,
    input: Input,
    permits: &SyncSender<()>,
    result: &Sender<Numbered>,
) -> Result<(), CliError> {
    let mut number = 0;
    let ids = Arc::new(IdsInFlight::default());
    for_each_event(input, |line_number, event| {
        if permits.send(()).is_err() {
            return Ok(ControlFlow::Break(()));
        }
        let result = result.clone();
        let at = number;
        number += 1;
        match event {
            Ok(event) => {
                let id = event.id.clone();
                let in_flight = id.clone().map(|id| ids.wait_for(id));
                running.submit(event, move |receipt| {
                    drop(in_flight);
                    // The receiver is gone if the output failed.
                    let _gone =
                        result.send((at, EventResult::from_reply(id, Some(line_number), receipt)));
                });
            }
            Err(rejected) => {
                let _gone = result.send((at, rejected));
            }
        }
        Ok(ControlFlow::Continue(()))
    })
}

/// The ids of the events in flight. Workers process events in any order, so an event waits for an
/// earlier one with the same id: the first line with an id is the event, later ones repeat it.
#[derive(Default)]
struct IdsInFlight {
    ids: Mutex<HashSet<String>>,
    removed: Condvar,
}

impl IdsInFlight {
    /// Adds an id; first blocks until no other event with this id is in flight.
    fn wait_for(self: &Arc<IdsInFlight>, id: String) -> IdInFlight {
        let ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.removed.wait_while(ids, |ids| ids.contains(&id));
        let mut ids = waited.unwrap_or_else(PoisonError::into_inner);
        ids.insert(id.clone());
        let all = Arc::clone(self);
        IdInFlight { all, id }
    }
}

/// The id of an event in flight; dropped once its result is known.
struct IdInFlight {
    all: Arc<IdsInFlight>,
    id: String,
}

impl Drop for IdInFlight {
    fn drop(&mut self) {
        let ids = self.all.ids.lock();
        ids.unwrap_or_else(PoisonError::into_inner).remove(&self.id);
        self.all.removed.notify_one();
    }
}

/// Calls `visit` with each event of a file and its line number, or with the error of the line.
pub(super) fn for_each_event(
    input: Input,
    mut visit: impl FnMut(u64, Result<CheckedEvent, EventResult>) -> Result<ControlFlow<()>, CliError>,
) -> Result<(), CliError> {
    let Input { name, reader, .. } = input;
    let mut reader = BufReader::with_capacity(1 << 16, reader);
    let mut number = 0;
    loop {
        let line = next_line(&mut reader, MAX_LINE_BYTES)
            .map_err(|error| CliError::failed(format_args!("{name}: cannot read: {error}")))?;
        let Some(line) = line else { return Ok(()) };
        number += 1;
        if let Some(event) = read_event(line, number)
            && visit(number, event)?.is_break()
        {
            return Ok(());
        }
    }
}

/// Parses the event of a line; `None` for a blank one.
fn read_event(line: Line, number: u64) -> Option<Result<CheckedEvent, EventResult>> {
    let rejected = |why: &str| EventResult::rejected(None, Some(number), why.to_owned());
    let text = match line {
        Line::Text(text) => text,
        Line::TooLong => return Some(Err(rejected("event: the line is too long"))),
        Line::NotText => return Some(Err(rejected("event: not UTF-8"))),
    };
    // Windows editors begin a file with a byte order mark.
    let text = match number {
        1 => text.strip_prefix('\u{feff}').unwrap_or(&text),
        _ => &text,
    };
    if text.trim().is_empty() {
        return None;
    }
    Some(Event::from_json(text).map_err(|error| {
        let body: Option<serde_json::Value> = serde_json::from_str(text).ok();
        let id = body.and_then(|body| body.get("id")?.as_str().map(str::to_owned));
        EventResult::rejected(id, Some(number), error.to_string())
    }))
}

fn collect_all(
    receiver: &Receiver<Numbered>,
    permit_returns: Receiver<()>,
    results: &mut EventResults,
    out: &mut Out,
) -> Result<(), CliError> {
    let mut out_of_order = BTreeMap::new();
    let mut next = 0;
    loop {
        let (number, result) = match receiver.try_recv() {
            Ok(result) => result,
            Err(TryRecvError::Disconnected) => return Ok(()),
            Err(TryRecvError::Empty) => {
                // A client that sends one event after another waits for each result.
                out.flush()?;
                match receiver.recv() {
                    Ok(result) => result,
                    Err(_) => return Ok(()),
                }
            }
        };
        out_of_order.insert(number, result);
        while let Some(result) = out_of_order.remove(&next) {
            next += 1;
            results.add(result, out)?;
            // The reader reserved a place for it before.
            let _ended = permit_returns.recv();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, number: u64) -> Option<Result<CheckedEvent, EventResult>> {
        read_event(Line::Text(text.to_owned()), number)
    }

    #[test]
    fn reads_blank_lines_events_and_rejections() {
        assert!(read("  ", 3).is_none());
        let event = r#"{"id": "e-1", "eventTypeKey": "birthday", "keyValue": "ann"}"#;
        assert!(read(event, 2).unwrap().is_ok());
        assert!(read(&format!("\u{feff}{event}"), 1).unwrap().is_ok());
        let rejected = read(r#"{"id": "e-2", "keyValue": "ann"}"#, 7)
            .unwrap()
            .unwrap_err();
        assert_eq!(
            serde_json::to_string(&rejected).unwrap(),
            r#"{"event":"e-2","status":"rejected","runs":[],"error":"eventTypeKey: missing; expected the event's type","line":7}"#
        );
    }
}
