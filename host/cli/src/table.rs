//! Tables for people: aligned columns under a header, written row by row.

use std::io;

use super::output::{BOLD, Out, sanitize_line};

/// Number of rows that determine the column widths. Wider cells in later rows break the alignment;
/// in return, a listing of millions of rows needs little memory.
const SAMPLE_ROWS: usize = 500;
/// Maximum width of a column except the last, in characters.
const MAX_WIDTH: usize = 48;

/// A table that is being written.
pub(super) struct Table<const N: usize> {
    header: [&'static str; N],
    buffered: Vec<[String; N]>,
    widths: Option<[usize; N]>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(header: [&'static str; N]) -> Table<N> {
        Table {
            header,
            buffered: Vec::new(),
            widths: None,
        }
    }

    /// Adds a row.
    pub(super) fn row(&mut self, out: &mut Out, cells: [String; N]) -> io::Result<()> {
        let cells = cells.map(|cell| sanitize_line(&cell));
        match self.widths {
            Some(widths) => write_row(out, &cells, widths, false),
            None => {
                self.buffered.push(cells);
                if self.buffered.len() >= SAMPLE_ROWS {
                    self.fix_widths(out)?;
                }
                Ok(())
            }
        }
    }

    /// Writes the buffered rows; if there are no rows, writes `nothing`.
    pub(super) fn finish(mut self, out: &mut Out, nothing: &str) -> io::Result<()> {
        if self.widths.is_none() && self.buffered.is_empty() {
            return out.line(format_args!("{nothing}"));
        }
        self.fix_widths(out)
    }

    fn fix_widths(&mut self, out: &mut Out) -> io::Result<()> {
        if self.widths.is_some() {
            return Ok(());
        }
        let width = |column: usize| {
            let cells = self.buffered.iter().map(|row| row[column].chars().count());
            let widest = cells.max().unwrap_or_default().min(MAX_WIDTH);
            widest.max(self.header[column].len())
        };
        let widths = std::array::from_fn(width);
        self.widths = Some(widths);
        write_row(out, &self.header.map(str::to_owned), widths, true)?;
        for row in self.buffered.drain(..) {
            write_row(out, &row, widths, false)?;
        }
        Ok(())
    }
}

fn write_row<const N: usize>(
    out: &mut Out,
    cells: &[String; N],
    widths: [usize; N],
    header: bool,
) -> io::Result<()> {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        line.push_str(cell);
        let pad = width.saturating_sub(cell.chars().count());
        line.extend(std::iter::repeat_n(' ', pad + 2));
    }
    let line = line.trim_end();
    match header {
        true => out.line(format_args!("{}", out.style(BOLD, line))),
        false => out.line(format_args!("{line}")),
    }
}
