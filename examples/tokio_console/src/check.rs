//! The client of `--check`: it receives the messages that tokio-console receives, and searches them for the tasks,
//! resources and operations of the program.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    time::Duration,
};

use console_api::{
    Attribute, Field, async_ops, field,
    instrument::{InstrumentRequest, Update, instrument_client::InstrumentClient},
    resources::{self, resource::kind},
    tasks,
};
use tonic::transport::Endpoint;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// The time limit for all rows.
const LIMIT: Duration = Duration::from_secs(30);

/// Returns once all rows have arrived.
pub(crate) fn run(address: SocketAddr) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut tables = Tables::default();
        let result = tokio::time::timeout(LIMIT, watch(address, &mut tables)).await;
        match result {
            Ok(result) => result,
            Err(_) => Err(format!("missing: {:#?}\nof {tables:#?}", tables.missing()).into()),
        }
    })
}

async fn watch(address: SocketAddr, tables: &mut Tables) -> Result<(), Error> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    // The server starts on a thread of its own.
    let channel = loop {
        match endpoint.connect().await {
            Ok(channel) => break channel,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let mut client = InstrumentClient::new(channel);
    let updates = client.watch_updates(InstrumentRequest {}).await?;
    let mut updates = updates.into_inner();
    while let Some(update) = updates.message().await? {
        tables.add(update);
        if tables.missing().is_empty() {
            println!(
                "{} tasks, {} resources, {} operations",
                tables.tasks.len(),
                tables.resources.len(),
                tables.operations.len(),
            );
            return Ok(());
        }
    }
    Err("the console has closed its stream".into())
}

/// The rows by the IDs of their spans, as tokio-console has them.
#[derive(Debug, Default)]
struct Tables {
    tasks: HashMap<u64, Task>,
    resources: HashMap<u64, Resource>,
    operations: HashMap<u64, Operation>,
    dropped: u64,
}

#[derive(Debug, Default)]
struct Task {
    name: String,
    kind: String,
    has_location: bool,
    stats: tasks::Stats,
}

#[derive(Debug, Default)]
struct Resource {
    kind: String,
    concrete_type: String,
    attributes: HashSet<String>,
}

#[derive(Debug, Default)]
struct Operation {
    source: String,
    resource: u64,
    stats: async_ops::Stats,
}

impl Tables {
    fn add(&mut self, update: Update) {
        if let Some(update) = update.task_update {
            self.dropped += update.dropped_events;
            for task in update.new_tasks {
                let row = self.tasks.entry(id(task.id)).or_default();
                row.name = text(&task.fields, "task.name");
                row.kind = text(&task.fields, "kind");
                row.has_location = task.location.is_some();
            }
            for (id, stats) in update.stats_update {
                self.tasks.entry(id).or_default().stats = stats;
            }
        }
        if let Some(update) = update.resource_update {
            self.dropped += update.dropped_events;
            for resource in update.new_resources {
                let row = self.resources.entry(id(resource.id)).or_default();
                row.kind = kind_of(&resource);
                row.concrete_type = resource.concrete_type;
            }
            for (id, stats) in update.stats_update {
                let names = stats.attributes.iter().map(name_of);
                let row = self.resources.entry(id).or_default();
                row.attributes.extend(names);
            }
        }
        if let Some(update) = update.async_op_update {
            self.dropped += update.dropped_events;
            for operation in update.new_async_ops {
                let row = self.operations.entry(id(operation.id)).or_default();
                row.source = operation.source;
                row.resource = id(operation.resource_id);
            }
            for (id, stats) in update.stats_update {
                self.operations.entry(id).or_default().stats = stats;
            }
        }
    }

    /// The expected rows that have not arrived.
    fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        let mut expect = |is_there: bool, row: &str| {
            if !is_there {
                missing.push(row.to_owned());
            }
        };
        for name in ["ticker", "busy", "log", "client 1", "echo 2"] {
            expect(self.has_task(name, "task", |_| true), name);
        }
        expect(self.has_task("hash", "blocking", |_| true), "hash");
        let block_on = |task: &Task| task.kind == "block_on" && task.has_location;
        expect(self.tasks.values().any(block_on), "block_on");
        let has_lost = |task: &Task| {
            let stats = &task.stats;
            stats.waker_clones > 0 && stats.waker_clones == stats.waker_drops
        };
        expect(
            self.has_task("lost waker", "task", has_lost),
            "the lost waker",
        );
        let wakes_itself = |task: &Task| 2 * task.stats.self_wakes > task.stats.wakes;
        let row = "the wakes of the task itself";
        expect(self.has_task("self-waking", "task", wakes_itself), row);

        expect(self.has_resource("timer", "Sleep", "duration"), "Sleep");
        expect(
            self.has_resource("timer", "Interval", "duration"),
            "Interval",
        );
        expect(self.has_resource("io", "Socket", "bytes_in"), "Socket");
        expect(self.has_resource("io", "File", "bytes_out"), "File");
        expect(self.has_resource("driver", "Driver", "backend"), "Driver");

        for (source, name) in [("recv", "echo 1"), ("send", "client 2"), ("read", "log")] {
            expect(self.has_operation(source, "io", name), source);
        }
        expect(
            self.has_operation("Sleep", "timer", "busy"),
            "the sleep of busy",
        );
        expect(self.has_operation("blocking", "driver", "hash"), "blocking");
        expect(self.dropped == 0, "no dropped event");
        missing
    }

    fn has_task(&self, name: &str, kind: &str, check: impl Fn(&Task) -> bool) -> bool {
        self.tasks
            .values()
            .any(|task| task.name == name && task.kind == kind && task.has_location && check(task))
    }

    fn has_resource(&self, kind: &str, concrete_type: &str, attribute: &str) -> bool {
        self.resources.values().any(|resource| {
            resource.kind == kind
                && resource.concrete_type == concrete_type
                && resource.attributes.contains(attribute)
        })
    }

    /// Whether a task of this name has polled such an operation.
    fn has_operation(&self, source: &str, kind: &str, name: &str) -> bool {
        self.operations.values().any(|operation| {
            let task = operation.stats.task_id.as_ref();
            let task = task.and_then(|task| self.tasks.get(&task.id));
            let resource = self.resources.get(&operation.resource);
            let polls = operation.stats.poll_stats.as_ref();
            operation.source == source
                && task.is_some_and(|task| task.name == name)
                && resource.is_some_and(|resource| resource.kind == kind)
                && polls.is_some_and(|polls| polls.polls > 0)
        })
    }
}

fn id(id: Option<console_api::Id>) -> u64 {
    id.map_or(0, |id| id.id)
}

/// The text of a field.
fn text(fields: &[Field], name: &str) -> String {
    let field = fields.iter().find(|field| has_name(field, name));
    match field.and_then(|field| field.value.as_ref()) {
        Some(field::Value::StrVal(text)) => text.clone(),
        _ => String::new(),
    }
}

fn has_name(field: &Field, name: &str) -> bool {
    matches!(&field.name, Some(field::Name::StrName(known)) if known == name)
}

fn name_of(attribute: &Attribute) -> String {
    let name = attribute
        .field
        .as_ref()
        .and_then(|field| field.name.clone());
    match name {
        Some(field::Name::StrName(name)) => name,
        _ => String::new(),
    }
}

fn kind_of(resource: &resources::Resource) -> String {
    match resource.kind.as_ref().and_then(|kind| kind.kind.as_ref()) {
        Some(kind::Kind::Known(known)) if *known == kind::Known::Timer as i32 => "timer".into(),
        Some(kind::Kind::Other(other)) => other.clone(),
        _ => String::new(),
    }
}
