//! The channels of an installation. A configured channel is created when delivery begins: only then
//! are its secrets read, not by every process that opens the database.

use std::sync::Arc;

use anyhow::{Context, Result};

use super::builder::default_maildir;
use super::{Builder, Promoflow};
use promoflow_channels::{Channel, Console, Http, Maildir, RateLimited, Smtp};
use promoflow_config::{ChannelConfig, Transport};
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
    fn channel(&self, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Channel>> {
        let config = match self {
            ChannelSource::Custom(channel) => return Ok(Arc::clone(channel)),
            ChannelSource::Configured(config) => config,
        };
        let channel: Arc<dyn Channel> = match &config.transport {
            Transport::Smtp(smtp) => Arc::new(Smtp::new(smtp)?),
            Transport::Http(http) => Arc::new(Http::new(http, Arc::clone(clock))?),
            Transport::Console => Arc::new(Console),
            Transport::Maildir(maildir) => Arc::new(Maildir::new(&maildir.folder)),
        };
        Ok(match config.rate {
            Some(rate) => Arc::new(RateLimited { channel, rate }),
            None => channel,
        })
    }
}

impl Builder {
    /// Creates the channels now, with their secrets, instead of when the installation starts, so
    /// that a missing secret is an error before a database is created.
    pub fn resolve_secrets(mut self) -> Result<Builder> {
        self.channels = Some(self.make_channels()?);
        self.unsubscriber = Some(self.make_unsubscriber()?);
        self.make_webhooks()?;
        if let Some(trace) = &self.trace {
            trace.read_headers()?;
        }
        Ok(self)
    }

    fn make_channels(&self) -> Result<Channels> {
        if self.channel_sources.is_empty() {
            let maildir = Maildir::new(default_maildir(&self.database));
            return Ok(vec![Arc::new(maildir)]);
        }
        let sources = self.channel_sources.iter();
        sources.map(|source| source.channel(&self.clock)).collect()
    }

    /// Creates the webhooks that are notified of alerts.
    pub(super) fn make_webhooks(&self) -> Result<Vec<Webhook>> {
        let made = self.webhooks.iter().map(|webhook| {
            let http = Http::new(&webhook.request, Arc::clone(&self.clock))
                .with_context(|| format!("webhook {}", webhook.name))?;
            Ok(Webhook {
                name: webhook.name.clone(),
                http: Arc::new(http),
            })
        });
        made.collect()
    }

    fn make_unsubscriber(&self) -> Result<Option<Unsubscriber>> {
        self.unsubscribe.as_ref().map(Unsubscriber::new).transpose()
    }
}

impl Promoflow {
    /// Returns the channels; creates them on first use.
    pub(super) fn channels(&self) -> Result<&Channels> {
        if let Some(channels) = self.channels.get() {
            return Ok(channels);
        }
        let made = self.settings.make_channels()?;
        Ok(self.channels.get_or_init(|| made))
    }

    /// Returns the unsubscriber, which creates and verifies unsubscribe addresses, if one is
    /// configured.
    pub(super) fn unsubscriber(&self) -> Result<Option<&Unsubscriber>> {
        if let Some(unsubscriber) = self.unsubscriber.get() {
            return Ok(unsubscriber.as_ref());
        }
        let made = self.settings.make_unsubscriber()?;
        Ok(self.unsubscriber.get_or_init(|| made).as_ref())
    }
}
