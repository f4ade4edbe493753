//! Hosts as processes of their own: this program, started again.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::fixture;

/// The first argument of a host.
const HOST: &str = "--host";

/// Runs as a host if the arguments say so: says when it is ready, waits for a line, and executes its
/// runs. Returns false if this process is not a host.
pub(crate) fn run_as_host() -> Result<bool> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [is_host, database, first, runs] = &arguments[..] else {
        return Ok(false);
    };
    if is_host != HOST {
        return Ok(false);
    }
    let (first, runs): (u64, u64) = (first.parse()?, runs.parse()?);
    let promoflow = fixture::builder(database).open()?;
    let running = promoflow.start()?;
    // Connections, leases and workflows are ready then.
    running.send(fixture::event(first))?;
    println!("ready");
    io::stdout().flush()?;
    io::stdin().read_line(&mut String::new())?;
    let (sender, receiver) = mpsc::channel();
    for number in first..first + runs {
        let sender = sender.clone();
        running.submit(fixture::event(number), move |receipt| {
            // The receiver is gone if another event was rejected.
            let _gone = sender.send(receipt.map(drop));
        });
    }
    drop(sender);
    receiver.into_iter().collect::<Result<(), _>>()?;
    println!("done");
    io::stdout().flush()?;
    running.stop();
    Ok(true)
}

/// Returns the runs per second of that many hosts together.
pub(super) fn rate_of_hosts(database: &str, hosts: u64, next: &mut u64, runs: u64) -> Result<f64> {
    let each = runs / hosts;
    let mut started = Vec::new();
    for _ in 0..hosts {
        started.push(Host::start(database, *next, each)?);
        *next += each;
    }
    let began = Instant::now();
    for host in &mut started {
        host.begin()?;
    }
    for host in &mut started {
        host.expect("done")?;
    }
    let took = began.elapsed();
    for host in started {
        host.end()?;
    }
    Ok((each * hosts) as f64 / took.as_secs_f64())
}

struct Host {
    process: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Host {
    fn start(database: &str, first: u64, runs: u64) -> Result<Host> {
        let mut process = Command::new(env::current_exe()?)
            .args([HOST, database, &first.to_string(), &runs.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().context("the output of a host")?;
        let mut host = Host {
            process,
            output: BufReader::new(output),
        };
        host.expect("ready")?;
        Ok(host)
    }

    fn begin(&mut self) -> Result<()> {
        let input = self.process.stdin.as_mut().context("the input of a host")?;
        Ok(input.write_all(b"begin\n")?)
    }

    fn expect(&mut self, word: &str) -> Result<()> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        ensure!(line.trim() == word, "a host failed instead of being {word}");
        Ok(())
    }

    fn end(mut self) -> Result<()> {
        let status = self.process.wait()?;
        ensure!(status.success(), "a host: {status}");
        Ok(())
    }
}
