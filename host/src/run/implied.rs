//! Implied claims: the promo codes that the merge tags of a message take, for the step that sends
//! it.

use super::claim::claim;
use super::step::Stage;
use crate::block::{ClaimError, ClaimRequest, Reuse, SendError, WhenEmpty};
use crate::message::CodeTag;
use crate::pool::Selector;

/// Codes by what was asked for.
pub(super) type Codes = Vec<(Selector, String)>;

/// Claims what the tags of a message ask for and is not among the codes yet: one delivery holds one
/// code of a kind, however often its messages name it.
///
/// A claim is staged as those of blocks are, under the step and its next number, so that it stands
/// or falls with the segment.
pub(super) fn take(
    stage: &mut Stage,
    message: &str,
    tags: &[CodeTag],
    codes: &mut Codes,
) -> Result<(), SendError> {
    for tag in tags {
        if codes.iter().any(|(selector, _)| *selector == tag.selector) {
            continue;
        }
        let request = ClaimRequest {
            selector: tag.selector.clone(),
            reuse: Reuse::Never,
            when_empty: WhenEmpty::Report,
        };
        match claim(stage, request) {
            Ok(code) => codes.push((tag.selector.clone(), code.code)),
            Err(ClaimError::Exhausted) => {
                let why = stage.notes.cause.take().unwrap_or_default();
                if tag.instead.is_none() {
                    return Err(SendError::Unrenderable(format!(
                        "message `{message}`, %{tag}%: {why}"
                    )));
                }
            }
            Err(ClaimError::Unavailable(why)) => return Err(SendError::Unavailable(why)),
            Err(ClaimError::MustWait) => {
                let why = "the code must be waited for, which a message cannot";
                return Err(SendError::Unrenderable(why.into()));
            }
            Err(ClaimError::Invalid(why) | ClaimError::Denied(why)) => {
                return Err(SendError::Unrenderable(why));
            }
        }
    }
    Ok(())
}
