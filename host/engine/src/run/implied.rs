//! Implied claims: the promo codes that the merge tags of a message take, for the step that sends
//! it.

use super::claim::claim;
use super::step::Stage;
use promoflow_block_host::{ClaimError, ClaimRequest, Reuse, SendError, WhenEmpty};
use promoflow_model::message::CodeTag;
use promoflow_model::pool::Selector;

/// What became of the claims of a delivery, by what was asked for: a code, or why there is none.
/// One delivery holds one code of a kind, however often its messages name it.
#[derive(Default)]
pub(super) struct Codes(Vec<(Selector, Result<String, String>)>);

impl Codes {
    /// How many codes were taken.
    pub(super) fn taken(&self) -> usize {
        self.0.iter().filter(|(_, code)| code.is_ok()).count()
    }
}

/// Claims what the tags of a message ask for, when they are printed.
///
/// A claim is staged as those of blocks are, under the step and its next number, so that it stands
/// or falls with the segment.
pub(super) struct Taking<'s> {
    stage: &'s mut Stage,
    message: &'s str,
    codes: &'s mut Codes,
    failed: Option<SendError>,
}

impl<'s> Taking<'s> {
    /// For that message, of a delivery that has these codes already.
    pub(super) fn new(stage: &'s mut Stage, message: &'s str, codes: &'s mut Codes) -> Taking<'s> {
        Taking {
            stage,
            message,
            codes,
            failed: None,
        }
    }

    /// The code of a tag. `None`: what stands instead is printed, or the message is not sent.
    pub(super) fn take(&mut self, tag: &CodeTag) -> Option<String> {
        if self.failed.is_some() {
            return None;
        }
        match self.code(tag) {
            Ok(code) => code,
            Err(error) => {
                self.failed = Some(error);
                None
            }
        }
    }

    /// Why the message is not sent, if a code is missing.
    pub(super) fn finish(self) -> Result<(), SendError> {
        self.failed.map_or(Ok(()), Err)
    }

    fn code(&mut self, tag: &CodeTag) -> Result<Option<String>, SendError> {
        let mut known = self.codes.0.iter();
        let code = match known.find(|(selector, _)| *selector == tag.selector) {
            Some((_, code)) => code.clone(),
            None => {
                let code = self.claim(tag)?;
                self.codes.0.push((tag.selector.clone(), code.clone()));
                code
            }
        };
        match code {
            Ok(code) => Ok(Some(code)),
            Err(_) if tag.instead.is_some() => Ok(None),
            Err(why) => Err(SendError::Unrenderable(format!(
                "message `{}`, %{tag}%: {why}",
                self.message
            ))),
        }
    }

    /// A code out of the pool, or why none is left.
    fn claim(&mut self, tag: &CodeTag) -> Result<Result<String, String>, SendError> {
        let request = ClaimRequest {
            selector: tag.selector.clone(),
            reuse: Reuse::Never,
            when_empty: WhenEmpty::Report,
        };
        match claim(self.stage, request) {
            Ok(code) => Ok(Ok(code.code)),
            Err(ClaimError::Exhausted) => {
                Ok(Err(self.stage.notes.cause.take().unwrap_or_default()))
            }
            Err(ClaimError::Unavailable(why)) => Err(SendError::Unavailable(why)),
            Err(ClaimError::MustWait) => {
                let why = "the code must be waited for, which a message cannot";
                Err(SendError::Unrenderable(why.into()))
            }
            Err(ClaimError::Invalid(why) | ClaimError::Denied(why)) => {
                Err(SendError::Unrenderable(why))
            }
        }
    }
}
