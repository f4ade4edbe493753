//! How to parse and to render.

use chrono::DateTime;
use chrono_tz::Tz;

use crate::limits::Limits;
use crate::locale::Locale;

/// Whether values are escaped when references print them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Escape {
    /// Values are printed as they are, as Velocity prints them.
    #[default]
    None,
    /// In values, `&`, `<`, `>`, `"` and `'` become `&amp;`, `&lt;`, `&gt;`, `&quot;` and
    /// `&#39;`. The template's own text stays as it is.
    ///
    /// `$esc.raw($value)` and `$esc.none($value)` print a value as it is; `$esc.html($value)` is
    /// not escaped twice. A text that `#set` puts together from text and references is a value:
    /// all of it is escaped when it is printed. What `#define` names is a part of the template:
    /// only the references within are escaped. What `#evaluate` prints is a value, unless the
    /// evaluated text stands in the template as it is, without references.
    Html,
    /// In values, every byte that is not a letter, a digit, `-`, `.`, `_` or `~` of ASCII becomes
    /// `%XX`, so that a value stays one part of a URL. The template's own text stays as it is; what
    /// is exempt from escaping is that of [`Html`](Escape::Html).
    Url,
}

/// What a reference without a value prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Unset {
    /// Its source, as Velocity does: `Hi $firstNmae` stays `Hi $firstNmae`.
    #[default]
    Source,
    /// Nothing. A `$` that reads as text keeps the word behind it: one after a digit (`10$off`), one
    /// between letters and up to three capitals (`A$AP`, `US$ABC`), and one before one or two
    /// capitals (`$US 10`). An escaped reference, `\$name`, prints `$name` whatever the values are.
    Nothing,
}

/// How to parse: what is read beside what Velocity reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ParseOptions {
    /// Whether `$data.get ('name')` calls `get`: blanks before the parenthesis, no-break spaces
    /// too, count as none where one quoted text or whole number stands in it and nothing else.
    ///
    /// Velocity ends the reference at the blank and prints the rest as text. As texts seldom
    /// have such a parenthesis after `.get`, and manuals that authors copy from do, a host of
    /// messages may want it. Other methods, and other parentheses, stay text: `$name (new)`.
    pub spaced_calls: bool,
}

/// How to render: the caps, the escaping of values, and what tools ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RenderOptions {
    /// The caps on this rendering.
    pub limits: Limits,
    /// Whether values are escaped.
    pub escape: Escape,
    /// The language in which tools write dates and numbers.
    pub locale: Locale,
    /// The present as tools tell it, with the time zone in which they tell moments. Without it they
    /// ask the system's clock, in UTC.
    pub now: Option<DateTime<Tz>>,
    /// The time zone of whom the text is for; without it, that of `now`.
    pub contact_zone: Option<Tz>,
    /// What a reference without a value prints.
    pub unset: Unset,
}
