//! The channels of an installation. A configured channel is created when delivery begins: only then
//! are its secrets read, not by every process that opens the database.

use std::sync::Arc;

use super::error::{Cause, with_context};
use super::{Builder, Error, Promoflow};
#[cfg(feature = "http-channel")]
use promoflow_channels::Http;
use promoflow_channels::{Channel, Console, Notifier, RateLimited};
#[cfg(feature = "smtp")]
use promoflow_channels::{Maildir, Smtp};
use promoflow_config::{ChannelConfig, HttpConfig, MaildirConfig, SmtpConfig, Transport};
use promoflow_engine::outbox::{Unsubscriber, Webhook};
use promoflow_model::clock::Clock;

/// The source of a channel.
pub(super) enum ChannelSource {
    /// A channel of the embedding program.
    Custom(Arc<dyn Channel>),
    /// A channel of a configuration.
    Configured(ChannelConfig),
}

/// The channels of an installation, with their secrets.
pub(super) type Channels = Vec<Arc<dyn Channel>>;

impl ChannelSource {
    fn channel(&self, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Channel>, Cause> {
        let config = match self {
            ChannelSource::Custom(channel) => return Ok(Arc::clone(channel)),
            ChannelSource::Configured(config) => config,
        };
        let channel: Arc<dyn Channel> = match &config.transport {
            Transport::Smtp(smtp) => new_smtp(smtp)?,
            Transport::Http(http) => new_http(http, clock)?,
            Transport::Console => Arc::new(Console),
            Transport::Maildir(maildir) => new_maildir(maildir)?,
        };
        Ok(match config.rate {
            Some(rate) => Arc::new(RateLimited { channel, rate }),
            None => channel,
        })
    }
}

#[cfg(feature = "smtp")]
fn new_smtp(config: &SmtpConfig) -> Result<Arc<dyn Channel>, Cause> {
    Ok(Arc::new(Smtp::new(config)?))
}

#[cfg(not(feature = "smtp"))]
fn new_smtp(_: &SmtpConfig) -> Result<Arc<dyn Channel>, Cause> {
    Err("this program was built without email; enable the feature `smtp` of `promoflow`".into())
}

#[cfg(feature = "smtp")]
fn new_maildir(config: &MaildirConfig) -> Result<Arc<dyn Channel>, Cause> {
    Ok(Arc::new(Maildir::new(&config.folder)))
}

#[cfg(not(feature = "smtp"))]
fn new_maildir(_: &MaildirConfig) -> Result<Arc<dyn Channel>, Cause> {
    Err(
        "there is no channel: a Maildir needs the feature `smtp` of `promoflow`; enable it, or add \
         a channel to the builder"
            .into(),
    )
}

#[cfg(feature = "http-channel")]
fn new_http(config: &Arc<HttpConfig>, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Channel>, Cause> {
    Ok(Arc::new(Http::new(config, Arc::clone(clock))?))
}

#[cfg(feature = "http-channel")]
fn new_notifier(
    config: &Arc<HttpConfig>,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Notifier>, Cause> {
    Ok(Arc::new(Http::new(config, Arc::clone(clock))?))
}

#[cfg(not(feature = "http-channel"))]
fn new_http(_: &Arc<HttpConfig>, _: &Arc<dyn Clock>) -> Result<Arc<dyn Channel>, Cause> {
    Err(NO_HTTP.into())
}

#[cfg(not(feature = "http-channel"))]
fn new_notifier(_: &Arc<HttpConfig>, _: &Arc<dyn Clock>) -> Result<Arc<dyn Notifier>, Cause> {
    Err(NO_HTTP.into())
}

#[cfg(not(feature = "http-channel"))]
const NO_HTTP: &str = "this program was built without requests to providers and webhooks; enable the \
                       feature `http-channel` of `promoflow`";

impl Builder {
    /// Creates the channels now, with their secrets, instead of when the installation starts, so
    /// that a missing secret is an error before a database is created.
    pub fn resolve_secrets(mut self) -> Result<Builder, Error> {
        self.channels = Some(self.make_channels()?);
        self.unsubscriber = Some(self.make_unsubscriber()?);
        self.make_webhooks()?;
        if let Some(trace) = &self.trace {
            trace.read_headers().map_err(Error::configuration)?;
        }
        Ok(self)
    }

    fn make_channels(&self) -> Result<Channels, Error> {
        if self.channel_sources.is_empty() {
            let folder = self.default_maildir();
            let maildir = new_maildir(&MaildirConfig { folder });
            return Ok(vec![maildir.map_err(Error::configuration)?]);
        }
        let sources = self.channel_sources.iter();
        let made = sources.map(|source| source.channel(&self.clock));
        made.collect::<Result<_, Cause>>()
            .map_err(Error::configuration)
    }

    /// Creates the webhooks that are notified of alerts.
    pub(super) fn make_webhooks(&self) -> Result<Vec<Webhook>, Error> {
        let made = self.webhooks.iter().map(|webhook| {
            Ok(Webhook {
                name: webhook.name.clone(),
                notifier: new_notifier(&webhook.request, &self.clock).map_err(|error| {
                    with_context(format_args!("webhook {}", webhook.name), &*error)
                })?,
            })
        });
        made.collect::<Result<_, Cause>>()
            .map_err(Error::configuration)
    }

    fn make_unsubscriber(&self) -> Result<Option<Unsubscriber>, Error> {
        let made = self.unsubscribe.as_ref().map(Unsubscriber::new);
        made.transpose().map_err(Error::configuration)
    }
}

impl Promoflow {
    /// Returns the channels; creates them on first use.
    pub(super) fn channels(&self) -> Result<&Channels, Error> {
        if let Some(channels) = self.channels.get() {
            return Ok(channels);
        }
        let made = self.settings.make_channels()?;
        Ok(self.channels.get_or_init(|| made))
    }

    /// Returns the unsubscriber, which creates and verifies unsubscribe addresses, if one is
    /// configured.
    pub(super) fn unsubscriber(&self) -> Result<Option<&Unsubscriber>, Error> {
        if let Some(unsubscriber) = self.unsubscriber.get() {
            return Ok(unsubscriber.as_ref());
        }
        let made = self.settings.make_unsubscriber()?;
        Ok(self.unsubscriber.get_or_init(|| made).as_ref())
    }
}
