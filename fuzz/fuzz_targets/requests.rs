//! The requests of the example `serve`: the result is independent of their fragmentation, and no
//! path leads out of the folder.

#![no_main]

#[path = "../../examples/serve/request.rs"]
mod request;

use std::path::{Component, Path};

use libfuzzer_sys::fuzz_target;

use request::{HEAD_MAX, Request, parse, path_of};

fn check_target(target: &str) {
    let Some(path) = path_of(target) else {
        return;
    };
    let root = Path::new("/srv/www");
    let found = root.join(path.trim_start_matches('/'));
    let below = found.strip_prefix(root).expect("below the root");
    assert!(
        below
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
    );
}

fn told(request: &Request) -> (&Result<String, &'static str>, bool, bool) {
    (&request.target, request.wants_body, request.keep_alive)
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(target) = str::from_utf8(bytes) {
        check_target(target);
    }
    let whole = parse(bytes);
    assert!(
        whole.is_some() || bytes.len() < HEAD_MAX,
        "it waits without end"
    );
    let Some((request, len)) = whole else {
        assert!((0..bytes.len()).all(|cut| parse(&bytes[..cut]).is_none()));
        return;
    };
    assert!(0 < len && len <= bytes.len());
    if let Ok(target) = &request.target {
        check_target(target);
    }
    // A prefix is complete or incomplete, but never another request.
    for cut in 0..bytes.len().min(200) {
        if let Some((early, _)) = parse(&bytes[..cut]) {
            assert_eq!(told(&early), told(&request));
        }
    }
});
