//! Requests whose readiness no event reports: a timer repeats them.

use std::time::Duration;

use crate::key::Key;

/// The time between two attempts.
pub(crate) const RETRY_INTERVAL: Duration = Duration::from_millis(1);

/// The waiting requests, in a form that the backend can repeat.
pub(crate) struct Retries<T> {
    waiting: Vec<(Key, T)>,
}

impl<T> Retries<T> {
    pub(crate) fn new() -> Self {
        Self {
            waiting: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, key: Key, request: T) {
        self.waiting.push((key, request));
    }

    /// Returns whether the request was waiting.
    pub(crate) fn remove(&mut self, key: Key) -> bool {
        let index = self.waiting.iter().position(|(other, _)| *other == key);
        if let Some(index) = index {
            self.waiting.remove(index);
        }
        index.is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The timeout of a sleep that ends in time for the next attempts.
    pub(crate) fn clamp(&self, timeout: Option<Duration>) -> Option<Duration> {
        if self.waiting.is_empty() {
            return timeout;
        }
        Some(timeout.map_or(RETRY_INTERVAL, |timeout| timeout.min(RETRY_INTERVAL)))
    }

    /// Repeats each request. The ones for which `is_waiting` returns false are removed.
    pub(crate) fn retry(&mut self, mut is_waiting: impl FnMut(Key, &T) -> bool) {
        self.waiting
            .retain(|(key, request)| is_waiting(*key, request));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(index: u32) -> Key {
        Key {
            index,
            generation: 0,
        }
    }

    #[test]
    fn removed_and_finished_requests_are_not_retried() {
        let mut retries = Retries::new();
        for index in 0..3 {
            retries.push(key(index), index);
        }
        assert!(retries.remove(key(1)));
        assert!(!retries.remove(key(1)));
        retries.retry(|_, request| *request != 0);
        let mut retried = Vec::new();
        retries.retry(|_, request| {
            retried.push(*request);
            false
        });
        assert_eq!(retried, [2]);
        assert!(retries.is_empty());
    }

    #[test]
    fn sleep_is_clamped_only_while_requests_wait() {
        let mut retries = Retries::new();
        assert_eq!(retries.clamp(None), None);
        retries.push(key(0), ());
        assert_eq!(retries.clamp(None), Some(RETRY_INTERVAL));
        assert_eq!(retries.clamp(Some(Duration::ZERO)), Some(Duration::ZERO));
        assert_eq!(retries.clamp(Some(Duration::MAX)), Some(RETRY_INTERVAL));
    }
}
