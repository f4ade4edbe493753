//! The result of a rendering.

/// A rendered template.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rendered {
    /// The output.
    pub text: String,
    /// The references that had no value when they were printed, in that order, up to a maximum.
    /// Quiet ones, `$!name`, are not included.
    pub unset: Vec<UnsetReference>,
}

/// A reference that had no value when it was printed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnsetReference {
    /// The source as written in the template, such as `${order.total}`, shortened if it is long.
    pub source: String,
    /// The line, from 1.
    pub line: u32,
    /// The character in the line, from 1.
    pub column: u32,
}
