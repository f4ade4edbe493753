//! What a rendering gives beside its text.

/// A rendered template.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rendered {
    /// What it prints.
    pub text: String,
    /// The references that had no value when they were printed, in that order, up to a bound. Quiet
    /// ones, `$!name`, are not among them.
    pub unset: Vec<UnsetReference>,
}

/// A reference that had no value when it was printed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnsetReference {
    /// As it stands in the template, `${order.total}`; cut where it is long.
    pub source: String,
    /// The line, from 1.
    pub line: u32,
    /// The character in the line, from 1.
    pub column: u32,
}
