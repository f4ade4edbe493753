//! The host's functions: the real ones in a component, fakes everywhere else.

#[cfg(target_arch = "wasm32")]
pub(crate) use crate::bindings::promoflow::workflow::{data, log, messages, promocodes};

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use crate::testing::functions::{data, log, messages, promocodes};
