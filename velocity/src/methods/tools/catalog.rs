//! The catalog of tools, with their methods and properties.

use super::super::date::Style;
use crate::runtime::Tool;

/// A method of a tool.
#[derive(Debug)]
pub(crate) struct Method {
    pub(crate) name: &'static str,
    /// Minimum and maximum number of arguments.
    pub(crate) min_arguments: usize,
    pub(crate) max_arguments: usize,
    /// The arguments, for hints: `it takes …`.
    pub(crate) takes: &'static str,
}

const fn method(
    name: &'static str,
    min_arguments: usize,
    max_arguments: usize,
    takes: &'static str,
) -> Method {
    Method {
        name,
        min_arguments,
        max_arguments,
        takes,
    }
}

/// The names of tools in templates.
pub(crate) const NAMES: [&str; 7] = [
    "esc",
    "math",
    "mathTool",
    "number",
    "numberTool",
    "date",
    "dateTool",
];

const ESCAPE: &[Method] = &[
    method("html", 1, 1, "a text"),
    method("xml", 1, 1, "a text"),
    method("url", 1, 1, "a text"),
    method("javascript", 1, 1, "a text"),
    method("java", 1, 1, "a text"),
    method("json", 1, 1, "a text"),
    method("raw", 1, 1, "a text"),
    method("none", 1, 1, "a text"),
];

const MATH: &[Method] = &[
    method("add", 2, usize::MAX, "two numbers or more"),
    method("sub", 2, usize::MAX, "two numbers or more"),
    method("mul", 2, usize::MAX, "two numbers or more"),
    method("div", 2, 2, "two numbers"),
    method("idiv", 2, 2, "two numbers"),
    method("mod", 2, 2, "two numbers"),
    method("pow", 2, 2, "two numbers"),
    method("max", 1, usize::MAX, "numbers"),
    method("min", 1, usize::MAX, "numbers"),
    method("abs", 1, 1, "a number"),
    method("ceil", 1, 1, "a number"),
    method("floor", 1, 1, "a number"),
    method("round", 1, 1, "a number"),
    method("roundTo", 2, 2, "a number of digits, and a number"),
    method("roundToInt", 1, 1, "a number"),
    method("toInteger", 1, 1, "a number"),
    method("toDouble", 1, 1, "a number"),
    method("toNumber", 1, 1, "a number"),
];

const NUMBER: &[Method] = &[
    method(
        "format",
        1,
        3,
        "a style or pattern, and a number: ('0.00', $price)",
    ),
    method("currency", 1, 1, "a number"),
    method("integer", 1, 1, "a number"),
    method("number", 1, 1, "a number"),
    method("percent", 1, 1, "a number"),
    method("toNumber", 1, 1, "a number"),
];

const ADD_ARGUMENTS: &str = "a date, an amount, and optional patterns for reading and printing";

const DATE: &[Method] = &[
    method(
        "format",
        1,
        3,
        "a style or pattern, and a date: ('dd.MM.yyyy', $date)",
    ),
    method(
        "get",
        1,
        2,
        "a style or pattern, for today's date: ('yyyy')",
    ),
    method(
        "toDate",
        1,
        2,
        "a pattern, and a text: ('dd.MM.yyyy', $text)",
    ),
    method(
        "parse",
        1,
        2,
        "a pattern, and a text: ('dd.MM.yyyy', $text)",
    ),
    method("getDate", 0, 0, "no arguments"),
    method("getSystemDate", 0, 0, "no arguments"),
    method("getSystemTime", 0, 0, "no arguments"),
    method("getYear", 0, 1, "no argument, or a date"),
    method("getMonth", 0, 1, "no argument, or a date"),
    method("getDay", 0, 1, "no argument, or a date"),
    method(
        "currentDate",
        0,
        2,
        "no argument, a pattern, or a pattern and a time zone",
    ),
    method("currentTimeStamp", 0, 0, "no arguments"),
    method("formatDate", 2, 2, "a pattern, and a date"),
    method("formatInContactTimezone", 2, 2, "a pattern, and a date"),
    method("addYears", 2, 4, ADD_ARGUMENTS),
    method("addMonths", 2, 4, ADD_ARGUMENTS),
    method("addDays", 2, 4, ADD_ARGUMENTS),
    method("addHours", 2, 4, ADD_ARGUMENTS),
    method("addMinutes", 2, 4, ADD_ARGUMENTS),
    method(
        "diff",
        3,
        4,
        "two dates, an optional pattern, and a unit: ($from, $to, 'DAYS')",
    ),
    method("compare", 2, 2, "two dates"),
];

