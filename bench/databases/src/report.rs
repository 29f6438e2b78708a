//! The Markdown table, and the statistics of its figures.

use std::fmt;

use crate::{
    client::Sample,
    session::{ClientResults, RowResults},
};

/// A median, with the lowest and the highest value.
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) lowest: f64,
    pub(crate) highest: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        Self {
            median: values[values.len() / 2],
            lowest: values[0],
            highest: values[values.len() - 1],
        }
    }

    /// Of a client's ratios to the base. Each is computed within a round, because other work on the machine changes from
    /// round to round.
    pub(crate) fn of_ratios(
        client: &ClientResults,
        base: &ClientResults,
        value: fn(&Sample) -> f64,
    ) -> Self {
        let pairs = client.samples.iter().zip(&base.samples);
        Self::of(pairs.map(|(sample, base)| value(sample) / value(base)))
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            median,
            lowest,
            highest,
        } = self;
        write!(f, "{median:.2} ({lowest:.2}–{highest:.2})")
    }
}

pub(crate) fn rate(sample: &Sample) -> f64 {
    sample.requests_per_second
}

pub(crate) fn micros(sample: &Sample) -> f64 {
    sample.micros
}

/// The median of a client's samples.
pub(crate) fn median(client: &ClientResults, value: fn(&Sample) -> f64) -> f64 {
    Spread::of(client.samples.iter().map(value)).median
}

pub(crate) fn markdown(results: &[RowResults]) -> String {
    let mut text = String::from(
        "| work | client | requests/s | × tokio | CPU µs | × tokio |\n|---|---|--:|--:|--:|--:|\n",
    );
    for RowResults { row, clients } in results {
        for (place, client) in clients.iter().enumerate() {
            let title = if place == 0 { row.title } else { "" };
            let ratio = |value| match place {
                0 => "1".to_owned(),
                _ => Spread::of_ratios(client, &clients[0], value).to_string(),
            };
            text += &format!(
                "| {title} | {} | {} | {} | {:.2} | {} |\n",
                client.title,
                with_commas(median(client, rate)),
                ratio(rate),
                median(client, micros),
                ratio(micros),
            );
        }
    }
    text
}

/// A whole number, with its thousands separated.
fn with_commas(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::ROWS;

    fn client(title: &'static str, samples: [(f64, f64); 3]) -> ClientResults {
        let sample = |(requests_per_second, micros)| Sample {
            requests_per_second,
            micros,
        };
        ClientResults {
            name: title,
            title,
            samples: samples.map(sample).to_vec(),
        }
    }

    #[test]
    fn ratios_are_medians_within_rounds() {
        let results = RowResults {
            row: &ROWS[0],
            clients: vec![
                client("base", [(1000.0, 2.0), (10_000.0, 2.0), (100.0, 4.0)]),
                client("other", [(2000.0, 1.0), (12_000.0, 3.0), (150.0, 4.0)]),
            ],
        };
        // The ratio of the medians of requests per second would be 2.
        let rows: Vec<String> = markdown(&[results]).lines().map(str::to_owned).collect();
        assert_eq!(
            rows[2..],
            [
                "| Redis GET, sequential | base | 1,000 | 1 | 2.00 | 1 |",
                "|  | other | 2,000 | 1.50 (1.20–2.00) | 3.00 | 1.00 (0.50–1.50) |"
            ]
        );
    }

    #[test]
    fn thousands_are_separated() {
        let numbers = [0.4, 999.0, 1000.0, 1_234_567.0].map(with_commas);
        assert_eq!(numbers, ["0", "999", "1,000", "1,234,567"]);
    }
}
