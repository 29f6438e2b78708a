//! Tables: cells that can be compared, and a layout that fits the width of the terminal.

use std::cmp::Ordering;

use ratatui::{buffer::Buffer, layout::Rect, style::Style, text::Line};

/// The lowest rank of columns that are left out before others shrink.
const COMFORT: u8 = 5;

/// A column of a screen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    title: &'static str,
    /// The title where there is little room.
    short: &'static str,
    is_number: bool,
    /// Smallest width. 0: the column does not shrink.
    min: usize,
    /// Whether the end of a long text stays visible, and not its begin.
    keeps_end: bool,
    /// The column with the highest rank is left out first, from [`COMFORT`] on before a text is cut. 0: never.
    rank: u8,
}

impl Column {
    /// A right-aligned column. Its first order is descending.
    pub(crate) const fn number(title: &'static str, short: &'static str, rank: u8) -> Self {
        Self {
            title,
            short,
            is_number: true,
            min: 0,
            keeps_end: false,
            rank,
        }
    }

    /// A left-aligned column, which shrinks to `min`.
    pub(crate) const fn text(
        title: &'static str,
        short: &'static str,
        min: usize,
        rank: u8,
    ) -> Self {
        Self {
            title,
            short,
            is_number: false,
            min,
            keeps_end: false,
            rank,
        }
    }

    /// The same for paths: the end stays visible.
    pub(crate) const fn path(
        title: &'static str,
        short: &'static str,
        min: usize,
        rank: u8,
    ) -> Self {
        Self {
            keeps_end: true,
            ..Self::text(title, short, min, rank)
        }
    }

    pub(crate) fn title(&self) -> &'static str {
        self.title
    }

    pub(crate) fn is_number(&self) -> bool {
        self.is_number
    }
}

/// A value with its short form.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    /// The order among cells of the column. Texts are in the order of their text.
    number: f64,
}

impl Cell {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            number: 0.0,
        }
    }

    /// A number and its short form. An unknown number is below all others.
    pub(crate) fn number<T: Copy>(
        value: Option<T>,
        number: impl Fn(T) -> f64,
        format: impl Fn(T) -> String,
    ) -> Self {
        Self {
            text: value.map_or(crate::format::UNKNOWN.into(), format),
            number: value.map_or(f64::NEG_INFINITY, number),
        }
    }

    pub(crate) fn count(value: u64) -> Self {
        Self::number(Some(value), |value| value as f64, crate::format::count)
    }

    pub(crate) fn rate(value: Option<f64>) -> Self {
        Self::number(value, |value| value, crate::format::rate)
    }

    pub(crate) fn seconds(value: Option<f64>) -> Self {
        Self::number(value, |value| value, crate::format::seconds)
    }

    /// A number that names something, in full.
    pub(crate) fn id(value: u64) -> Self {
        Self::number(Some(value), |value| value as f64, |value| value.to_string())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    fn compare(&self, other: &Self) -> Ordering {
        let numbers = self.number.total_cmp(&other.number);
        numbers.then_with(|| self.text.cmp(&other.text))
    }
}

/// The identity of a row over updates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RowKey {
    Worker(u64),
    Kind(String),
    Task {
        runtime: u64,
        id: u64,
    },
    Operation {
        runtime: u64,
        task: Option<u64>,
        kind: String,
        descriptor: String,
    },
    Connection {
        runtime: u64,
        descriptor: String,
        object: String,
    },
}

/// A row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) key: RowKey,
    pub(crate) cells: Vec<Cell>,
}

impl Row {
    /// Whether a cell contains the text, in any case of its letters.
    pub(crate) fn contains(&self, lower_case: &str) -> bool {
        let mut cells = self.cells.iter();
        cells.any(|cell| cell.text.to_lowercase().contains(lower_case))
    }
}

/// Sorts by a column. Equal rows keep their order.
pub(crate) fn sort(rows: &mut [Row], column: usize, is_descending: bool) {
    rows.sort_by(|a, b| {
        let order = match (a.cells.get(column), b.cells.get(column)) {
            (Some(a), Some(b)) => a.compare(b),
            (None, _) | (_, None) => Ordering::Equal,
        };
        if is_descending {
            order.reverse()
        } else {
            order
        }
    });
}

