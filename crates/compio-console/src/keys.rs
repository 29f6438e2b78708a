//! Keys, independent of the terminal, and their meaning.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::{app::App, screens::Screen};

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A character.
    Char(char),
    /// Enter.
    Enter,
    /// Escape.
    Esc,
    /// Backspace.
    Backspace,
    /// Tab.
    Tab,
    /// Tab with shift.
    BackTab,
    /// An arrow.
    Up,
    /// An arrow.
    Down,
    /// An arrow.
    Left,
    /// An arrow.
    Right,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// The begin.
    Home,
    /// The end.
    End,
    /// Control and C.
    Interrupt,
}

/// Keys without a character.
const NAMED: [(KeyCode, Key); 13] = [
    (KeyCode::Enter, Key::Enter),
    (KeyCode::Esc, Key::Esc),
    (KeyCode::Backspace, Key::Backspace),
    (KeyCode::Tab, Key::Tab),
    (KeyCode::BackTab, Key::BackTab),
    (KeyCode::Up, Key::Up),
    (KeyCode::Down, Key::Down),
    (KeyCode::Left, Key::Left),
    (KeyCode::Right, Key::Right),
    (KeyCode::PageUp, Key::PageUp),
    (KeyCode::PageDown, Key::PageDown),
    (KeyCode::Home, Key::Home),
    (KeyCode::End, Key::End),
];

impl Key {
    /// The key of an event. `None` for releases and for keys without a meaning.
    pub(crate) fn from_event(event: &KeyEvent) -> Option<Self> {
        if event.kind == KeyEventKind::Release {
            return None;
        }
        let other = KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SUPER;
        if let KeyCode::Char(character) = event.code {
            let is_control = event.modifiers == KeyModifiers::CONTROL;
            return match character {
                'c' if is_control => Some(Self::Interrupt),
                _ if event.modifiers.intersects(other) => None,
                _ => Some(Self::Char(character)),
            };
        }
        let mut named = NAMED.iter();
        named
            .find(|(code, _)| *code == event.code)
            .map(|(_, key)| *key)
    }
}

impl App {
    /// Handles a key.
    pub fn on_key(&mut self, key: Key) {
        self.clear_notice();
        if key == Key::Interrupt {
            self.quit();
        } else if self.view().is_editing {
            self.edit_filter(key);
        } else if self.shows_help() {
            if key == Key::Char('q') {
                self.quit();
            } else if [Key::Char('?'), Key::Esc].contains(&key) {
                self.toggle_help();
            }
        } else {
            self.command(key);
        }
    }

    fn edit_filter(&mut self, key: Key) {
        let view = self.view_mut();
        match key {
            Key::Enter => view.is_editing = false,
            Key::Esc => {
                view.is_editing = false;
                view.filter.clear();
            }
            Key::Backspace => {
                view.filter.pop();
            }
            Key::Char(character) if !character.is_control() && view.filter.len() < 200 => {
                view.filter.push(character);
            }
            Key::Char(_) => {}
            Key::Up | Key::Down | Key::PageUp | Key::PageDown | Key::Home | Key::End => {
                self.move_selection(key);
            }
            Key::Tab | Key::BackTab | Key::Left | Key::Right | Key::Interrupt => {}
        }
    }

    fn command(&mut self, key: Key) {
        match key {
            Key::Char(character) => self.character(character),
            Key::Enter => self.open_task(),
            Key::Esc => self.go_back(),
            Key::Tab => self.cycle_screen(1),
            Key::BackTab => self.cycle_screen(Screen::ALL.len() - 1),
            Key::Left => self.step(-1),
            Key::Right => self.step(1),
            Key::Up | Key::Down | Key::PageUp | Key::PageDown | Key::Home | Key::End => {
                self.move_selection(key);
            }
            Key::Backspace | Key::Interrupt => {}
        }
    }

    fn character(&mut self, character: char) {
        match character {
            '1'..='5' => {
                let index = usize::from(character as u8 - b'1');
                self.show(Screen::ALL[index]);
            }
            '?' => self.toggle_help(),
            's' => self.sort_by_next_column(),
            'S' => self.reverse_order(),
            '/' => self.begin_filter(),
            'w' => self.cycle_worker(true),
            'W' => self.cycle_worker(false),
            'h' => self.toggle_histograms(),
            'r' => self.toggle_recording(),
            ' ' => self.toggle_pause(),
            'q' => self.quit(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_keys() {
        let event = |code, modifiers| KeyEvent::new(code, modifiers);
        for (event, key) in [
            (
                event(KeyCode::Char('S'), KeyModifiers::SHIFT),
                Some(Key::Char('S')),
            ),
            (
                event(KeyCode::Char('c'), KeyModifiers::CONTROL),
                Some(Key::Interrupt),
            ),
            (event(KeyCode::Char('q'), KeyModifiers::ALT), None),
            (
                event(KeyCode::BackTab, KeyModifiers::SHIFT),
                Some(Key::BackTab),
            ),
            (event(KeyCode::F(1), KeyModifiers::NONE), None),
        ] {
            assert_eq!(Key::from_event(&event), key);
        }
        let mut release = event(KeyCode::Enter, KeyModifiers::NONE);
        release.kind = KeyEventKind::Release;
        assert_eq!(Key::from_event(&release), None);
    }
}
