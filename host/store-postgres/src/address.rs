//! The address of a database server, and how to reach it.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls_improved::MakeRustlsConnect;
use url::Url;

use promoflow_store::StoreError;

use crate::driver::{self, Notices};
use crate::errors::{Error, Result, describe};

/// The longest wait for a server to let a connection in, from the look-up of its name to the end of
/// authentication, unless the address says `connect_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may be silent before its other end is asked for a sign of life, and then
/// between two questions.
const KEEPALIVE: Duration = Duration::from_secs(3);
/// After how many questions without an answer the connection is given up.
const KEEPALIVE_RETRIES: u32 = 3;
/// How long what was sent may stay unconfirmed before the connection is given up.
const UNCONFIRMED_TIMEOUT: Duration = Duration::from_secs(10);

/// A parsed connection string.
pub(crate) struct Address {
    /// One configuration for each server, in the order of the address.
    servers: Vec<Server>,
    timeout: Duration,
}

struct Server {
    config: Config,
    name: String,
    tls: Option<MakeRustlsConnect>,
}

impl Address {
    /// Parses a connection string: `postgres://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE?OPTIONS`,
    /// with libpq's options.
    pub(crate) fn parse(address: &str) -> Result<Address, StoreError> {
        let options = TlsOptions::take(address)?;
        let mut config: Config = options
            .rest
            .parse()
            .map_err(|error| invalid(&describe(&error)))?;
        if config.get_dbname().is_none() {
            return Err(invalid(
                "it names no database; write postgres://USER@HOST/DATABASE",
            ));
        }
        config
            .application_name("promoflow")
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .keepalives_idle(KEEPALIVE)
            .keepalives_interval(KEEPALIVE)
            .keepalives_retries(KEEPALIVE_RETRIES)
            .tcp_user_timeout(UNCONFIRMED_TIMEOUT);
        let timeout = config.get_connect_timeout().copied();
        let servers = options.servers(&config)?;
        Ok(Address {
            servers,
            timeout: timeout.unwrap_or(CONNECT_TIMEOUT),
        })
    }

    /// Connects to the first server that answers in time and accepts writes.
    pub(crate) async fn connect(&self) -> Result<(Client, Arc<Notices>)> {
        let mut failures = Vec::new();
        for server in &self.servers {
            let attempt = tokio::time::timeout(self.timeout, server.connect()).await;
            let failure = match attempt {
                Ok(Ok(connected)) => return Ok(connected),
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer within {} s", self.timeout.as_secs_f32()),
            };
            failures.push(format!("{}: {failure}", server.name));
        }
        Err(Error::Lost(format!(
            "cannot connect to the database: {}",
            failures.join("; ")
        )))
    }
}

impl Server {
    async fn connect(&self) -> Result<(Client, Arc<Notices>)> {
        match &self.tls {
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                Ok((client, driver::spawn(connection)))
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                Ok((client, driver::spawn(connection)))
            }
        }
    }
}

/// The options of an address that decide about TLS, which tokio-postgres knows only in part.
struct TlsOptions {
    /// The address without them.
    rest: String,
    /// `sslmode`; `None` if it is not stated.
    mode: Option<String>,
    /// `sslrootcert`: a file of certificates to trust besides the machine's.
    root_certificate: Option<String>,
}

