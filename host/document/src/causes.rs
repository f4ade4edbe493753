//! The texts of errors with their causes.

use std::error::Error;

/// Returns the text of an error and of its causes, separated by colons, for readers who have no
/// other way to the causes.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let texts = std::iter::successors(Some(error), |error| (*error).source());
    texts
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct Layer(&'static str, Option<Box<Layer>>);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            let cause = self.1.as_deref()?;
            Some(cause)
        }
    }

    #[test]
    fn joins_all_causes() {
        let inner = Layer("no such file", None);
        assert_eq!(with_causes(&inner), "no such file");
        let outer = Layer("cannot read shop.toml", Some(Box::new(inner)));
        let outer = Layer("cannot start", Some(Box::new(outer)));
        assert_eq!(
            with_causes(&outer),
            "cannot start: cannot read shop.toml: no such file"
        );
    }
}
