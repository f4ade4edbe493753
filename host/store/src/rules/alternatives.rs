//! Which alternative of a delivery is tried ("one from many").

/// The alternatives of a delivery, as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alternatives {
    /// The number of the current one, from 0.
    pub current: u32,
    /// How many there are; 0 or 1 if there is only the current one.
    pub count: u32,
    /// True if an attempt was ambiguous: it may have reached the contact.
    pub any_ambiguous: bool,
}

/// What comes after the current alternative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextAlternative {
    /// The alternative with this number.
    Try(u32),
    /// There is another alternative, but an attempt may have reached the contact, who must not get
    /// the message twice.
    Withheld,
    /// There is none.
    None,
}

impl Alternatives {
    /// Returns what comes after the current alternative if that fails or must not be tried.
    pub fn next(self) -> NextAlternative {
        let next = self.current.saturating_add(1);
        match next < self.count {
            false => NextAlternative::None,
            true if self.any_ambiguous => NextAlternative::Withheld,
            true => NextAlternative::Try(next),
        }
    }

    /// Returns the alternative with which an operator's retry begins: the first one, or the current
    /// one if an attempt may have reached the contact.
    pub fn on_restart(self) -> u32 {
        match self.any_ambiguous {
            true => self.current,
            false => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_alternative_follows_the_one_before_unless_an_attempt_was_ambiguous() {
        use NextAlternative::{None, Try, Withheld};
        for (current, count, any_ambiguous, next, on_restart) in [
            (0, 0, false, None, 0),
            (0, 1, true, None, 0),
            (0, 2, false, Try(1), 0),
            (0, 2, true, Withheld, 0),
            (1, 3, false, Try(2), 0),
            (1, 3, true, Withheld, 1),
            (2, 3, false, None, 0),
            (2, 3, true, None, 2),
            (u32::MAX, 3, false, None, 0),
        ] {
            let alternatives = Alternatives {
                current,
                count,
                any_ambiguous,
            };
            assert_eq!(alternatives.next(), next, "{alternatives:?}");
            assert_eq!(alternatives.on_restart(), on_restart, "{alternatives:?}");
        }
    }
}
