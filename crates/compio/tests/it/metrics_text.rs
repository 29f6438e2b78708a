//! The counters as text, by a strict parser of OpenMetrics.

use std::{
    collections::{HashMap, HashSet},
    thread,
};

use compio::{
    metrics::{TextFormat, text},
    op::Nop,
    runtime::{self, Runtime},
    task,
};

/// The type and unit of a family, and the values of its samples by their labels.
#[derive(Default)]
struct Family {
    kind: String,
    unit: Option<String>,
    has_help: bool,
    samples: HashMap<Labels, f64>,
}

/// Sorted.
type Labels = Vec<(String, String)>;

/// Panics if the text is not valid.
fn parse(text: &str) -> HashMap<String, Family> {
    let content = text.strip_suffix("# EOF\n").expect("no EOF at the end");
    assert!(content.is_empty() || content.ends_with('\n'));
    let mut families: HashMap<String, Family> = HashMap::new();
    let mut current = String::new();
    let mut done = HashSet::new();
    for line in content.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let [about, name, value] = [(); 3].map(|()| words.next().expect(line));
            if name != current {
                assert!(is_name(name), "{line}");
                assert!(done.insert(name.to_owned()), "interleaved: {line}");
                current = name.to_owned();
            }
            let family = families.entry(current.clone()).or_default();
            assert!(family.samples.is_empty(), "late: {line}");
            match about {
                "TYPE" => {
                    assert!(["counter", "gauge"].contains(&value), "{line}");
                    assert_eq!(family.kind, "", "twice: {line}");
                    family.kind = value.to_owned();
                }
                "UNIT" => {
                    assert!(name.ends_with(&format!("_{value}")), "{line}");
                    assert_eq!(family.unit.replace(value.to_owned()), None, "{line}");
                }
                "HELP" => {
                    assert!(!value.contains(['\\', '"']) && !family.has_help, "{line}");
                    family.has_help = true;
                }
                _ => panic!("{line}"),
            }
        } else {
            let (name, labels, value) = parse_sample(line);
            let family = families.get_mut(&current).expect(line);
            let suffix = match family.kind.as_str() {
                "counter" => "_total",
                _ => "",
            };
            assert_eq!(name.strip_suffix(suffix), Some(current.as_str()), "{line}");
            assert!(value >= 0.0 && value.is_finite(), "{line}");
            assert_eq!(family.samples.insert(labels, value), None, "twice: {line}");
        }
    }
    for (name, family) in &families {
        assert!(!family.kind.is_empty() && family.has_help, "{name}");
        assert!(!name.ends_with("_total"), "{name}");
    }
    families
}

fn is_name(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty() && name.chars().all(is_part)
}

fn parse_sample(line: &str) -> (String, Labels, f64) {
    let (name, mut rest) = line.split_once('{').expect(line);
    assert!(is_name(name), "{line}");
    let mut labels = Labels::new();
    loop {
        let (label, value) = rest.split_once("=\"").expect(line);
        assert!(is_name(label), "{line}");
        let mut unescaped = String::new();
        let mut characters = value.chars();
        loop {
            match characters.next().expect(line) {
                '"' => break,
                '\\' => unescaped.push(match characters.next() {
                    Some('n') => '\n',
                    Some(c @ ('"' | '\\')) => c,
                    _ => panic!("unknown escape: {line}"),
                }),
                c => unescaped.push(c),
            }
        }
        labels.push((label.to_owned(), unescaped));
        rest = characters.as_str();
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => break,
        }
    }
    labels.sort();
    let names: HashSet<_> = labels.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), labels.len(), "{line}");
    let value = rest.strip_prefix("} ").expect(line);
    (name.to_owned(), labels, value.parse().expect(line))
}

fn labels(metrics: &compio::metrics::RuntimeMetrics, more: &[(&str, &str)]) -> Labels {
    let number = metrics.runtime_number().to_string();
    let thread = metrics.thread().name().unwrap_or("");
    let own = [("runtime", number.as_str()), ("thread", thread)];
    let all = own.iter().chain(more);
    let mut labels: Labels = all.map(|(a, b)| ((*a).into(), (*b).into())).collect();
    labels.sort();
    labels
}

async fn submit_nops(count: usize) {
    for _ in 0..count {
        task::spawn(async { runtime::submit(Nop::new()).await.unwrap() })
            .await
            .unwrap();
    }
}

