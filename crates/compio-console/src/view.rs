//! The choices of the user on one screen: order, filter, selection.

use crate::{
    keys::Key,
    screens::{Screen, Sheet},
    table::{self, Row, RowKey},
};

/// Order, filter and selection of a table.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) sort: usize,
    pub(crate) is_descending: bool,
    pub(crate) filter: String,
    /// Whether keys are added to the filter.
    pub(crate) is_editing: bool,
    /// The index of the selected row, and its identity.
    selected: usize,
    key: Option<RowKey>,
    /// The first row that is drawn.
    first: usize,
    /// Rows that the last drawing had room for.
    page: usize,
}

impl View {
    pub(crate) fn new(screen: Screen) -> Self {
        let (sort, is_descending) = screen.first_sort();
        Self {
            sort,
            is_descending,
            filter: String::new(),
            is_editing: false,
            selected: 0,
            key: None,
            first: 0,
            page: 10,
        }
    }

    /// Filters and sorts the rows.
    pub(crate) fn arrange(&self, sheet: &mut Sheet) {
        if !self.filter.is_empty() {
            let filter = self.filter.to_lowercase();
            sheet.rows.retain(|row| row.contains(&filter));
        }
        table::sort(&mut sheet.rows, self.sort, self.is_descending);
    }

    /// Finds the selected row again, after the rows have changed. Returns its index.
    pub(crate) fn resolve(&mut self, rows: &[Row]) -> usize {
        self.selected = self.selected.min(rows.len().saturating_sub(1));
        if let Some(key) = &self.key {
            // Rows can have equal identities. The index decides among them.
            let is_same = rows.get(self.selected).is_some_and(|row| row.key == *key);
            let found = rows.iter().position(|row| row.key == *key);
            if let Some(index) = found.filter(|_| !is_same) {
                self.selected = index;
            }
        }
        self.selected
    }

    /// Moves the selection.
    pub(crate) fn move_to(&mut self, key: Key, rows: &[Row]) {
        let page = self.page.max(1);
        let current = self.resolve(rows);
        let last = rows.len().saturating_sub(1);
        self.selected = moved(key, current, page, last);
        self.key = rows.get(self.selected).map(|row| row.key.clone());
    }

    /// The identity of the selected row.
    pub(crate) fn selected<'a>(&mut self, rows: &'a [Row]) -> Option<&'a RowKey> {
        let index = self.resolve(rows);
        Some(&rows.get(index)?.key)
    }

    /// The first row to draw, so that the selected one is visible.
    pub(crate) fn scroll(&mut self, rows: &[Row], page: usize) -> usize {
        self.page = page;
        let selected = self.resolve(rows);
        let last = rows.len().saturating_sub(page);
        self.first = first_visible(self.first.min(last), selected, page);
        self.first
    }
}

/// The index after a move.
pub(crate) fn moved(key: Key, current: usize, page: usize, last: usize) -> usize {
    match key {
        Key::Up => current.saturating_sub(1),
        Key::Down => (current + 1).min(last),
        Key::PageUp => current.saturating_sub(page),
        Key::PageDown => (current + page).min(last),
        Key::Home => 0,
        Key::End => last,
        Key::Char(_)
        | Key::Enter
        | Key::Esc
        | Key::Backspace
        | Key::Tab
        | Key::BackTab
        | Key::Left
        | Key::Right
        | Key::Interrupt => current,
    }
}

fn first_visible(first: usize, selected: usize, page: usize) -> usize {
    if selected < first {
        selected
    } else if selected >= first + page {
        selected + 1 - page
    } else {
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Cell;

    fn rows(numbers: &[u64]) -> Vec<Row> {
        let row = |number: &u64| Row {
            key: RowKey::Worker(*number),
            cells: vec![Cell::id(*number)],
        };
        numbers.iter().map(row).collect()
    }

    #[test]
    fn selection_stays_on_its_row() {
        let mut view = View::new(Screen::Workers);
        let before = rows(&[1, 2, 3]);
        view.move_to(Key::Down, &before);
        assert_eq!(view.selected(&before), Some(&RowKey::Worker(2)));
        let after = rows(&[9, 8, 1, 2]);
        assert_eq!(view.selected(&after), Some(&RowKey::Worker(2)));
        // The row is gone: the one at its place is selected.
        assert_eq!(view.selected(&rows(&[1])), Some(&RowKey::Worker(1)));
        assert_eq!(view.selected(&[]), None);
    }

    #[test]
    fn selection_without_a_move_stays_on_the_first_row() {
        let mut view = View::new(Screen::Workers);
        assert_eq!(view.selected(&rows(&[1, 2])), Some(&RowKey::Worker(1)));
        assert_eq!(view.selected(&rows(&[3, 1])), Some(&RowKey::Worker(3)));
    }

    #[test]
    fn equal_identities_do_not_stop_the_selection() {
        let mut view = View::new(Screen::Workers);
        let rows = rows(&[1, 1, 1, 2]);
        for expected in [1, 2, 3, 3] {
            view.move_to(Key::Down, &rows);
            assert_eq!(view.resolve(&rows), expected);
        }
    }

    #[test]
    fn selected_row_is_visible() {
        let mut view = View::new(Screen::Workers);
        let rows = rows(&(0..100).collect::<Vec<_>>());
        view.scroll(&rows, 10);
        view.move_to(Key::PageDown, &rows);
        assert_eq!(view.scroll(&rows, 10), 1);
        view.move_to(Key::End, &rows);
        assert_eq!(view.scroll(&rows, 10), 90);
        view.move_to(Key::Home, &rows);
        assert_eq!(view.scroll(&rows, 10), 0);
    }
}
