//! Commands, and their parts for the shards.

use std::time::Duration;

use crate::{
    resp,
    shard::{Action, Operation},
};

/// A command as the connection executes it.
pub(crate) enum Command<'a> {
    /// The reply needs no key.
    Reply(Vec<u8>),
    /// The reply of one operation.
    One(Operation<&'a [u8]>),
    /// An array of the replies of several operations.
    Each(Vec<Operation<&'a [u8]>>),
    /// The sum of the counts of several operations.
    Sum(Vec<Operation<&'a [u8]>>),
    /// The state of the server.
    Info,
}

/// The command of these arguments. Errors are replies.
pub(crate) fn parse<'a>(arguments: &[&'a [u8]]) -> Command<'a> {
    let Some((name, arguments)) = arguments.split_first() else {
        return Command::Reply(Vec::new());
    };
    let is = |expected: &str| name.eq_ignore_ascii_case(expected.as_bytes());
    let one = |key, action| Operation { key, action };
    let each = |keys: &[&'a [u8]], action: fn() -> Action<&'a [u8]>| {
        keys.iter().map(|key| one(*key, action())).collect()
    };
    match arguments {
        [key] if is("GET") => Command::One(one(key, Action::Get)),
        [key, value, options @ ..] if is("SET") => match life(options) {
            Ok(life) => Command::One(one(key, Action::Set { value, life })),
            Err(message) => error(message),
        },
        [key] if is("INCR") => Command::One(one(key, Action::Increment)),
        keys @ [_, ..] if is("DEL") => Command::Sum(each(keys, || Action::Delete)),
        keys @ [_, ..] if is("MGET") => Command::Each(each(keys, || Action::Get)),
        [key, seconds] if is("EXPIRE") => match number(seconds) {
            Some(seconds) => {
                let expire = Action::Expire(Duration::from_secs(seconds));
                Command::Sum(vec![one(key, expire)])
            }
            None => error("value is not an integer or out of range"),
        },
        [key] if is("TTL") => Command::Sum(vec![one(key, Action::TimeToLive)]),
        [] if is("PING") => Command::Reply(b"+PONG\r\n".to_vec()),
        [text] if is("PING") || is("ECHO") => {
            let mut reply = Vec::new();
            resp::bulk(&mut reply, Some(text));
            Command::Reply(reply)
        }
        _ if is("INFO") => Command::Info,
        // No setting has a value.
        [_, name] if is("CONFIG") => {
            let mut reply = Vec::new();
            resp::array(&mut reply, 2);
            resp::bulk(&mut reply, Some(name));
            resp::bulk(&mut reply, Some(b""));
            Command::Reply(reply)
        }
        // Clients ask at their start, and continue without.
        _ if is("COMMAND") || is("CONFIG") => Command::Reply(b"*0\r\n".to_vec()),
        _ => {
            let name = String::from_utf8_lossy(name);
            if NAMES.iter().any(|known| is(known)) {
                error(&format!("wrong number of arguments for '{name}' command"))
            } else {
                error(&format!("unknown command '{name}'"))
            }
        }
    }
}

const NAMES: [&str; 9] = [
    "GET", "SET", "INCR", "DEL", "MGET", "EXPIRE", "TTL", "PING", "ECHO",
];

/// The time to live of `SET`: `EX seconds` or `PX milliseconds`.
fn life(options: &[&[u8]]) -> Result<Option<Duration>, &'static str> {
    let [unit, time] = options else {
        return if options.is_empty() {
            Ok(None)
        } else {
            Err("syntax error")
        };
    };
    let time = number(time).ok_or("value is not an integer or out of range")?;
    match &*unit.to_ascii_uppercase() {
        b"EX" => Ok(Some(Duration::from_secs(time))),
        b"PX" => Ok(Some(Duration::from_millis(time))),
        _ => Err("syntax error"),
    }
}

/// A number of seconds or milliseconds: at most a thousand years.
fn number(text: &[u8]) -> Option<u64> {
    let number = str::from_utf8(text).ok()?.parse().ok()?;
    (number <= 1000 * 366 * 86_400).then_some(number)
}

fn error(message: &str) -> Command<'static> {
    let mut reply = Vec::new();
    resp::error(&mut reply, message);
    Command::Reply(reply)
}
