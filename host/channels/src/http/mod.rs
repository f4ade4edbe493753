//! `http`: sends messages through a provider's HTTP API, and alert notifications to webhooks.
//!
//! A message becomes one request, built from the configuration's templates ([`request`]). It
//! carries an idempotency key that is the same in every attempt, and a signature if secrets are
//! configured ([`sign`]). The response is classified by the configuration's rules, and by its
//! status if no rule matches ([`judge`]).

mod client;
mod judge;
mod request;
mod sign;

use std::sync::Arc;

use reqwest::Request;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use self::judge::{Heard, Judgement};
use self::request::Unmade;
use self::sign::Signer;
use super::complaints::Complaints;
use super::{Channel, Handover, Letter, Limits};
use promoflow_config::{HttpConfig, Means};
use promoflow_model::clock::Clock;
use promoflow_model::message::ChannelKind;
use promoflow_net::{HttpClient, HttpReply};

/// Sends messages through one provider, over persistent connections.
pub struct Http {
    config: Arc<HttpConfig>,
    client: HttpClient,
    /// The configuration's secrets, by their names in templates.
    secrets: Vec<(String, String)>,
    password: Option<String>,
    signer: Signer,
    complaints: Complaints,
    clock: Arc<dyn Clock>,
}

impl Http {
    /// Creates a channel and reads its secrets. It connects with the first message.
    pub fn new(config: &Arc<HttpConfig>, clock: Arc<dyn Clock>) -> anyhow::Result<Http> {
        let config = Arc::clone(config);
        let secrets = config.secrets.iter();
        let secrets = secrets.map(|(name, secret)| Ok((name.clone(), secret.read()?)));
        let password = config.login.as_ref();
        let http = Http {
            client: client::make(&config)?,
            secrets: secrets.collect::<anyhow::Result<_>>()?,
            password: password.map(|(_, secret)| secret.read()).transpose()?,
            signer: Signer::new(&config.sign)?,
            complaints: Complaints::default(),
            clock,
            config,
        };
        http.try_secrets()?;
        Ok(http)
    }

    /// Sends an alert event as JSON to a webhook. The id is the same in every attempt.
    pub fn tell(&self, id: &str, event: &str) -> Handover {
        let value = serde_json::from_str(event).unwrap_or_default();
        let values = self.values_of_event(id, &value);
        self.hand_over(self.request(id, &values, event))
    }

    fn hand_over(&self, request: Result<Request, Unmade>) -> Handover {
        let request = match request {
            Ok(request) => request,
            Err(Unmade::Letter(part)) => {
                let error = format!("the values of this message give an invalid {part}");
                return Handover::Refused { error };
            }
            Err(Unmade::Configuration(error)) => {
                self.complain(&error);
                return Handover::Later {
                    error,
                    after: None,
                    unclear: false,
                };
            }
        };
        match self.client.execute(request) {
            Ok(reply) => self.judge(reply),
            Err(error) => Handover::Later {
                error: client::told(&error),
                after: None,
                unclear: !error.is_connect(),
            },
        }
    }

    fn judge(&self, reply: HttpReply) -> Handover {
        let heard = match reply.body {
            Ok(body) => serde_json::from_slice(&body).map_or(Heard::NoJson, Heard::Json),
            Err(error) => Heard::Broken(client::fault(error)),
        };
        let Judgement {
            means,
            error,
            mut after,
            unclear,
        } = judge::judge(&self.config.answers, reply.status, &heard);
        if after.is_none() {
            after = self.retry_after(&reply.headers);
        }
        match means {
            Means::Delivered => Handover::Delivered,
            Means::Refused => Handover::Refused { error },
            Means::Later | Means::Misconfigured => {
                if means == Means::Misconfigured {
                    self.complain(&error);
                }
                Handover::Later {
                    error,
                    after,
                    unclear,
                }
            }
        }
    }

    /// Returns the delay that the provider requested, by the provider's clock if it sent the date.
    fn retry_after(&self, headers: &HeaderMap) -> Option<std::time::Duration> {
        let text = |name| headers.get(name)?.to_str().ok();
        judge::retry_after(text(RETRY_AFTER)?, text(DATE), self.clock.now())
    }

    /// Logs an error that affects every message and that an operator must fix.
    fn complain(&self, error: &str) {
        let host = self.config.sample.host_str().unwrap_or_default();
        let complaint = format!("the provider {host} refuses this installation: {error}");
        self.complaints.tell(complaint);
    }
}

impl Channel for Http {
    fn takes(&self, kind: ChannelKind) -> bool {
        self.config.takes.contains(&kind)
    }

    fn limits(&self) -> Limits {
        Limits {
            concurrency: self.config.connections,
            rate: None,
        }
    }

    fn deliver(&self, letter: &Letter<'_>) -> Handover {
        let id = format!("{}-{}", letter.installation, letter.id);
        let values = self.values_of_letter(&id, letter);
        self.hand_over(self.request(&id, &values, ""))
    }
}
