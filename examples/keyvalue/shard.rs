//! The keys of one core. Only its thread reads and changes them, so there is no lock.

use std::{
    cell::RefCell,
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    time::{Duration, Instant},
};

use crate::resp;

thread_local! {
    static SHARD: RefCell<HashMap<Vec<u8>, Entry>> = RefCell::default();
}

struct Entry {
    value: Vec<u8>,
    /// `None`: it stays.
    expires: Option<Instant>,
}

/// The part of a command that concerns one key. Its bytes are those of the connection, or a copy for another
/// core.
pub(crate) struct Operation<B> {
    pub(crate) key: B,
    pub(crate) action: Action<B>,
}

pub(crate) enum Action<B> {
    Get,
    Set { value: B, life: Option<Duration> },
    Delete,
    Increment,
    Expire(Duration),
    TimeToLive,
}

impl Operation<&[u8]> {
    /// A copy that can be sent.
    pub(crate) fn copy(&self) -> Operation<Vec<u8>> {
        Operation {
            key: self.key.to_vec(),
            action: match &self.action {
                Action::Get => Action::Get,
                Action::Set { value, life } => Action::Set {
                    value: value.to_vec(),
                    life: *life,
                },
                Action::Delete => Action::Delete,
                Action::Increment => Action::Increment,
                Action::Expire(life) => Action::Expire(*life),
                Action::TimeToLive => Action::TimeToLive,
            },
        }
    }
}

/// The result of an operation.
pub(crate) enum Outcome {
    /// The reply has been written.
    Written,
    /// A number, which a command with several keys adds up.
    Count(i64),
}

/// The worker that owns a key. The hash is the same in all threads.
pub(crate) fn owner(key: &[u8], workers: usize) -> usize {
    let hash = BuildHasherDefault::<DefaultHasher>::new().hash_one(key);
    // The lower half may select the place in the map.
    ((hash >> 32) as usize) % workers
}

/// Executes an operation on this thread's shard. Appends its reply, unless that is a count.
pub(crate) fn execute<B: AsRef<[u8]>>(operation: &Operation<B>, reply: &mut Vec<u8>) -> Outcome {
    let key = operation.key.as_ref();
    SHARD.with_borrow_mut(|shard| match &operation.action {
        Action::Get => {
            resp::bulk(reply, live(shard, key).map(|entry| &*entry.value));
            Outcome::Written
        }
        Action::Set { value, life } => {
            set(
                shard,
                key,
                value.as_ref(),
                life.map(|life| Instant::now() + life),
            );
            reply.extend_from_slice(b"+OK\r\n");
            Outcome::Written
        }
        Action::Delete => {
            let lived = live(shard, key).is_some();
            shard.remove(key);
            Outcome::Count(lived.into())
        }
        Action::Increment => {
            increment(shard, key, reply);
            Outcome::Written
        }
        Action::Expire(life) => {
            let entry = live(shard, key);
            let lives = entry.is_some();
            if let Some(entry) = entry {
                entry.expires = Some(Instant::now() + *life);
            }
            Outcome::Count(lives.into())
        }
        Action::TimeToLive => Outcome::Count(match live(shard, key) {
            None => -2,
            Some(Entry { expires: None, .. }) => -1,
            Some(Entry {
                expires: Some(expires),
                ..
            }) => {
                let left = expires.saturating_duration_since(Instant::now());
                // In seconds, rounded as Redis does.
                ((left.as_millis() + 500) / 1000) as i64
            }
        }),
    })
}

fn set(shard: &mut HashMap<Vec<u8>, Entry>, key: &[u8], value: &[u8], expires: Option<Instant>) {
    match shard.get_mut(key) {
        Some(entry) => {
            entry.value.clear();
            entry.value.extend_from_slice(value);
            entry.expires = expires;
        }
        None => {
            let value = value.to_vec();
            shard.insert(key.to_vec(), Entry { value, expires });
        }
    }
}

/// The number of keys of this thread's shard. Expired keys that no command has named since are counted.
pub(crate) fn len() -> usize {
    SHARD.with_borrow(HashMap::len)
}

/// An entry that has not expired. An expired one is removed.
fn live<'a>(shard: &'a mut HashMap<Vec<u8>, Entry>, key: &[u8]) -> Option<&'a mut Entry> {
    let expires = shard.get(key)?.expires;
    if expires.is_some_and(|expires| expires <= Instant::now()) {
        shard.remove(key);
        return None;
    }
    shard.get_mut(key)
}

fn increment(shard: &mut HashMap<Vec<u8>, Entry>, key: &[u8], reply: &mut Vec<u8>) {
    let entry = live(shard, key);
    let number = match &entry {
        Some(entry) => str::from_utf8(&entry.value)
            .ok()
            .and_then(|text| text.parse().ok()),
        None => Some(0_i64),
    };
    let Some(number) = number.and_then(|number| number.checked_add(1)) else {
        return resp::error(reply, "value is not an integer or out of range");
    };
    let expires = entry.and_then(|entry| entry.expires);
    set(shard, key, number.to_string().as_bytes(), expires);
    resp::integer(reply, number);
}
