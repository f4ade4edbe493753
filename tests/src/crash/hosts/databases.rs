//! The servers of the database: a primary and, for a fail-over, its synchronous standby.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use promoflow_test_postgres::{Proxy, Server, TestDatabase};

/// The servers and the database on them.
pub(super) struct Databases {
    primary: Server,
    standby: Server,
    database: TestDatabase,
    failed_over: AtomicBool,
}

/// A host's way to the servers.
pub(super) struct Network {
    proxies: [Proxy; 2],
}

impl Databases {
    pub(super) fn start() -> Result<Databases> {
        let primary = Server::start()?;
        let standby = primary.synchronous_standby()?;
        Ok(Databases {
            database: primary.database(),
            primary,
            standby,
            failed_over: AtomicBool::new(false),
        })
    }

    /// Returns the address that names both servers.
    pub(super) fn address(&self) -> String {
        let servers = [&self.primary, &self.standby];
        self.database.address_at(&servers.map(Server::port))
    }

    /// Returns the address that names both servers, through a host's network.
    pub(super) fn address_through(&self, network: &Network) -> String {
        let ports = network.proxies.each_ref().map(Proxy::port);
        self.database.address_at(&ports)
    }

    /// Connects a host.
    pub(super) fn network(&self) -> Result<Network> {
        let primary = Proxy::start(self.primary.port())?;
        let standby = Proxy::start(self.standby.port())?;
        Ok(Network {
            proxies: [primary, standby],
        })
    }

    /// Returns the rows of a query on the server that accepts writes.
    pub(super) fn query(&self, sql: &str) -> Result<Vec<Vec<String>>> {
        Ok(self.database.query_on(self.present(), sql)?)
    }

    /// Returns the number that a query selects.
    pub(super) fn number(&self, sql: &str) -> Result<u64> {
        let rows = self.query(sql)?;
        let number = rows.first().and_then(|row| row.first());
        Ok(number.map_or("", String::as_str).parse()?)
    }

    /// Restarts the server, as an operator does.
    pub(super) fn restart(&self) -> Result<()> {
        Ok(self.present().restart()?)
    }

    /// Kills the server and starts it again.
    pub(super) fn crash(&self) -> Result<()> {
        self.present().kill()?;
        Ok(self.present().start_again()?)
    }

    /// Kills the primary for good, and has the standby accept writes.
    pub(super) fn fail_over(&self) -> Result<()> {
        self.primary.kill()?;
        self.standby.promote()?;
        self.failed_over.store(true, Ordering::SeqCst);
        Ok(())
    }

    fn present(&self) -> &Server {
        match self.failed_over.load(Ordering::SeqCst) {
            true => &self.standby,
            false => &self.primary,
        }
    }
}

impl Network {
    pub(super) fn cut(&self) {
        self.proxies.iter().for_each(Proxy::cut);
    }

    pub(super) fn stall(&self) {
        self.proxies.iter().for_each(Proxy::stall);
    }

    pub(super) fn open(&self) {
        self.proxies.iter().for_each(Proxy::open);
    }

    /// Loses the answers to the next commits.
    pub(super) fn lose_commits(&self, count: u64) {
        for proxy in &self.proxies {
            proxy.swallow_commits(count);
        }
    }

    /// Returns how many answers to commits were lost.
    pub(super) fn lost_commits(&self) -> u64 {
        self.proxies.iter().map(Proxy::swallowed).sum()
    }
}
