//! Sends a file of events through the engine: many in flight, results in order.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::thread;

use promoflow_installation::Running;
use promoflow_model::event::{Event, MAX_EVENT_BYTES};

use super::answers::{Answer, Answers};
use crate::failure::Failure;
use crate::input::{Input, Line, next_line};
use crate::output::Out;

/// Maximum number of events in flight. Events share commits, and each waits until its commit is
/// durable: a smaller window would make small commits.
const WINDOW: usize = 4096;
/// Longer lines are not kept in memory. The size limit of events is checked elsewhere.
const MAX_LINE_BYTES: usize = 16 * MAX_EVENT_BYTES;

type Numbered = (u64, Answer);

/// Sends every event of a file, and collects the results in the order of the lines.
pub(super) fn send_all(
    running: &Running,
    input: Input,
    answers: &mut Answers,
    out: &mut Out,
) -> Result<(), Failure> {
    let (places, freed) = sync_channel(WINDOW);
    let (answer, answered) = channel();
    thread::scope(|scope| {
        let reading = scope.spawn(move || read_all(running, input, &places, &answer));
        let taken = take_all(&answered, freed, answers, out);
        // The output failed: dropping the receiver makes the reader stop.
        drop(answered);
        let read = reading
            .join()
            .unwrap_or_else(|_| Err(Failure::failed("the reader of the file panicked")));
        taken.and(read)
    })
}

fn read_all(
    running: &Running,
    input: Input,
    places: &SyncSender<()>,
    answer: &Sender<Numbered>,
) -> Result<(), Failure> {
    let mut number = 0;
    each(input, |line_number, event| {
        if places.send(()).is_err() {
            return Ok(ControlFlow::Break(()));
        }
        let answer = answer.clone();
        let at = number;
        number += 1;
        match event {
            Ok(event) => {
                let id = event.id.clone();
                running.submit(event, move |receipt| {
                    // The receiver is gone if the output failed.
                    let _gone = answer.send((at, Answer::of(id, Some(line_number), receipt)));
                });
            }
            Err(rejected) => {
                let _gone = answer.send((at, rejected));
            }
        }
        Ok(ControlFlow::Continue(()))
    })
}

/// Calls `visit` with each event of a file and its line number, or with the error of the line.
pub(super) fn each(
    input: Input,
    mut visit: impl FnMut(u64, Result<Event, Answer>) -> Result<ControlFlow<()>, Failure>,
) -> Result<(), Failure> {
    let Input { name, reader, .. } = input;
    let mut reader = BufReader::with_capacity(1 << 16, reader);
    let mut number = 0;
    loop {
        let line = next_line(&mut reader, MAX_LINE_BYTES)
            .map_err(|error| Failure::failed(format_args!("{name}: cannot read: {error}")))?;
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
fn read_event(line: Line, number: u64) -> Option<Result<Event, Answer>> {
    let rejected = |why: &str| Answer::rejected(None, Some(number), why.to_owned());
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
        Answer::rejected(id, Some(number), error.to_string())
    }))
}

fn take_all(
    answered: &Receiver<Numbered>,
    freed: Receiver<()>,
    answers: &mut Answers,
    out: &mut Out,
) -> Result<(), Failure> {
    let mut early = BTreeMap::new();
    let mut next = 0;
    loop {
        let (number, answer) = match answered.try_recv() {
            Ok(answer) => answer,
            Err(TryRecvError::Disconnected) => return Ok(()),
            Err(TryRecvError::Empty) => {
                // A client that sends one event after another waits for each result.
                out.flush()?;
                match answered.recv() {
                    Ok(answer) => answer,
                    Err(_) => return Ok(()),
                }
            }
        };
        early.insert(number, answer);
        while let Some(answer) = early.remove(&next) {
            next += 1;
            answers.take(answer, out)?;
            // The reader reserved a place for it before.
            let _ended = freed.recv();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, number: u64) -> Option<Result<Event, Answer>> {
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
