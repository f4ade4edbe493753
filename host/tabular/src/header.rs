//! The first lines of a CSV file: detects the columns.

use super::delimiter::other_delimiter;
use super::first_line::judge;
use super::table::Table;
use super::{CsvOptions, StatedColumn, UploadError, fold, shorten, text};

/// Number of lines in a preview.
const PREVIEW: usize = 3;

/// Returns a cell without surrounding spaces, and without quotes that a leading space kept from
/// being read as quotes: `A1, "General"`.
pub(super) fn trim(cell: &str) -> &str {
    let trimmed = text::trim(cell);
    let spaced = cell.starts_with([' ', '\t', '\u{FEFF}']);
    match trimmed.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
        Some(inner) if spaced => text::trim(inner),
        _ => trimmed,
    }
}

/// The role of a cell in a row.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Place<C> {
    /// A value of that column.
    Column(C),
    /// Not read, as an option says.
    Ignored,
    /// Must be empty: spreadsheets leave such a cell if all lines end in a delimiter.
    Unnamed,
}

/// The columns of a file, as its first line describes them.
pub(super) struct Layout<C> {
    pub(super) places: Vec<Place<C>>,
    /// The first line is a header; otherwise it is the first row.
    pub(super) has_header: bool,
    /// Warnings about how the header was interpreted.
    pub(super) warnings: Vec<String>,
}

/// The first lines of a file, split into cells.
pub(super) struct FirstLines<'a> {
    /// The line number of the first line.
    pub(super) line: u64,
    /// The cells of the first line.
    pub(super) cells: &'a [&'a str],
    /// The rows below, as far as they were read.
    pub(super) below: &'a [Vec<String>],
}

impl FirstLines<'_> {
    pub(super) fn fault(&self, field: &str, message: String) -> UploadError {
        UploadError::Header {
            line: self.line,
            field: shorten(field),
            message,
        }
    }

    pub(super) fn shown(&self) -> String {
        shorten(&self.cells.join(","))
    }

    /// Returns the first lines as they were parsed, for an error message.
    pub(super) fn preview(&self) -> String {
        let line = |cells: Vec<&str>| {
            let cells: Vec<String> = cells
                .iter()
                .map(|cell| format!("`{}`", shorten(cell)))
                .collect();
            cells.join(" ")
        };
        let mut lines = vec![line(self.cells.to_vec())];
        let below = self.below.iter().take(PREVIEW - 1);
        lines.extend(below.map(|cells| line(cells.iter().map(String::as_str).collect())));
        let columns = match self.cells.len() {
            1 => "1 column".to_owned(),
            columns => format!("{columns} columns"),
        };
        format!("read as {columns}: {}", lines.join(" / "))
    }
}

/// Determines the columns from the first line.
pub(super) fn layout<T: Table>(
    table: &T,
    options: &CsvOptions,
    first: &FirstLines<'_>,
) -> Result<Layout<T::Column>, UploadError> {
    if options.no_header {
        return numbered(table, options, first);
    }
    let FirstLines { cells, .. } = first;
    let stated = stated(table, options, first)?;
    let mut places = Vec::with_capacity(cells.len());
    for (at, cell) in cells.iter().enumerate() {
        places.push(match (&stated[at], table.heading(cell)) {
            (Some(place), _) => place.clone(),
            (None, Some(column)) => Place::Column(column),
            (None, None) => Place::Unnamed,
        });
    }
    let is_known = |cell: &&str| table.is_known(cell);
    if options.columns.is_empty() && !cells.iter().any(is_known) {
        if let Some(error) = other_delimiter(table, first) {
            return Err(error);
        }
        if places.iter().all(|place| *place == Place::Unnamed) {
            return headless(table, first);
        }
    }
    let mut warnings = Vec::new();
    let mut unknown = Vec::new();
    for (at, cell) in cells.iter().enumerate() {
        match &places[at] {
            Place::Column(column) if places[..at].contains(&places[at]) => {
                let name = T::name(column);
                let advice = ignore(cell);
                let message =
                    format!("the column `{name}` appears twice; keep one of them, or use {advice}");
                return Err(first.fault(cell, message));
            }
            Place::Column(column) => {
                let name = T::name(column);
                if stated[at].is_none() && fold(name) != fold(cell) {
                    warnings.push(format!(
                        "the heading `{}` is read as `{name}`",
                        shorten(cell)
                    ));
                }
            }
            Place::Unnamed if !cell.is_empty() => unknown.push(*cell),
            _ => {}
        }
    }
    let columns: Vec<Option<T::Column>> = places.iter().map(column_of).collect();
    if let [one, others @ ..] = &unknown[..] {
        let more = match others {
            [] => String::new(),
            _ => {
                let names: Vec<String> = others
                    .iter()
                    .take(9)
                    .map(|name| format!("`{}`", shorten(name)))
                    .collect();
                format!(" (also unknown: {})", names.join(", "))
            }
        };
        let message = format!(
            "`{}` is not a column{more}; {}; map it with {}",
            shorten(one),
            table.hint(one, &[]),
            state(table, &unknown, &columns)
        );
        return Err(first.fault(one, message));
    }
    if let Some((field, message)) = table.lacks(&columns, &first.shown()) {
        let message = match header_below(table, first) {
            Some(below) => format!("{message}; {below}"),
            None => format!(
                "{message}; or map a column with {}",
                state(table, cells, &[])
            ),
        };
        return Err(first.fault(&field, message));
    }
    Ok(Layout {
        places,
        has_header: true,
        warnings,
    })
}

