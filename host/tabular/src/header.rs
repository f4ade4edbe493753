//! The first lines of a CSV file: detects the columns.

use super::delimiter::delimiter_error;
use super::first_line::check_first_line;
use super::schema::RowSchema;
use super::{CsvOptions, StatedColumn, UploadError, fold, shorten, text};

/// Number of lines in a preview.
const PREVIEW_LINES: usize = 3;

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
pub(super) enum CellRole<C> {
    /// A value of that column.
    Column(C),
    /// Not read, as an option says.
    Ignored,
    /// Must be empty: spreadsheets leave such a cell if all lines end in a delimiter.
    Unnamed,
}

/// The columns of a file, as its first line describes them.
pub(super) struct Layout<C> {
    pub(super) roles: Vec<CellRole<C>>,
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
    pub(super) fn header_error(&self, field: &str, message: String) -> UploadError {
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
        let below = self.below.iter().take(PREVIEW_LINES - 1);
        lines.extend(below.map(|cells| line(cells.iter().map(String::as_str).collect())));
        let columns = match self.cells.len() {
            1 => "1 column".to_owned(),
            columns => format!("{columns} columns"),
        };
        format!("read as {columns}: {}", lines.join(" / "))
    }
}

/// Determines the columns from the first line.
pub(super) fn layout<T: RowSchema>(
    table: &T,
    options: &CsvOptions,
    first: &FirstLines<'_>,
) -> Result<Layout<T::Column>, UploadError> {
    if options.no_header {
        return columns_by_number(table, options, first);
    }
    let FirstLines { cells, .. } = first;
    let mapped = mapped(table, options, first)?;
    let mut roles = Vec::with_capacity(cells.len());
    for (at, cell) in cells.iter().enumerate() {
        roles.push(match (&mapped[at], table.heading(cell)) {
            (Some(role), _) => role.clone(),
            (None, Some(column)) => CellRole::Column(column),
            (None, None) => CellRole::Unnamed,
        });
    }
    let is_known = |cell: &&str| table.is_known(cell);
    if options.columns.is_empty() && !cells.iter().any(is_known) {
        if let Some(error) = delimiter_error(table, first) {
            return Err(error);
        }
        if roles.iter().all(|role| *role == CellRole::Unnamed) {
            return columns_without_header(table, first);
        }
    }
    let mut warnings = Vec::new();
    let mut unknown = Vec::new();
    for (at, cell) in cells.iter().enumerate() {
        match &roles[at] {
            CellRole::Column(column) if roles[..at].contains(&roles[at]) => {
                let name = T::name(column);
                let advice = ignore(cell);
                let message =
                    format!("the column `{name}` appears twice; keep one of them, or use {advice}");
                return Err(first.header_error(cell, message));
            }
            CellRole::Column(column) => {
                let name = T::name(column);
                if mapped[at].is_none() && fold(name) != fold(cell) {
                    warnings.push(format!(
                        "the heading `{}` is read as `{name}`",
                        shorten(cell)
                    ));
                }
            }
            CellRole::Unnamed if !cell.is_empty() => unknown.push(*cell),
            _ => {}
        }
    }
    let columns: Vec<Option<T::Column>> = roles.iter().map(column_of).collect();
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
            mapping_options(table, &unknown, &columns)
        );
        return Err(first.header_error(one, message));
    }
    if let Some((field, message)) = table.missing_column(&columns, &first.shown()) {
        let message = match header_below(table, first) {
            Some(below) => format!("{message}; {below}"),
            None => format!(
                "{message}; or map a column with {}",
                mapping_options(table, cells, &[])
            ),
        };
        return Err(first.header_error(&field, message));
    }
    Ok(Layout {
        roles,
        has_header: true,
        warnings,
    })
}

fn column_of<C: Clone>(role: &CellRole<C>) -> Option<C> {
    match role {
        CellRole::Column(column) => Some(column.clone()),
        _ => None,
    }
}

/// Returns the role that the options give to each cell of the first line.
fn mapped<T: RowSchema>(
    table: &T,
    options: &CsvOptions,
    first: &FirstLines<'_>,
) -> Result<Vec<Option<CellRole<T::Column>>>, UploadError> {
    let mut roles = vec![None; first.cells.len()];
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
        roles[at] = Some(named(table, field)?);
    }
    Ok(roles)
}