/// Draws the titles, and the rows from `first` on, as many as fit.
pub(crate) fn draw(
    buffer: &mut Buffer,
    area: Rect,
    columns: &[Column],
    rows: &[Row],
    first: usize,
    styles: impl Fn(Option<usize>) -> Style,
) {
    let layout = Layout::new(area.width.into(), columns, rows);
    for line in 0..area.height {
        let y = area.y + line;
        // The first line has the titles.
        let index = usize::from(line).checked_sub(1).map(|index| first + index);
        let row = index.and_then(|index| rows.get(index));
        if index.is_some() && row.is_none() {
            return;
        }
        let style = styles(index);
        buffer.set_style(
            Rect {
                y,
                height: 1,
                ..area
            },
            style,
        );
        let mut x = area.x;
        for (column, width) in layout.columns() {
            let text = match row {
                Some(row) => row.cells.get(column).map_or("", Cell::as_str),
                None => layout.title(&columns[column]),
            };
            let text = fit(text, width, &columns[column]);
            buffer.set_stringn(x, y, text, (area.right() - x).into(), style);
            let next = usize::from(x) + width + layout.gap;
            x = u16::try_from(next).unwrap_or(u16::MAX).min(area.right());
        }
    }
}

/// Cuts or pads a text to a width.
fn fit(text: &str, width: usize, column: &Column) -> String {
    let length = width_of(text);
    if length <= width {
        let padding = " ".repeat(width - length);
        return if column.is_number {
            padding + text
        } else {
            text.to_owned() + &padding
        };
    }
    if width < 4 {
        return take_width(text.chars(), width).into_iter().collect();
    }
    if column.keeps_end {
        let end = take_width(text.chars().rev(), width - 2);
        return ".".repeat(2) + &end.into_iter().rev().collect::<String>();
    }
    let begin: String = take_width(text.chars(), width - 2).into_iter().collect();
    begin + ".."
}

/// The first characters that fit into a width.
fn take_width(characters: impl Iterator<Item = char>, width: usize) -> Vec<char> {
    let mut left = width;
    let mut taken = Vec::new();
    for character in characters {
        let width = width_of(character.encode_utf8(&mut [0; 4]));
        if width > left {
            break;
        }
        left -= width;
        taken.push(character);
    }
    taken
}

/// Columns of the terminal that a text takes.
pub(crate) fn width_of(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        Line::raw(text).width()
    }
}

/// The widths of columns.
struct Layout {
    /// `None`: the column is left out.
    widths: Vec<Option<usize>>,
    is_short: bool,
    gap: usize,
}

impl Layout {
    fn new(available: usize, columns: &[Column], rows: &[Row]) -> Self {
        let content = |index: usize| {
            let cells = rows.iter().filter_map(move |row| row.cells.get(index));
            cells.map(|cell| width_of(cell.as_str())).max().unwrap_or(0)
        };
        let content: Vec<usize> = (0..columns.len()).map(content).collect();
        let mut layout = Self::of_content(columns, &content, false);
        if layout.total() > available {
            layout = Self::of_content(columns, &content, true);
        }
        while layout.total() > available {
            if !layout.leave_out(columns, COMFORT)
                && !layout.shrink(columns, available)
                && !layout.leave_out(columns, 1)
            {
                break;
            }
        }
        layout
    }

    fn of_content(columns: &[Column], content: &[usize], is_short: bool) -> Self {
        let mut layout = Self {
            widths: Vec::new(),
            is_short,
            gap: if is_short { 1 } else { 2 },
        };
        let width = |(column, content): (&Column, &usize)| {
            Some(width_of(layout.title(column)).max(*content))
        };
        layout.widths = columns.iter().zip(content).map(width).collect();
        layout
    }