fn column_of<C: Clone>(place: &Place<C>) -> Option<C> {
    match place {
        Place::Column(column) => Some(column.clone()),
        _ => None,
    }
}

/// Returns the role that the options give to each cell of the first line.
fn stated<T: Table>(
    table: &T,
    options: &CsvOptions,
    first: &FirstLines<'_>,
) -> Result<Vec<Option<Place<T::Column>>>, UploadError> {
    let mut places = vec![None; first.cells.len()];
    for StatedColumn { field, heading } in &options.columns {
        let folded = fold(heading);
        let same = |cell: &&str| **cell == *heading || (!folded.is_empty() && fold(cell) == folded);
        let Some(at) = first.cells.iter().position(same) else {
            let message = format!(
                "there is no heading `{}`; {}",
                shorten(heading),
                first.preview()
            );
            return Err(UploadError::Option {
                option: "column",
                message,
            });
        };
        places[at] = Some(named(table, field)?);
    }
    Ok(places)
}

/// Determines the columns of a file that the options say has no header.
fn numbered<T: Table>(
    table: &T,
    options: &CsvOptions,
    first: &FirstLines<'_>,
) -> Result<Layout<T::Column>, UploadError> {
    let cells = first.cells;
    let fault = |message: String| UploadError::Option {
        option: "column",
        message,
    };
    let mut places = vec![Place::Unnamed; cells.len()];
    for StatedColumn { field, heading } in &options.columns {
        let number = heading
            .parse()
            .ok()
            .filter(|at| (1..=cells.len()).contains(at));
        let Some(number) = number else {
            return Err(fault(format!(
                "`{}` is not a column number; without a heading, expected 1 to {}, such as \
                 code=1; {}",
                shorten(heading),
                cells.len(),
                first.preview()
            )));
        };
        places[number - 1] = named(table, field)?;
    }
    if options.columns.is_empty() {
        let mut values = (0..cells.len()).filter(|at| !cells[*at].is_empty());
        match (values.next(), values.next(), table.alone()) {
            (Some(only), None, Some(column)) => places[only] = Place::Column(column),
            _ => {
                return Err(fault(format!(
                    "without a heading, map the columns by number, such as code=1; {}",
                    first.preview()
                )));
            }
        }
    } else {
        // Columns without an option are not read.
        for place in &mut places {
            if *place == Place::Unnamed {
                *place = Place::Ignored;
            }
        }
    }
    let columns: Vec<Option<T::Column>> = places.iter().map(column_of).collect();
    if let Some((_, message)) = table.lacks(&columns, &first.shown()) {
        return Err(fault(message));
    }
    Ok(Layout {
        places,
        has_header: false,
        warnings: Vec::new(),
    })
}

/// Returns the role that an option names.
fn named<T: Table>(table: &T, field: &str) -> Result<Place<T::Column>, UploadError> {
    if field == StatedColumn::IGNORE {
        return Ok(Place::Ignored);
    }
    let column = table.column(field).ok_or_else(|| UploadError::Option {
        option: "column",
        message: format!(
            "`{}` is not a field; {}, and ignore",
            shorten(field),
            table.hint(field, &[])
        ),
    })?;
    Ok(Place::Column(column))
}

