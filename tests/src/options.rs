//! Command-line options of the programs `crash` and `outbox`, shared with `cargo xtask`.

use std::num::NonZeroU64;

use clap::Args;

/// Options of `crash`.
#[derive(Args, Clone, Debug)]
pub struct CrashOptions {
    /// Kill the HTTP service instead of single commands
    #[arg(long)]
    pub serve: bool,
    /// Kill, pause and cut off this number of hosts on one PostgreSQL, which fails over
    #[arg(long, value_name = "N", conflicts_with = "serve", value_parser = clap::value_parser!(u64).range(2..=16))]
    pub hosts: Option<u64>,
    /// Number of events that are sent to the hosts [default: 100000]
    #[arg(long, value_name = "N", requires = "hosts")]
    pub events: Option<u64>,
    /// Number of kills [default: 100; with --serve: 10; with --hosts: 20, and as many other faults]
    #[arg(long, value_name = "N")]
    pub kills: Option<u64>,
    /// Time in seconds during which clients send events [default: 60]
    #[arg(long, value_name = "N", requires = "serve")]
    pub seconds: Option<u64>,
    /// Number of clients of the HTTP service [default: 32]
    #[arg(long, value_name = "N")]
    pub connections: Option<NonZeroU64>,
    /// Seed of the random choices [default: the current time]
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
}

/// Options of `outbox`.
#[derive(Args, Clone, Debug)]
pub struct OutboxOptions {
    /// Number of deliveries
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub deliveries: u64,
    /// Seed of the faults [default: the current time]
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
}

impl CrashOptions {
    /// Returns the options as arguments.
    pub fn to_args(&self) -> Vec<String> {
        let serve = self.serve.then(|| "--serve".to_owned());
        let numbers = [
            ("--hosts", self.hosts),
            ("--events", self.events),
            ("--kills", self.kills),
            ("--seconds", self.seconds),
            ("--connections", self.connections.map(NonZeroU64::get)),
            ("--seed", self.seed),
        ];
        serve.into_iter().chain(to_args(numbers)).collect()
    }
}

impl OutboxOptions {
    /// Returns the options as arguments.
    pub fn to_args(&self) -> Vec<String> {
        let numbers = [
            ("--deliveries", Some(self.deliveries)),
            ("--seed", self.seed),
        ];
        to_args(numbers).collect()
    }
}

fn to_args<const N: usize>(numbers: [(&str, Option<u64>); N]) -> impl Iterator<Item = String> {
    numbers
        .into_iter()
        .filter_map(|(option, number)| number.map(|number| format!("{option}={number}")))
}
