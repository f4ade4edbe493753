//! The imported functions, implemented by the fake host.

use super::{CURRENT, Host};

fn with<T>(ask: impl FnOnce(&mut Host) -> T) -> T {
    CURRENT.with_borrow_mut(ask)
}

pub(crate) mod data {
    use super::with;
    use crate::{SetError, Value};

    pub(crate) fn get(name: &str) -> Option<Value> {
        with(|host| host.get(name).cloned())
    }

    pub(crate) fn set(name: &str, value: &Value) -> Result<(), SetError> {
        if name.is_empty() {
            return Err(SetError::Invalid("the name is empty".into()));
        }
        with(|host| host.set(name, value.clone()));
        Ok(())
    }

    pub(crate) fn names() -> Vec<String> {
        with(|host| host.data.iter().map(|(name, _)| name.clone()).collect())
    }

    pub(crate) fn key() -> String {
        with(|host| host.key.clone())
    }
}

pub(crate) mod promocodes {
    use super::with;
    use crate::{ClaimError, Origin, Promocode, Selector, WhenEmpty};

    pub(crate) fn claim(selector: &Selector) -> Result<Promocode, ClaimError> {
        with(|host| {
            host.claims.push(selector.clone());
            if let Some(error) = &host.claim_error {
                return Err(error.clone());
            }
            let (code, origin) = match (host.codes.pop_front(), &selector.when_empty) {
                (Some(code), _) => (code, Origin::Claimed),
                (None, WhenEmpty::Substitute(code)) => (code.clone(), Origin::Substitute),
                (None, WhenEmpty::Report) => return Err(ClaimError::Exhausted),
                (None, WhenEmpty::Wait) => return Err(ClaimError::MustWait),
            };
            Ok(Promocode {
                code,
                type_: selector.type_.clone(),
                discount: selector.discount,
                expires: None,
                origin,
            })
        })
    }
}

pub(crate) mod messages {
    use super::with;
    use crate::messages::Delivery;
    use crate::{Request, SendError};

    pub(crate) fn send(request: &Request) -> Result<Delivery, SendError> {
        with(|host| {
            if let Some(error) = &host.send_error {
                return Err(error.clone());
            }
            host.sent.push(request.clone());
            let number = u32::try_from(host.sent.len()).unwrap_or(u32::MAX);
            Ok(Delivery { number })
        })
    }
}

pub(crate) mod log {
    use super::with;
    use crate::log::Level;

    pub(crate) fn write(level: Level, text: &str) {
        with(|host| host.notes.push((level, text.into())));
    }
}
