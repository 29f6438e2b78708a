//! Metrics as text, in the formats that Prometheus reads.

use std::fmt::{Display, Write};
#[cfg(feature = "histograms")]
use std::time::Duration;

#[cfg(feature = "histograms")]
use super::Histogram;
use super::{
    all,
    families::{Family, Labelled, Read, Snapshot, Visitor},
};

/// A format of metrics as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TextFormat {
    /// [OpenMetrics 1.0](https://prometheus.io/docs/specs/om/open_metrics_spec/).
    OpenMetrics,
    /// The [text format](https://prometheus.io/docs/instrumenting/exposition_formats/) of Prometheus, 0.0.4, for readers that
    /// do not accept OpenMetrics.
    Prometheus,
}

impl TextFormat {
    /// The value of the response header `content-type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// The format for the request header `accept`, which is empty if the request has none: OpenMetrics if the header lists it.
    ///
    /// ```
    /// use compio::metrics::TextFormat;
    ///
    /// let accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
    /// assert_eq!(TextFormat::for_accept(accept), TextFormat::OpenMetrics);
    /// assert_eq!(TextFormat::for_accept("*/*"), TextFormat::Prometheus);
    /// ```
    pub fn for_accept(accept: &str) -> Self {
        let is_open_metrics = |range: &str| {
            let name = range.split(';').next().unwrap_or("").trim();
            name.eq_ignore_ascii_case("application/openmetrics-text")
        };
        if accept.split(',').any(is_open_metrics) {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }
}

/// The counters of all runtimes of this process as text: the body of an answer to a scrape.
///
/// Samples of a runtime have the labels `runtime`, its number, and `thread`, the name of its thread; those of operations
/// have `kind`, too. Samples of a pool for blocking work have the label `pool`: `global`, or the number of the oldest runtime
/// that uses it. A kind appears with its first operation. Samples of a runtime end with it. Histograms appear if they are
/// recorded.
///
/// ```
/// use compio::metrics::{self, TextFormat};
///
/// let text = compio::task::block_on(async { metrics::text(TextFormat::OpenMetrics) });
/// assert!(text.contains("# TYPE compio_turns counter\n"));
/// assert!(text.ends_with("# EOF\n"));
/// ```
pub fn text(format: TextFormat) -> String {
    let text = String::new();
    let mut writer = Writer { text, format };
    Snapshot::new(&all()).visit(&mut writer);
    if format == TextFormat::OpenMetrics {
        writer.text.push_str("# EOF\n");
    }
    writer.text
}

/// The limits of buckets: in microseconds, and as text in seconds.
#[cfg(feature = "histograms")]
const LIMITS: &[(u64, &str)] = &[
    (1, "0.000001"),
    (5, "0.000005"),
    (10, "0.00001"),
    (25, "0.000025"),
    (50, "0.00005"),
    (100, "0.0001"),
    (250, "0.00025"),
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1.0"),
    (2_500_000, "2.5"),
    (5_000_000, "5.0"),
    (10_000_000, "10.0"),
];

struct Writer {
    text: String,
    format: TextFormat,
}

impl Visitor for Writer {
    fn visit<T>(&mut self, family: &Family<T>, samples: &[Labelled<T>]) {
        if samples.is_empty() {
            return;
        }
        let type_name = match family.read {
            Read::Counter(_) | Read::Time(_) => "counter",
            Read::Gauge(_) => "gauge",
            #[cfg(feature = "histograms")]
            Read::Histogram(_) => "histogram",
        };
        // Only the samples of a counter of OpenMetrics have the suffix.
        let name = match self.format {
            TextFormat::OpenMetrics => family.name.trim_end_matches("_total"),
            TextFormat::Prometheus => family.name,
        };
        self.line(format_args!("# TYPE {name} {type_name}"));
        if self.format == TextFormat::OpenMetrics && !family.unit.is_empty() {
            self.line(format_args!("# UNIT {name} {}", family.unit));
        }
        self.line(format_args!("# HELP {name} {}", family.help));
        for sample in samples {
            match family.read {
                Read::Counter(read) => self.sample(family, sample, read(&sample.values)),
                Read::Time(read) => {
                    if let Some(time) = read(&sample.values) {
                        self.sample(family, sample, time.as_secs_f64());
                    }
                }
                Read::Gauge(read) => self.sample(family, sample, read(&sample.values)),
                #[cfg(feature = "histograms")]
                Read::Histogram(read) => self.histogram(family, sample, read(&sample.values)),
            }
        }
    }
}

impl Writer {
    fn line(&mut self, line: impl Display) {
        writeln!(self.text, "{line}").expect("a string takes all writes");
    }

    fn sample<T>(&mut self, family: &Family<T>, sample: &Labelled<T>, value: impl Display) {
        self.value(family.name, "", sample, value);
    }

    #[cfg(feature = "histograms")]
    fn histogram<T>(&mut self, family: &Family<T>, sample: &Labelled<T>, histogram: &Histogram) {
        let count = histogram.count();
        let mut bucket = |limit: &str, count: u64| {
            let limit = ("le", limit.to_owned());
            let labels = [sample.labels.as_slice(), &[limit]].concat();
            self.text.push_str(family.name);
            self.text.push_str("_bucket");
            self.labels(&labels);
            self.line(format_args!(" {count}"));
        };
        for &(micros, limit) in LIMITS {
            bucket(limit, histogram.count_up_to(Duration::from_micros(micros)));
        }
        bucket("+Inf", count);
        self.value(family.name, "_sum", sample, histogram.sum().as_secs_f64());
        self.value(family.name, "_count", sample, count);
    }

    fn value<T>(&mut self, name: &str, suffix: &str, sample: &Labelled<T>, value: impl Display) {
        self.text.push_str(name);
        self.text.push_str(suffix);
        self.labels(&sample.labels);
        self.line(format_args!(" {value}"));
    }

    fn labels(&mut self, labels: &[(&str, String)]) {
        for (index, (name, value)) in labels.iter().enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            self.text.push_str(name);
            self.text.push_str("=\"");
            for character in value.chars() {
                match character {
                    '\\' => self.text.push_str(r"\\"),
                    '"' => self.text.push_str(r#"\""#),
                    '\n' => self.text.push_str(r"\n"),
                    _ => self.text.push(character),
                }
            }
            self.text.push('"');
        }
        self.text.push('}');
    }
}
