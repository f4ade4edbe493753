//! Claims made by the merge tags of a message, on behalf of the step that sends it.

use super::claim::claim_code;
use super::segment_context::SegmentContext;
use promoflow_block_host::{ClaimError, ClaimRequest, Reuse, SendError, WhenEmpty};
use promoflow_model::message::CodeTag;
use promoflow_model::pool::Selector;

/// The claims of one delivery by selector: a code, or the reason why there is none. A delivery
/// holds one code per selector, even if several of its messages use it.
#[derive(Default)]
pub(super) struct TagClaims(Vec<(Selector, Result<String, String>)>);

impl TagClaims {
    /// Returns the number of codes claimed.
    pub(super) fn count(&self) -> usize {
        self.0.iter().filter(|(_, code)| code.is_ok()).count()
    }
}

/// Claims a code for each merge tag when the tag is printed.
///
/// The claim is staged like a claim of the step's block, with the step's next ordinal, so that it
/// is committed or discarded with the segment.
pub(super) struct TagClaimer<'s> {
    segment: &'s mut SegmentContext,
    message: &'s str,
    codes: &'s mut TagClaims,
    failed: Option<SendError>,
}

impl<'s> TagClaimer<'s> {
    /// Creates a claimer for a message whose delivery already has these codes.
    pub(super) fn new(
        segment: &'s mut SegmentContext,
        message: &'s str,
        codes: &'s mut TagClaims,
    ) -> TagClaimer<'s> {
        TagClaimer {
            segment,
            message,
            codes,
            failed: None,
        }
    }

    /// Returns the code of a tag. `None` if the tag's fallback is printed, or if the message cannot
    /// be sent; see [`finish`](Self::finish).
    pub(super) fn claim_tag(&mut self, tag: &CodeTag) -> Option<String> {
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

    /// Returns the error of the first tag that got no code and has no fallback.
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

    /// Claims a code from the pool. The inner error is the reason why no code is left.
    fn claim(&mut self, tag: &CodeTag) -> Result<Result<String, String>, SendError> {
        let request = ClaimRequest {
            selector: tag.selector.clone(),
            reuse: Reuse::Never,
            when_empty: WhenEmpty::Report,
        };
        match claim_code(self.segment, request) {
            Ok(code) => Ok(Ok(code.code)),
            Err(ClaimError::Exhausted) => {
                Ok(Err(self.segment.journal.cause.take().unwrap_or_default()))
            }
            Err(ClaimError::Unavailable(why)) => Err(SendError::Unavailable(why)),
            Err(ClaimError::MustWait) => {
                let why = "a tag in a message cannot wait for a code";
                Err(SendError::Unrenderable(why.into()))
            }
            Err(ClaimError::Invalid(why) | ClaimError::Denied(why)) => {
                Err(SendError::Unrenderable(why))
            }
        }
    }
}
