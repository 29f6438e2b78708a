//! Metrics for the recorders of the crate `metrics`.

use std::{collections::HashMap, fmt};

use ::metrics::{
    Counter, Gauge, Key, KeyName, Label, Level, Metadata, Recorder, SharedString, Unit,
    with_recorder,
};

use super::{
    RuntimeMetrics, all,
    families::{Family, Labelled, Read, Snapshot, Source, Visitor},
};

/// Publishes the counters of all runtimes to the installed recorder of the crate [`metrics`].
///
/// Names and labels are those of [`text`](super::text). Counters of seconds are missing, because counters of that crate are
/// integers. So are histograms, because recorders take single values.
///
/// Make it after the installation of the recorder, or the counters get lost. One for each process is enough. Call
/// [`publish`](Self::publish) in an interval, or before each reading of the recorder:
///
/// ```no_run
/// use std::time::Duration;
///
/// use compio::{metrics::Publisher, task, time};
///
/// #[compio::main]
/// async fn main() {
///     // Install a recorder here.
///     task::spawn(async {
///         let mut publisher = Publisher::new();
///         let mut interval = time::interval(Duration::from_secs(5));
///         loop {
///             interval.tick().await;
///             publisher.publish();
///         }
///     });
/// }
/// ```
pub struct Publisher {
    counters: Handles<Counter>,
    gauges: Handles<Gauge>,
    /// Of the last call.
    runtimes: Vec<RuntimeMetrics>,
    calls: u64,
}

/// The handles of samples, each with the number of the last call that has published it.
type Handles<H> = HashMap<(&'static str, Source), (H, u64)>;

static METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

impl Publisher {
    /// Describes all metrics to the recorder.
    pub fn new() -> Self {
        with_recorder(|recorder| Snapshot::default().visit(&mut Describer { recorder }));
        Self {
            counters: Handles::new(),
            gauges: Handles::new(),
            runtimes: Vec::new(),
            calls: 0,
        }
    }

    /// Publishes all counters once.
    ///
    /// Recorders never drop metrics. Those of a runtime that has been dropped since the last call get their last values, and
    /// then its gauges are set to zero.
    pub fn publish(&mut self) {
        let runtimes = all();
        let mut ended = std::mem::replace(&mut self.runtimes, runtimes);
        ended.retain(|old| !self.runtimes.iter().any(|runtime| runtime.is_of(old)));
        if !ended.is_empty() {
            Snapshot::new(&ended).visit(self);
        }
        self.calls += 1;
        Snapshot::new(&self.runtimes).visit(self);
        self.counters.retain(|_, (_, call)| *call == self.calls);
        self.gauges.retain(|_, (gauge, call)| {
            let is_current = *call == self.calls;
            if !is_current {
                gauge.set(0.0);
            }
            is_current
        });
    }
}

impl Visitor for Publisher {
    fn visit<T>(&mut self, family: &Family<T>, samples: &[Labelled<T>]) {
        for sample in samples {
            let place = (family.name, sample.source);
            match family.read {
                Read::Counter(read) => {
                    let register =
                        || with_recorder(|to| to.register_counter(&key(family, sample), &METADATA));
                    let (counter, call) = self
                        .counters
                        .entry(place)
                        .or_insert_with(|| (register(), 0));
                    counter.absolute(read(&sample.values));
                    *call = self.calls;
                }
                Read::Time(_) => {}
                #[cfg(feature = "histograms")]
                Read::Histogram(_) => {}
                Read::Gauge(read) => {
                    let register =
                        || with_recorder(|to| to.register_gauge(&key(family, sample), &METADATA));
                    let (gauge, call) = self.gauges.entry(place).or_insert_with(|| (register(), 0));
                    gauge.set(read(&sample.values));
                    *call = self.calls;
                }
            }
        }
    }
}

fn key<T>(family: &Family<T>, sample: &Labelled<T>) -> Key {
    let labels = sample.labels.iter();
    let labels: Vec<Label> = labels
        .map(|(name, value)| Label::new(*name, value.clone()))
        .collect();
    Key::from_parts(family.name, labels)
}

struct Describer<'a> {
    recorder: &'a dyn Recorder,
}

impl Visitor for Describer<'_> {
    fn visit<T>(&mut self, family: &Family<T>, _: &[Labelled<T>]) {
        let name = KeyName::from_const_str(family.name);
        let unit = Unit::from_string(family.unit);
        let help = SharedString::const_str(family.help);
        match family.read {
            Read::Time(_) => {}
            #[cfg(feature = "histograms")]
            Read::Histogram(_) => {}
            Read::Counter(_) => self.recorder.describe_counter(name, unit, help),
            Read::Gauge(_) => self.recorder.describe_gauge(name, unit, help),
        }
    }
}

impl Default for Publisher {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher")
            .field("runtimes", &self.runtimes)
            .finish_non_exhaustive()
    }
}