    fn title(&self, column: &Column) -> &'static str {
        if self.is_short {
            column.short
        } else {
            column.title
        }
    }

    /// The columns that are shown, with their widths.
    fn columns(&self) -> impl Iterator<Item = (usize, usize)> {
        let widths = self.widths.iter().enumerate();
        widths.filter_map(|(column, width)| Some((column, (*width)?)))
    }

    fn total(&self) -> usize {
        let widths = self.columns().map(|(_, width)| width + self.gap);
        widths.sum::<usize>().saturating_sub(self.gap)
    }

    /// Shrinks the widest column that is above its minimum, as far as needed. `false` if there is none.
    fn shrink(&mut self, columns: &[Column], available: usize) -> bool {
        let excess = self.total() - available;
        let can_shrink = |(column, width): &(usize, usize)| {
            let min = columns[*column].min;
            min > 0 && *width > min
        };
        let flexible: Vec<_> = self.columns().filter(can_shrink).collect();
        let Some((widest, width)) = flexible.iter().copied().max_by_key(|(_, width)| *width) else {
            return false;
        };
        // Not below the next one, so that several wide columns share the loss.
        let others = flexible.iter().filter(|(column, _)| *column != widest);
        let next = others.map(|(_, width)| *width).max().unwrap_or(0);
        let floor = columns[widest].min.max(next.min(width - 1));
        self.widths[widest] = Some(width.saturating_sub(excess).max(floor));
        true
    }

    /// Leaves out the column with the highest rank, if it is at least `lowest`.
    fn leave_out(&mut self, columns: &[Column], lowest: u8) -> bool {
        let shown = self.columns().map(|(column, _)| column);
        let last = shown.max_by_key(|column| columns[*column].rank);
        let Some(column) = last.filter(|column| columns[*column].rank >= lowest) else {
            return false;
        };
        self.widths[column] = None;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [
        Column::number("number", "#", 0),
        Column::text("name", "name", 4, 0),
        Column::path("place", "place", 6, 1),
    ];

    fn row(number: u64, name: &str, place: &str) -> Row {
        Row {
            key: RowKey::Worker(number),
            cells: vec![Cell::id(number), Cell::text(name), Cell::text(place)],
        }
    }

    fn drawn(width: u16, rows: &[Row]) -> Vec<String> {
        let area = Rect::new(0, 0, width, 3);
        let mut buffer = Buffer::empty(area);
        draw(&mut buffer, area, &COLUMNS, rows, 0, |_| Style::default());
        let line = |y| {
            (0..width)
                .map(|x| buffer[(x, y)].symbol())
                .collect::<String>()
        };
        (0..3).map(|y| line(y).trim_end().to_owned()).collect()
    }

    #[test]
    fn wide_table_has_long_titles() {
        let lines = drawn(40, &[row(1, "echo", "src/main.rs:1:1")]);
        assert_eq!(
            lines,
            ["number  name  place", "     1  echo  src/main.rs:1:1", ""]
        );
    }

    #[test]
    fn narrow_table_cuts_texts_then_leaves_out_columns() {
        let rows = [row(1, "echo", "src/main.rs:1:1")];
        assert_eq!(drawn(17, &rows)[1], "1 echo ..n.rs:1:1");
        assert_eq!(drawn(8, &rows)[1], "1 echo");
        assert_eq!(drawn(0, &rows)[1], "");
    }

    #[test]
    fn wide_characters_are_cut_at_a_border() {
        assert_eq!(fit("水水水水", 7, &COLUMNS[1]), "水水..");
        assert_eq!(fit("水水", 5, &COLUMNS[1]), "水水 ");
    }

    #[test]
    fn rows_are_sorted_by_number_or_text() {
        let mut rows = [row(9, "b", ""), row(10, "a", "")];
        sort(&mut rows, 0, true);
        assert_eq!(rows[0].key, RowKey::Worker(10));
        sort(&mut rows, 1, true);
        assert_eq!(rows[0].key, RowKey::Worker(9));
        let unknown = Cell::seconds(None);
        assert_eq!(unknown.compare(&Cell::seconds(Some(0.0))), Ordering::Less);
    }
}
