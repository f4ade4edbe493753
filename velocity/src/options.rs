//! Options for parsing and rendering.

use chrono::DateTime;
use chrono_tz::Tz;

use crate::limits::Limits;
use crate::locale::Locale;

/// The escaping of values that references print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Escape {
    /// Values are printed unchanged, as in Velocity.
    #[default]
    None,
    /// In values, `&`, `<`, `>`, `"` and `'` become `&amp;`, `&lt;`, `&gt;`, `&quot;` and `&#39;`.
    /// The text of the template is unchanged.
    ///
    /// `$esc.raw($value)` and `$esc.none($value)` print a value unchanged; `$esc.html($value)` is
    /// not escaped twice. A text that `#set` builds from text and references is a value: all of it
    /// is escaped when it is printed. A block of `#define` is part of the template: only the
    /// references in it are escaped. The output of `#evaluate` is a value, unless the evaluated
    /// text is a literal without references.
    Html,
    /// In values, every byte other than an ASCII letter, a digit, `-`, `.`, `_` or `~` becomes
    /// `%XX`, so that a value stays one part of a URL. The text of the template is unchanged; the
    /// exemptions are those of [`Html`](Escape::Html).
    Url,
}

/// The output of a reference without a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Unset {
    /// Its source, as in Velocity: `Hi $firstNmae` prints `Hi $firstNmae`.
    #[default]
    Source,
    /// Nothing. A `$` that looks like text keeps the following word: after a digit (`10$off`),
    /// between letters and up to three capitals (`A$AP`, `US$ABC`), and before one or two capitals
    /// (`$US 10`). An escaped reference, `\$name`, always prints `$name`.
    Nothing,
}

/// Options for parsing: extensions of Velocity's syntax.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ParseOptions {
    /// Makes `$data.get ('name')` call `get`: blanks before the parenthesis, including no-break
    /// spaces, are ignored if the parentheses contain exactly one quoted text or integer.
    ///
    /// Velocity ends the reference at the blank and prints the rest as text. Texts rarely have such
    /// parentheses after `.get`, but manuals that authors copy from do, so a host may want this.
    /// Other methods and other parentheses remain text: `$name (new)`.
    pub spaced_calls: bool,
}

/// Options for rendering: limits, escaping, and the settings of tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RenderOptions {
    /// The limits of this rendering.
    pub limits: Limits,
    /// The escaping of values.
    pub escape: Escape,
    /// The language in which tools print dates and numbers.
    pub locale: Locale,
    /// The current time for tools, and the time zone in which they print moments. Without it, tools
    /// use the system clock in UTC.
    pub now: Option<DateTime<Tz>>,
    /// The time zone of the recipient; without it, that of `now`.
    pub contact_zone: Option<Tz>,
    /// The output of a reference without a value.
    pub unset: Unset,
}