/// Determines the columns of a file that the options say has no header.
fn columns_by_number<T: RowSchema>(
    table: &T,
    options: &CsvOptions,
    first: &FirstLines<'_>,
) -> Result<Layout<T::Column>, UploadError> {
    let cells = first.cells;
    let header_error = |message: String| UploadError::Option {
        option: "column",
        message,
    };
    let mut roles = vec![CellRole::Unnamed; cells.len()];
    for StatedColumn { field, heading } in &options.columns {
        let number = heading
            .parse()
            .ok()
            .filter(|at| (1..=cells.len()).contains(at));
        let Some(number) = number else {
            return Err(header_error(format!(
                "`{}` is not a column number; without a heading, expected 1 to {}, such as \
                 code=1; {}",
                shorten(heading),
                cells.len(),
                first.preview()
            )));
        };
        roles[number - 1] = named(table, field)?;
    }
    if options.columns.is_empty() {
        let mut values = (0..cells.len()).filter(|at| !cells[*at].is_empty());
        match (values.next(), values.next(), table.bare_column()) {
            (Some(only), None, Some(column)) => roles[only] = CellRole::Column(column),
            _ => {
                return Err(header_error(format!(
                    "without a heading, map the columns by number, such as code=1; {}",
                    first.preview()
                )));
            }
        }
    } else {
        // Columns without an option are not read.
        for role in &mut roles {
            if *role == CellRole::Unnamed {
                *role = CellRole::Ignored;
            }
        }
    }
    let columns: Vec<Option<T::Column>> = roles.iter().map(column_of).collect();
    if let Some((_, message)) = table.missing_column(&columns, &first.shown()) {
        return Err(header_error(message));
    }
    Ok(Layout {
        roles,
        has_header: false,
        warnings: Vec::new(),
    })
}

/// Returns the role that an option names.
fn named<T: RowSchema>(table: &T, field: &str) -> Result<CellRole<T::Column>, UploadError> {
    if field == StatedColumn::IGNORE {
        return Ok(CellRole::Ignored);
    }
    let column = table.column(field).ok_or_else(|| UploadError::Option {
        option: "column",
        message: format!(
            "`{}` is not a field; {}, and ignore",
            shorten(field),
            table.hint(field, &[])
        ),
    })?;
    Ok(CellRole::Column(column))
}

/// Handles a file whose first line names no column: either a list of codes, or an error.
fn columns_without_header<T: RowSchema>(
    table: &T,
    first: &FirstLines<'_>,
) -> Result<Layout<T::Column>, UploadError> {
    let cells = first.cells;
    let mut values = (0..cells.len()).filter(|at| !cells[*at].is_empty());
    let (Some(only), None, Some(column)) = (values.next(), values.next(), table.bare_column())
    else {
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
        return Err(first.header_error(
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
    let checked = match &line_below {
        Some(_) => Err("a line below names the columns"),
        None if !is_shared => Err("the rows below have other columns"),
        None => check_first_line(cells[only], &below, |text| table.is_made_of_words(text)),
    };
    if let Err(reason) = checked {
        let advice = line_below.unwrap_or_else(|| {
            format!(
                "map it with {}, or, if it is a row, use `--no-header` (over HTTP `noHeader=true`)",
                mapping_options(table, &cells[only..=only], &[])
            )
        });
        let message = format!(
            "`{}` is not a known heading and does not look like a code: {reason}; {advice}; {}",
            shorten(cells[only]),
            first.preview()
        );
        return Err(first.header_error("", message));
    }
    let mut roles = vec![CellRole::Unnamed; cells.len()];
    roles[only] = CellRole::Column(column);
    Ok(Layout {
        roles,
        has_header: false,
        warnings: Vec::new(),
    })
}

/// Returns the options that would map these headings.
fn mapping_options<T: RowSchema>(
    table: &T,
    headings: &[&str],
    known: &[Option<T::Column>],
) -> String {
    // The first heading without a suggestion may be the required column.
    let mut lacked = table
        .missing_column(known, "")
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
fn header_below<T: RowSchema>(table: &T, first: &FirstLines<'_>) -> Option<String> {
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
pub(super) fn names_columns<'a, T: RowSchema>(
    table: &T,
    cells: impl Iterator<Item = &'a str>,
) -> bool {
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
        1 => table
            .bare_column()
            .is_none_or(|column| last == Some(column)),
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
