//! What retiring or reinstating does to a code.

/// A code of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredCode {
    /// True if it is retired.
    pub is_retired: bool,
    /// True if it may be claimed, or would be if it had not expired.
    pub is_available: bool,
}

/// What happens to a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetirementChange {
    /// It becomes retired.
    Retire,
    /// It becomes available.
    Reinstate,
    /// It is used by a run, which nothing changes.
    AlreadyUsed,
    /// It is as wanted.
    Nothing,
}

/// Returns what happens to a code that is to be retired (`retire`) or reinstated.
pub fn change(code: StoredCode, retire: bool) -> RetirementChange {
    match (code.is_retired, code.is_available, retire) {
        (true, _, true) => RetirementChange::Nothing,
        (true, _, false) => RetirementChange::Reinstate,
        (false, true, true) => RetirementChange::Retire,
        (false, true, false) => RetirementChange::Nothing,
        (false, false, _) => RetirementChange::AlreadyUsed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p9_a_used_code_is_neither_retired_nor_reinstated() {
        use RetirementChange::{AlreadyUsed, Nothing, Reinstate, Retire};
        for (is_retired, is_available, on_retire, on_reinstate) in [
            (false, true, Retire, Nothing),
            (false, false, AlreadyUsed, AlreadyUsed),
            (true, false, Nothing, Reinstate),
        ] {
            let code = StoredCode {
                is_retired,
                is_available,
            };
            assert_eq!(change(code, true), on_retire, "{code:?}");
            assert_eq!(change(code, false), on_reinstate, "{code:?}");
        }
    }
}
