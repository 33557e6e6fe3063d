//! Lists in their forms: a table of at most 80 columns, a wide one, and comma-separated values.

use comfy_table::{Table, presets};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::escape::line as printable;

/// The widest that a table gets, in columns of a terminal.
const MOST_COLUMNS: usize = 80;

/// The blank columns between two columns of a table.
const GAP: usize = 2;

/// Columns of a table that is too wide are cut, but never below this.
const LEAST_CUT: usize = 8;

/// A column of a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    heading: &'static str,
    /// Its name among comma-separated values, where it is not the heading.
    name: Option<&'static str>,
    is_wide: bool,
    gives_way: bool,
}

impl Column {
    pub(super) const fn new(heading: &'static str) -> Self {
        Self { heading, name: None, is_wide: false, gives_way: false }
    }

    /// Only in the wide table and among comma-separated values.
    pub(super) const fn wide(self) -> Self {
        Self { is_wide: true, ..self }
    }

    /// May be cut where the table is too wide: its texts may have any length.
    pub(super) const fn gives_way(self) -> Self {
        Self { gives_way: true, ..self }
    }

    pub(super) const fn named(self, name: &'static str) -> Self {
        Self { name: Some(name), ..self }
    }

    fn csv_name(self) -> String {
        self.name.map_or_else(|| self.heading.to_ascii_lowercase(), str::to_owned)
    }
}

/// One value of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cell {
    /// The same in each form.
    Text(String),
    /// An id: enough digits for a table, all of them elsewhere.
    Id { short: String, whole: String },
    /// A quantity: rounded and with a unit for people, plain for programs.
    Quantity { shown: String, raw: String },
}

impl Cell {
    pub(super) fn text<T: ToString + ?Sized>(value: &T) -> Self {
        Self::Text(value.to_string())
    }

    fn short(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Id { short, .. } => short,
            Self::Quantity { shown, .. } => shown,
        }
    }

    fn whole(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Id { whole, .. } => whole,
            Self::Quantity { shown, .. } => shown,
        }
    }

    fn raw(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Id { whole, .. } => whole,
            Self::Quantity { raw, .. } => raw,
        }
    }
}

/// Rows under columns.
#[derive(Debug)]
pub(super) struct List {
    pub(super) columns: &'static [Column],
    /// Each has one cell for each column.
    pub(super) rows: Vec<Vec<Cell>>,
}

impl List {
    /// A table of at most 80 columns, unless a column that must not be cut needs more.
    pub(super) fn table(&self) -> String {
        let kept = |column: &Column| !column.is_wide;
        let columns: Vec<Column> = self.columns.iter().copied().filter(kept).collect();
        let headings: Vec<&str> = columns.iter().map(|column| column.heading).collect();
        let rows: Vec<Vec<String>> = self.rows.iter().map(|row| self.narrow(row)).collect();
        let mut widths: Vec<usize> = headings.iter().map(|heading| heading.width()).collect();
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        fit(&mut widths, &columns);
        let cut_row =
            |row: Vec<String>| row.iter().zip(&widths).map(|(cell, width)| cut(cell, *width)).collect();
        table(&headings, rows.into_iter().map(cut_row))
    }

    /// All columns, with whole ids and texts.
    pub(super) fn wide(&self) -> String {
        let headings: Vec<&str> = self.columns.iter().map(|column| column.heading).collect();
        table(&headings, self.rows.iter().map(|row| Self::wide_row(row)))
    }

    /// All columns as comma-separated values (RFC 4180, but lines end as everywhere here), under their names.
    pub(super) fn csv(&self) -> String {
        let names = self.columns.iter().map(|column| column.csv_name()).collect::<Vec<_>>().join(",");
        std::iter::once(names + "\n").chain(self.rows.iter().map(|row| Self::csv_row(row))).collect()
    }

    /// One row of comma-separated values.
    pub(super) fn csv_row(row: &[Cell]) -> String {
        row.iter().map(|cell| field(cell.raw())).collect::<Vec<_>>().join(",") + "\n"
    }

    /// The cells of a row of the wide table.
    pub(super) fn wide_row(row: &[Cell]) -> Vec<String> {
        row.iter().map(|cell| printable(cell.whole())).collect()
    }