impl TlsOptions {
    fn take(address: &str) -> Result<TlsOptions, StoreError> {
        let (base, query) = address.split_once('?').unwrap_or((address, ""));
        let mut options = TlsOptions {
            rest: String::new(),
            mode: None,
            root_certificate: None,
        };
        let mut kept = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let value = || decode(pair);
            match pair.split_once('=').map_or(pair, |(name, _)| name) {
                "sslmode" => options.mode = Some(value()?),
                "sslrootcert" => options.root_certificate = Some(value()?),
                _ => kept.push(pair),
            }
        }
        options.rest = match kept.is_empty() {
            true => base.to_owned(),
            false => format!("{base}?{}", kept.join("&")),
        };
        Ok(options)
    }

    /// Splits a configuration into one for each server.
    fn servers(&self, config: &Config) -> Result<Vec<Server>, StoreError> {
        let ports = config.get_ports();
        let addresses = config.get_hostaddrs();
        let mut servers = Vec::new();
        for (index, host) in config.get_hosts().iter().enumerate() {
            let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
            let mut one = without_hosts(config);
            one.port(port);
            let (name, is_near) = match host {
                Host::Tcp(name) => {
                    one.host(name);
                    (format!("{name}:{port}"), is_loopback(name))
                }
                #[cfg(unix)]
                Host::Unix(path) => {
                    one.host_path(path);
                    (path.display().to_string(), true)
                }
            };
            if let Some(address) = addresses.get(index) {
                one.hostaddr(*address);
            }
            let tls = match self.uses_tls(is_near)? {
                false => None,
                true => Some(self.client()?),
            };
            one.ssl_mode(match tls {
                Some(_) => SslMode::Require,
                None => SslMode::Disable,
            });
            servers.push(Server {
                config: one,
                name,
                tls,
            });
        }
        match servers.is_empty() {
            true => Err(invalid(
                "it names no host; write postgres://USER@HOST/DATABASE",
            )),
            false => Ok(servers),
        }
    }

    /// Returns whether to use TLS. Unless stated, it is used except within this machine.
    fn uses_tls(&self, is_near: bool) -> Result<bool, StoreError> {
        match self.mode.as_deref() {
            None => Ok(!is_near),
            Some("disable") => Ok(false),
            Some("require" | "verify-ca" | "verify-full") => Ok(true),
            Some(other) => Err(invalid(&format!(
                "`sslmode={other}`: expected `disable`, `require` or `verify-full`; with TLS the \
                 server's certificate is always verified"
            ))),
        }
    }

    fn client(&self) -> Result<MakeRustlsConnect, StoreError> {
        let further = match &self.root_certificate {
            None => Vec::new(),
            Some(path) => CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| invalid(&format!("cannot read `sslrootcert={path}`: {error}")))?,
        };
        let config = promoflow_net::client_config(further)
            .map_err(|error| StoreError::Open(format!("cannot set up TLS: {error}")))?;
        Ok(MakeRustlsConnect::new(config))
    }
}

fn without_hosts(config: &Config) -> Config {
    let mut one = Config::new();
    if let Some(user) = config.get_user() {
        one.user(user);
    }
    if let Some(password) = config.get_password() {
        one.password(password);
    }
    if let Some(database) = config.get_dbname() {
        one.dbname(database);
    }
    if let Some(options) = config.get_options() {
        one.options(options);
    }
    if let Some(name) = config.get_application_name() {
        one.application_name(name);
    }
    one.target_session_attrs(config.get_target_session_attrs())
        .channel_binding(config.get_channel_binding())
        .keepalives(config.get_keepalives())
        .keepalives_idle(config.get_keepalives_idle());
    if let Some(interval) = config.get_keepalives_interval() {
        one.keepalives_interval(interval);
    }
    if let Some(retries) = config.get_keepalives_retries() {
        one.keepalives_retries(retries);
    }
    if let Some(timeout) = config.get_tcp_user_timeout() {
        one.tcp_user_timeout(*timeout);
    }
    one
}

/// Decodes the value of an option.
fn decode(pair: &str) -> Result<String, StoreError> {
    let value = pair.split_once('=').map_or("", |(_, value)| value);
    let query = Url::parse(&format!("postgres://host/?value={value}"))
        .map_err(|error| invalid(&error.to_string()))?;
    let decoded = query.query_pairs().next();
    Ok(decoded
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default())
}

/// Returns true for names of this machine.
fn is_loopback(name: &str) -> bool {
    name == "localhost"
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn invalid(why: &str) -> StoreError {
    StoreError::Open(format!("cannot use the address of the database: {why}"))
}