#[test]
fn text_has_counters_of_runtime() {
    let runtime = Runtime::new().unwrap();
    let metrics = runtime.metrics();
    runtime.block_on(submit_nops(3));
    let families = parse(&text(TextFormat::OpenMetrics));
    let of_runtime = |name: &str| families[name].samples[&labels(&metrics, &[])];
    assert_eq!(of_runtime("compio_tasks_spawned"), 3.0);
    assert_eq!(of_runtime("compio_tasks_finished"), 3.0);
    assert_eq!(of_runtime("compio_tasks_alive"), 0.0);
    let of_nops = |name: &str| families[name].samples[&labels(&metrics, &[("kind", "nop")])];
    assert_eq!(of_nops("compio_operations"), 3.0);
    assert_eq!(of_nops("compio_operation_errors"), 0.0);
    assert_eq!(of_nops("compio_operations_in_flight"), 0.0);
    let sends = labels(&metrics, &[("kind", "send")]);
    let operations = &families["compio_operations"].samples;
    assert!(!operations.contains_key(&sends));
    let time = &families["compio_time_since_turn_seconds"];
    assert_eq!(time.unit.as_deref(), Some("seconds"));
    // All runtimes of this process that have no pool of their own share the global one.
    let global = vec![("pool".to_owned(), "global".to_owned())];
    assert!(
        families["compio_blocking_threads"]
            .samples
            .contains_key(&global)
    );
    drop(runtime);
    let families = parse(&text(TextFormat::OpenMetrics));
    let turns = families.get("compio_turns");
    assert!(turns.is_none_or(|turns| !turns.samples.contains_key(&labels(&metrics, &[]))));
}

#[test]
fn counters_of_second_scrape_are_not_smaller() {
    let runtime = Runtime::new().unwrap();
    let metrics = runtime.metrics();
    let first = runtime.block_on(async {
        submit_nops(2).await;
        parse(&text(TextFormat::OpenMetrics))
    });
    runtime.block_on(submit_nops(2));
    let second = parse(&text(TextFormat::OpenMetrics));
    let mut compared = 0;
    let number = ("runtime".to_owned(), metrics.runtime_number().to_string());
    for (name, family) in first.iter().filter(|(_, family)| family.kind == "counter") {
        for (labels, before) in &family.samples {
            // Runtimes of other tests may end in between.
            if labels.contains(&number) {
                let after = second[name].samples[labels];
                assert!(after >= *before, "{name}: {after} after {before}");
                compared += 1;
            }
        }
    }
    assert!(compared >= 10);
    let polls = |scrape: &HashMap<String, Family>| {
        scrape["compio_task_polls"].samples[&labels(&metrics, &[])]
    };
    assert!(polls(&second) >= polls(&first) + 2.0);
}

#[test]
fn bytes_have_a_unit_and_only_kinds_that_move_bytes() {
    let runtime = Runtime::new().unwrap();
    let metrics = runtime.metrics();
    let (file, path) = tempfile::NamedTempFile::new().unwrap().into_parts();
    drop(file);
    runtime.block_on(async {
        compio::fs::write(&path, vec![0; 5000]).await.0.unwrap();
        submit_nops(1).await;
    });
    let families = parse(&text(TextFormat::OpenMetrics));
    let bytes = &families["compio_operation_bytes"];
    assert_eq!(bytes.unit.as_deref(), Some("bytes"));
    assert_eq!(
        bytes.samples[&labels(&metrics, &[("kind", "write")])],
        5000.0
    );
    let nops = labels(&metrics, &[("kind", "nop")]);
    assert!(!bytes.samples.contains_key(&nops));
}

#[test]
fn names_of_threads_are_escaped() {
    let name = "a \"quoted\" \\n name\nin {two=\"lines\"},\r\tä";
    let thread = thread::Builder::new().name(name.to_owned());
    let scrape = || {
        let runtime = Runtime::new().unwrap();
        let scrape = text(TextFormat::OpenMetrics);
        (scrape, labels(&runtime.metrics(), &[]))
    };
    let (text, labels) = thread.spawn(scrape).unwrap().join().unwrap();
    assert!(labels.contains(&("thread".to_owned(), name.to_owned())));
    assert!(parse(&text)["compio_turns"].samples.contains_key(&labels));
}

#[test]
fn prometheus_text_has_types_of_full_names_and_no_unit() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(submit_nops(1));
    let text = text(TextFormat::Prometheus);
    assert!(text.contains("# TYPE compio_turns_total counter\n"));
    assert!(text.contains("# HELP compio_turns_total "));
    assert!(!text.contains("# UNIT") && !text.contains("# EOF"));
}

#[test]
fn shared_pool_counts_once() {
    let pool = compio::driver::ThreadPool::new(1);
    let build = || Runtime::builder().pool(pool.clone()).build().unwrap();
    let (first, second) = (build(), build());
    let families = parse(&text(TextFormat::OpenMetrics));
    let is_of = |runtime: &Runtime| {
        let number = runtime.metrics().runtime_number().to_string();
        let labels = vec![("pool".to_owned(), number)];
        families["compio_blocking_threads"]
            .samples
            .contains_key(&labels)
    };
    assert_eq!((is_of(&first), is_of(&second)), (true, false));
}

#[test]
fn format_follows_accepted_media_types() {
    let check = |accept, expected| assert_eq!(TextFormat::for_accept(accept), expected, "{accept}");
    check("", TextFormat::Prometheus);
    check(
        "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        TextFormat::Prometheus,
    );
    check(
        "text/html, Application/OpenMetrics-Text",
        TextFormat::OpenMetrics,
    );
    check(
        "text/plain;q=0.5, application/openmetrics-text; version=1.0.0",
        TextFormat::OpenMetrics,
    );
    check("application/openmetrics-text-2", TextFormat::Prometheus);
}
