//! Columns of text that line up, with colours that do not count.

use crate::output::{Colour, paint};

/// One cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    colour: Option<Colour>,
}

/// On which side a column's text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// A column: its head, and how wide it is at least and at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    head: &'static str,
    least: usize,
    most: usize,
    side: Side,
}

/// Rows under heads.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

/// The text, or what stands for none, so that columns are counted alike in all rows.
pub(crate) fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

impl Cell {
    /// In the colour of what is around it.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), colour: None }
    }

    /// In `colour`.
    pub(crate) fn painted(colour: Colour, text: impl Into<String>) -> Self {
        Self { text: text.into(), colour: Some(colour) }
    }
}

impl Column {
    /// As wide as `least`, or as what is in it and two more.
    pub(crate) const fn growing(head: &'static str, least: usize) -> Self {
        Self { head, least, most: usize::MAX, side: Side::Left }
    }

    /// As wide as `width`, unless what is in it needs more.
    pub(crate) const fn fixed(head: &'static str, width: usize, side: Side) -> Self {
        Self { head, least: width, most: width, side }
    }
}

impl Table {
    /// Nothing under these heads.
    pub(crate) fn new(columns: Vec<Column>) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// One more row, of as many cells as there are columns.
    pub(crate) fn push(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }

    /// Heads, a line, rows; each ends without trailing blanks.
    pub(crate) fn lines(&self) -> Vec<String> {
        let widths: Vec<usize> = (0..self.columns.len()).map(|at| self.width(at)).collect();
        let heads: Vec<Cell> = self.columns.iter().map(|column| Cell::new(column.head)).collect();
        let between = if widths.is_empty() { 0 } else { widths.len() - 1 };
        let rule = "-".repeat(widths.iter().sum::<usize>() + between);
        let rows = self.rows.iter().map(|row| self.line(row, &widths));
        [self.line(&heads, &widths), rule].into_iter().chain(rows).collect()
    }

    fn width(&self, at: usize) -> usize {
        let column = &self.columns[at];
        let longest = self.rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.text.chars().count()).max();
        let longest = longest.unwrap_or(0).max(column.head.len());
        if column.most == usize::MAX { (longest + 2).max(column.least) } else { longest.max(column.least) }
    }

    fn line(&self, row: &[Cell], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, column), width) in row.iter().zip(&self.columns).zip(widths) {
            let blanks = " ".repeat(width.saturating_sub(cell.text.chars().count()));
            let text = match cell.colour {
                Some(colour) => paint(colour, &cell.text),
                None => cell.text.clone(),
            };
            let (before, after) = match column.side {
                Side::Left => ("", blanks.as_str()),
                Side::Right => (blanks.as_str(), ""),
            };
            if !line.is_empty() {
                line.push(' ');
            }
            line.extend([before, &text, after]);
        }
        line.truncate(line.trim_end().len());
        line
    }
}

#[cfg(test)]
mod tests {
    use super::{Cell, Column, Side, Table};

    #[test]
    fn columns_grow_with_what_is_in_them() {
        let mut table = Table::new(vec![Column::growing("NAME", 6), Column::fixed("CAPS", 6, Side::Right)]);
        table.push(vec![Cell::new("a-long-name"), Cell::new("1/2")]);
        let lines = table.lines();
        assert_eq!(lines, ["NAME            CAPS", "--------------------", "a-long-name      1/2"]);
    }
}