/// Methods of a date that a tool has parsed.
pub(crate) const DATE_METHODS: [&str; 5] = ["getTime", "before", "after", "compareTo", "toString"];

/// Returns the methods of a tool.
pub(crate) fn methods(tool: Tool) -> &'static [Method] {
    match tool {
        Tool::Escape => ESCAPE,
        Tool::Math => MATH,
        Tool::Number => NUMBER,
        Tool::Date => DATE,
    }
}

/// Returns the method with this name.
pub(crate) fn find(tool: Tool, name: &str) -> Option<&'static Method> {
    methods(tool).iter().find(|method| method.name == name)
}

/// Returns the properties of a tool.
pub(crate) fn properties(tool: Tool) -> &'static [&'static str] {
    match tool {
        Tool::Escape => &[
            "d",
            "dollar",
            "h",
            "hash",
            "q",
            "quote",
            "s",
            "singleQuote",
            "b",
            "backslash",
            "e",
            "exclamation",
            "n",
            "newline",
        ],
        Tool::Math => &["pi"],
        Tool::Number => &[],
        Tool::Date => &[
            "year",
            "month",
            "day",
            "date",
            "systemDate",
            "systemTime",
            "short",
            "medium",
            "long",
            "full",
        ],
    }
}

/// Returns true if a tool has a property. The properties of dates include styles and fields:
/// `$date.long_date`, `$date.yyyy`.
pub(crate) fn has_property(tool: Tool, name: &str) -> bool {
    properties(tool).contains(&name)
        || tool == Tool::Date && (Style::named(name).is_some() || is_field(name))
}

/// Returns true if a name is one pattern letter, possibly repeated.
pub(crate) fn is_field(name: &str) -> bool {
    let first = name.chars().next();
    first.is_some_and(|first| "yMdEHhmsa".contains(first) && name.chars().all(|c| c == first))
}

/// Tools of Velocity that are not available here: the name, some of its methods, and the
/// alternative.
pub(crate) const UNAVAILABLE_TOOLS: &[(&str, &[&str], &str)] = &[
    (
        "alternator",
        &["make", "auto", "manual"],
        "use $foreach.index to distinguish odd and even rows",
    ),
    ("class", &["inspect"], ""),
    ("context", &["get", "contains"], "values are in $data"),
    (
        "convert",
        &[
            "toBoolean",
            "toInteger",
            "toDouble",
            "toNumber",
            "toDate",
            "parseLocale",
        ],
        "use $math.toInteger, $math.toDouble and $date.toDate",
    ),
    ("cookies", &["get"], ""),
    (
        "display",
        &[
            "alt",
            "capitalize",
            "uncapitalize",
            "list",
            "truncate",
            "cell",
            "measure",
            "message",
            "printf",
            "plural",
            "singular",
            "space",
            "stripTags",
            "br",
            "propertyKey",
        ],
        "texts have their own methods, such as substring and replace; ${name|'default'} prints a default",
    ),
    ("field", &["in"], ""),
    ("import", &["read"], ""),
    ("include", &["find"], ""),
    (
        "json",
        &["parse", "fetch", "read"],
        "objects and lists of an event can be used directly: $data.get('order').get('total')",
    ),
    (
        "link",
        &[
            "relative",
            "absolute",
            "uri",
            "param",
            "params",
            "path",
            "anchor",
            "setRelative",
            "addQueryData",
            "encodeURL",
        ],
        "write the address, and use $esc.url($value) for values in it",
    ),
    (
        "list",
        &["size", "isList", "isArray", "contains"],
        "lists have the methods size, get and contains",
    ),
    (
        "loop",
        &["watch", "sync"],
        "use $foreach.count, $foreach.index and $foreach.hasNext",
    ),
    ("mark", &["strong", "span"], ""),
    (
        "msg",
        &["get"],
        "put translations into `languages` of the message",
    ),
    ("pager", &["page"], ""),
    ("params", &["getString", "getInt"], "values are in $data"),
    ("parser", &["parse"], ""),
    ("render", &["eval", "recurse"], "use #evaluate"),
    (
        "resource",
        &["get", "bundle"],
        "put translations into `languages` of the message",
    ),
    ("search", &["find"], ""),
    (
        "sorter",
        &["sort"],
        "sort the list before sending the event",
    ),
    ("sort", &["sort"], "sort the list before sending the event"),
    (
        "text",
        &["get", "bundle"],
        "put translations into `languages` of the message",
    ),
    ("xml", &["find", "parse", "read"], ""),
];