/// Handles a file whose first line names no column: either a list of codes, or an error.
fn headless<T: Table>(table: &T, first: &FirstLines<'_>) -> Result<Layout<T::Column>, UploadError> {
    let cells = first.cells;
    let mut values = (0..cells.len()).filter(|at| !cells[*at].is_empty());
    let (Some(only), None, Some(column)) = (values.next(), values.next(), table.alone()) else {
        let advice = match header_below(table, first) {
            Some(below) => below,
            None => {
                let field = T::HEADER.split(',').next().unwrap_or_default();
                format!(
                    "if it is a header, map its columns (`--column {field}=HEADING`, over HTTP \
                     `column=…`); if it is a row, use `--no-header --column {field}=1` (over HTTP \
                     `noHeader=true&column=…`)"
                )
            }
        };
        let (found, header) = (first.shown(), T::HEADER);
        return Err(first.fault(
            "",
            format!(
                "`{found}` names no column; expected a header such as {header}; {advice}; {}",
                first.preview()
            ),
        ));
    };
    let below: Vec<String> = first
        .below
        .iter()
        .filter_map(|row| row.get(only).cloned())
        .filter(|cell| !cell.is_empty())
        .collect();
    let line_below = header_below(table, first);
    // A single cell in another column than the rows' is a comment: `;generated today`.
    let is_shared = match first.below {
        [] => only == 0,
        rows => rows.iter().any(|row| row.len() == cells.len()),
    };
    let judged = match &line_below {
        Some(_) => Err("a line below names the columns"),
        None if !is_shared => Err("the rows below have other columns"),
        None => judge(cells[only], &below, |text| table.is_made_of_words(text)),
    };
    if let Err(reason) = judged {
        let advice = line_below.unwrap_or_else(|| {
            format!(
                "map it with {}, or, if it is a row, use `--no-header` (over HTTP `noHeader=true`)",
                state(table, &cells[only..=only], &[])
            )
        });
        let message = format!(
            "`{}` is not a known heading and does not look like a code: {reason}; {advice}; {}",
            shorten(cells[only]),
            first.preview()
        );
        return Err(first.fault("", message));
    }
    let mut places = vec![Place::Unnamed; cells.len()];
    places[only] = Place::Column(column);
    Ok(Layout {
        places,
        has_header: false,
        warnings: Vec::new(),
    })
}

/// Returns the options that would map these headings.
fn state<T: Table>(table: &T, headings: &[&str], known: &[Option<T::Column>]) -> String {
    // The first heading without a suggestion may be the required column.
    let mut lacked = table
        .lacks(known, "")
        .map(|_| T::HEADER.split(',').next().unwrap_or_default());
    let named = headings.iter().filter(|heading| !heading.is_empty());
    let options = named.take(5).map(|heading| match table.suggested(heading) {
        Some(column) => option(T::name(&column), heading),
        None => option(lacked.take().unwrap_or(StatedColumn::IGNORE), heading),
    });
    let options: Vec<String> = options.collect();
    format!("`{}` (over HTTP `column=…`)", options.join(" "))
}

fn ignore(heading: &str) -> String {
    format!(
        "`{}` (over HTTP `column=…`)",
        option(StatedColumn::IGNORE, heading)
    )
}

fn option(field: &str, heading: &str) -> String {
    let heading = shorten(heading);
    match heading.contains(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-' | '.')) {
        true => format!("--column '{field}={heading}'"),
        false => format!("--column {field}={heading}"),
    }
}

/// Returns advice if a header follows further below, which makes the first lines a title.
fn header_below<T: Table>(table: &T, first: &FirstLines<'_>) -> Option<String> {
    let mut below = first.below.iter().take(20);
    let header = below.find(|row| {
        let cells = || {
            row.iter()
                .map(|cell| trim(cell))
                .filter(|cell| !cell.is_empty())
        };
        names_columns(table, cells())
            || cells().count() > 1
                && cells().all(|cell| may_be_heading(cell) && table.heading(cell).is_some())
                && cells().any(|cell| table.is_known(cell))
    })?;
    let shown = shorten(&header.join(","));
    Some(format!(
        "the line `{shown}` is the header: remove the lines above it"
    ))
}

/// Returns true if the cells of a row are headings rather than values.
pub(super) fn names_columns<'a, T: Table>(table: &T, cells: impl Iterator<Item = &'a str>) -> bool {
    let mut found = 0;
    let mut last = None;
    for cell in cells.map(trim).filter(|cell| !cell.is_empty()) {
        if !may_be_heading(cell) || !table.is_known(cell) {
            return false;
        }
        found += 1;
        last = table.heading(cell);
    }
    match found {
        0 => false,
        1 => table.alone().is_none_or(|column| last == Some(column)),
        _ => true,
    }
}

/// Returns true if a cell holds no character that is common in values and absent from headings.
fn may_be_heading(cell: &str) -> bool {
    cell.len() <= 80
        && !cell
            .bytes()
            .any(|byte| byte.is_ascii_digit() || byte == b'@')
}