    /// The cells of a row that the narrow table has.
    pub(super) fn narrow(&self, row: &[Cell]) -> Vec<String> {
        let kept = self.columns.iter().zip(row).filter(|(column, _)| !column.is_wide);
        kept.map(|(_, cell)| printable(cell.short())).collect()
    }
}

/// Makes the widest columns that give way narrower until the table fits, as far as that is possible.
fn fit(widths: &mut [usize], columns: &[Column]) {
    let gaps = GAP * widths.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > MOST_COLUMNS {
        let yielding = widths.iter_mut().zip(columns).filter(|(_, column)| column.gives_way);
        let widest = yielding.map(|(width, _)| width).max_by_key(|width| **width);
        match widest {
            Some(width) if *width > LEAST_CUT => *width -= 1,
            Some(_) | None => return,
        }
    }
}

/// The text, or as much of it as fits, with a mark.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let fits = |char: &char| {
        let wide = char.width().unwrap_or(0);
        let fits = wide <= left;
        left = left.saturating_sub(wide);
        fits
    };
    text.chars().take_while(fits).chain(std::iter::once('…')).collect()
}

/// A field of comma-separated values: in quotes where it would end early, and in one line.
fn field(text: &str) -> String {
    let text = printable(text);
    if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// Columns under headings, one line for each row, with a final line end.
pub(super) fn table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(headings);
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
    lines.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] = [
        Column::new("JOB"),
        Column::new("AGE").named("submitted_at"),
        Column::new("COMMAND").gives_way(),
        Column::new("OWNER").wide(),
    ];

    fn list(command: &str) -> List {
        let id = Cell::Id { short: "1a2b".to_owned(), whole: "0x1a2b3c".to_owned() };
        let age = Cell::Quantity { shown: "1m".to_owned(), raw: "60".to_owned() };
        List { columns: &COLUMNS, rows: vec![vec![id, age, Cell::text(&command), Cell::text(&"me")]] }
    }

    #[test]
    fn each_form_has_its_columns_and_values() {
        let list = list("say \"a, b\"");
        assert_eq!(list.table(), "JOB   AGE  COMMAND\n1a2b  1m   say \"a, b\"\n");
        assert_eq!(list.wide(), "JOB       AGE  COMMAND     OWNER\n0x1a2b3c  1m   say \"a, b\"  me\n");
        assert_eq!(list.csv(), "job,submitted_at,command,owner\n0x1a2b3c,60,\"say \"\"a, b\"\"\",me\n");
    }

    #[test]
    fn foreign_text_stays_in_its_line() {
        let list = list("a\nb\x1b[2J");
        for form in [list.table(), list.wide(), list.csv()] {
            assert_eq!(form.lines().count(), 2, "{form}");
            assert!(form.contains("a\\nb\\u{1b}[2J"), "{form}");
        }
    }

    #[test]
    fn a_table_has_at_most_80_columns_and_says_what_it_cut() {
        for long in ["x".repeat(300), "日本語 ".repeat(40)] {
            let list = list(&long);
            let shown = list.table();
            let row = shown.lines().nth(1).unwrap();
            assert!(row.ends_with('…') && (79..=80).contains(&row.width()), "{row}");
            assert!(list.wide().contains(long.trim_end()) && list.csv().contains(&long));
        }
        let exact = list(&"x".repeat(MOST_COLUMNS - 11));
        assert!(!exact.table().contains('…'), "{}", exact.table());
    }

    #[test]
    fn columns_that_must_be_whole_are_never_cut() {
        const COLUMNS: [Column; 2] = [Column::new("KEY"), Column::new("WHY").gives_way()];
        let rows = vec![vec![Cell::text(&"k".repeat(100)), Cell::text(&"w".repeat(100))]];
        let shown = List { columns: &COLUMNS, rows }.table();
        let row = format!("{}  {}…\n", "k".repeat(100), "w".repeat(7));
        assert!(shown.ends_with(&row), "{shown}");
    }

    #[test]
    fn a_table_has_aligned_columns_and_one_line_a_row() {
        let rows = [vec!["1a2b".to_owned(), "a\nb".to_owned()], vec!["3".to_owned(), String::new()]];
        assert_eq!(table(&["JOB", "NAME"], rows), "JOB   NAME\n1a2b  a\\nb\n3\n");
    }
}
