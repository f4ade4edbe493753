//! `http`: letters of some kinds through a provider over HTTP, and alerts to webhooks.
//!
//! A letter becomes one request, as the configuration's templates say ([`request`]), under an
//! identity that is the same in every attempt, signed where there are secrets for it ([`sign`]). What
//! comes back is judged by the configuration's answers and, where none of them fits, by the
//! status ([`judge`]).

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

/// Letters through one provider, over connections that are kept.
pub struct Http {
    config: Arc<HttpConfig>,
    client: HttpClient,
    /// The configuration's secrets, by the names under which templates read them.
    secrets: Vec<(String, String)>,
    password: Option<String>,
    signer: Signer,
    complaints: Complaints,
    clock: Arc<dyn Clock>,
}

impl Http {
    /// A channel of that configuration. Its secrets are read; nothing is connected before the first
    /// letter.
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

    /// Tells the event of an alert, as JSON, to a webhook: under an identity that is the same in
    /// every attempt.
    pub fn tell(&self, id: &str, event: &str) -> Handover {
        let value = serde_json::from_str(event).unwrap_or_default();
        let values = self.values_of_event(id, &value);
        self.hand_over(self.request(id, &values, event))
    }

    fn hand_over(&self, request: Result<Request, Unmade>) -> Handover {
        let request = match request {
            Ok(request) => request,
            Err(Unmade::Letter(part)) => {
                let error = format!("the letter's values make no {part}");
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

    /// What the provider asks for, by its own clock where it tells the time.
    fn retry_after(&self, headers: &HeaderMap) -> Option<std::time::Duration> {
        let text = |name| headers.get(name)?.to_str().ok();
        judge::retry_after(text(RETRY_AFTER)?, text(DATE), self.clock.now())
    }

    /// Tells the operator of what no letter mends.
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
