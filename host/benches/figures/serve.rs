//! `serve`: events per second over HTTP through the whole service, until their run, code and
//! message are committed. The baseline is a bare axum handler that reads the same JSON and commits
//! one row, also by group commit. The same clients call both in turn, in alternating order. Each
//! event has an id of its own, as the guide recommends: the service looks it up and stores it in an
//! index, which the bare handler does not do.

mod bare;
mod clients;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use promoflow::api::{self, Limits, Options};
use promoflow::key::Scope;

use crate::audit;
use crate::fixture::{self, Layout};
use crate::goal::Goal;
use crate::report::{Report, Rounds};
use clients::{Load, Measured};

const CODES: u64 = 1_000_000;
const ROUNDS: usize = 7;
/// Clients, each of which sends its next event after the answer to the previous one.
const CONNECTIONS: usize = 128;
const MEASURED: Duration = Duration::from_secs(2);

pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let folder = fixture::folder()?;
    let pool = folder.path().join("pool.db");
    fixture::pool(&pool, &fixture::csv(CODES, Layout::Scattered)?)?;
    let service = Service::start(&pool)?;
    let bare = bare::start(&folder.path().join("bare.db"))?;

    let rounds = || (Rounds::default(), Vec::new(), Vec::new());
    let (mut runs, mut nothing) = (rounds(), rounds());
    for round in 0..=ROUNDS {
        let load = |address, event| {
            let load = Load {
                address,
                key: service.key.clone(),
                event,
                name: format!("{round}-{event}"),
                connections: CONNECTIONS,
                time: MEASURED,
            };
            load.run()
        };
        let limit = || load(bare, "birthday");
        let of_service = || -> Result<_> {
            let started = load(service.address, "birthday")?;
            Ok((started, load(service.address, "nothing")?))
        };
        // The first measurement of a round may find a cooler machine or a less busy disk.
        let (limit, (started, stored)) = match round % 2 == 0 {
            true => (limit()?, of_service()?),
            false => {
                let of_service = of_service()?;
                (limit()?, of_service)
            }
        };
        if round == 0 {
            // Warm the caches.
            continue;
        }
        for (figures, measured) in [(&mut runs, started), (&mut nothing, stored)] {
            let Measured { rate, p50, p99 } = measured;
            figures.0.add(rate, limit.rate);
            figures.1.push(p50);
            figures.2.push(p99);
        }
    }
    service.end()?;
    let figures = [
        (
            "serve_events",
            Some(Goal::ratio_at_least(0.5)),
            "events that are accepted and start no run, like those of the bare handler",
            nothing,
        ),
        (
            "serve_runs",
            None,
            "events that each start a run of two blocks: five rows and two sandboxes",
            runs,
        ),
    ];
    for (name, goal, what, (rates, p50, p99)) in figures {
        let note =
            format!("{what}; baseline: an axum handler that commits one row, by group commit");
        report.add_compared(&format!("{name}_per_s"), "events/s", goal, &note, &rates);
        let until = format!("until the answer, {CONNECTIONS} clients at once");
        report.add_single(&format!("{name}_p50"), "ms", None, &until, &p50);
        report.add_single(&format!("{name}_p99"), "ms", None, &until, &p99);
    }
    audit::databases(report, "serve", &[&pool])
}

/// The service of `promoflow serve`. It commits to its outbox and delivers nothing, like the other
/// benchmarks.
struct Service {
    address: SocketAddr,
    key: String,
    thread: JoinHandle<Result<(), api::ServeError>>,
}

impl Service {
    fn start(pool: &Path) -> Result<Service> {
        let promoflow = fixture::builder(pool).open()?;
        let key = promoflow.create_key(&[Scope::Events])?.secret;
        let options = Options {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            limits: Limits {
                events_per_second: u32::MAX,
                ..Limits::default()
            },
            ..Options::default()
        };
        let (address_sender, address_receiver) = mpsc::channel();
        let thread = thread::spawn(move || {
            api::serve(promoflow, options, |address| {
                // The receiver is still waiting.
                let _heard = address_sender.send(address);
            })
        });
        let address = address_receiver
            .recv()
            .context("the service does not listen")?;
        Ok(Service {
            address,
            key,
            thread,
        })
    }

    /// Stops the service as an operator does.
    fn end(self) -> Result<()> {
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGTERM)?;
        let ended = self.thread.join();
        ensure!(ended.is_ok(), "the service panicked");
        Ok(ended.unwrap_or(Ok(()))?)
    }
}
