//! The library in a separate process, for suites that need several processes or one to kill.
//!
//! `DB` is the database, and messages are appended to the file `MESSAGES`.
//!
//! - `helper DB MESSAGES send PREFIX COUNT`: sends events `PREFIX-0` onwards of the main job, prints each
//!   acknowledgement, waits until no run is active and prints `rested`.
//! - `helper DB MESSAGES once PREFIX COUNT`: the same, with all events about one contact.
//! - `helper DB MESSAGES send-as TYPE PREFIX COUNT`: the same, with events of that type, one after another.
//! - `helper DB MESSAGES work`: executes runs until its input ends; prints `working` first.
//! - `helper DB MESSAGES import ROWS`: uploads generated rows and prints its peak memory in KiB.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, bail};
use promoflow::event::Event;
use promoflow::pool::ImportOptions;
use promoflow::run::Receipt;
use promoflow::{EngineHandle, Promoflow};
use promoflow_tests::{FileChannel, block_cache};

/// Sender threads.
const SENDERS: usize = 4;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [database, messages, command @ ..] = &words[..] else {
        bail!("missing arguments: database and messages");
    };
    let promoflow = Promoflow::builder(*database)
        .cache(block_cache())
        .workers(2)
        .channel(FileChannel(messages.into()))
        .open()?;
    match command {
        ["send", prefix, count] => send(&promoflow, prefix, count.parse()?),
        ["once", prefix, count] => send_about_one_contact(&promoflow, prefix, count.parse()?),
        ["send-as", kind, prefix, count] => send_as(&promoflow, kind, prefix, count.parse()?),
        ["work"] => work(&promoflow),
        ["import", rows] => import(&promoflow, rows.parse()?),
        _ => bail!("unknown command {command:?}"),
    }
}

fn print_line(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

fn send(promoflow: &Promoflow, prefix: &str, count: usize) -> Result<()> {
    let running = promoflow.start()?;
    let next = Arc::new(Mutex::new(0..count));
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|_| scope.spawn(|| send_events(&running, prefix, &next)))
            .collect();
        senders
            .into_iter()
            .try_for_each(|sender| sender.join().expect("a sender panicked"))
    })?;
    running.wait_all_idle()?;
    print_line("rested")?;
    Ok(())
}

fn send_events(
    running: &EngineHandle,
    prefix: &str,
    next: &Mutex<std::ops::Range<usize>>,
) -> Result<()> {
    loop {
        let number = next.lock().expect("a sender panicked").next();
        let Some(number) = number else { return Ok(()) };
        let id = format!("{prefix}-{number}");
        let address = format!("{id}@example.com");
        let event = Event::new("birthday", &address)
            .with_id(&id)
            .with_param("EmailAddress", address);
        acknowledge(&id, &running.send(event)?)?;
    }
}

fn send_about_one_contact(promoflow: &Promoflow, prefix: &str, count: usize) -> Result<()> {
    let running = promoflow.start()?;
    for number in 0..count {
        let id = format!("{prefix}-{number}");
        let event = Event::new("birthday", "one@example.com")
            .with_id(&id)
            .with_param("EmailAddress", "one@example.com");
        acknowledge(&id, &running.send(event)?)?;
    }
    running.wait_all_idle()?;
    print_line("rested")?;
    Ok(())
}

fn send_as(promoflow: &Promoflow, kind: &str, prefix: &str, count: usize) -> Result<()> {
    let running = promoflow.start()?;
    for number in 0..count {
        let id = format!("{prefix}-{number}");
        let address = format!("{id}@example.com");
        let event = Event::new(kind, &address)
            .with_id(&id)
            .with_param("EmailAddress", address);
        acknowledge(&id, &running.send(event)?)?;
    }
    running.wait_all_idle()?;
    print_line("rested")?;
    // Keep the database open until this process is killed or its input ends.
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn acknowledge(id: &str, receipt: &Receipt) -> Result<()> {
    let mut line = format!("accepted {id} {}", status_name(receipt.duplicate));
    for run in &receipt.runs {
        write!(line, " {run}")?;
    }
    Ok(print_line(&line)?)
}

fn status_name(duplicate: bool) -> &'static str {
    if duplicate { "again" } else { "new" }
}

fn work(promoflow: &Promoflow) -> Result<()> {
    let running = promoflow.start()?;
    print_line("working")?;
    io::stdin().read_to_end(&mut Vec::new())?;
    running.wait_all_idle()?;
    Ok(())
}

fn import(promoflow: &Promoflow, rows: u64) -> Result<()> {
    let rows = Rows {
        next: 0,
        end: rows,
        line: Vec::new(),
    };
    let report = promoflow.import(rows, &ImportOptions::default(), &mut |_| ())?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .context("/proc has no peak memory")?;
    print_line(&format!("inserted {}", report.inserted))?;
    print_line(peak.trim().trim_end_matches(" kB"))?;
    Ok(())
}

/// A file of codes that is generated while it is read.
struct Rows {
    next: u64,
    end: u64,
    line: Vec<u8>,
}

impl Read for Rows {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.line.is_empty() {
            if self.next == self.end {
                return Ok(0);
            }
            // Out of order, like random codes.
            let scattered = self.next.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            self.line = format!("{scattered:016X},2999-12-31,10,birthday\n").into_bytes();
            if self.next == 0 {
                let mut header = b"code,expirationDate,discount,type\n".to_vec();
                header.append(&mut self.line);
                self.line = header;
            }
            self.next += 1;
        }
        let count = self.line.len().min(into.len());
        into[..count].copy_from_slice(&self.line[..count]);
        self.line.drain(..count);
        Ok(count)
    }
}
