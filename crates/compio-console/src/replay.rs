//! Replay of a recording. The file stays on disk: the index has the places of its lines.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::Path,
    time::Duration,
};

use crate::{
    model::Model,
    protocol::{Hello, MAX_LINE, Message, VERSION},
    text::escape,
};

/// A recording, and the position in it.
#[derive(Debug)]
pub struct Replay {
    file: File,
    steps: Vec<Step>,
    position: usize,
    /// Whether it plays.
    pub is_playing: bool,
    /// A description of damaged lines.
    damage: Option<String>,
}

/// The place of a line in the file.
#[derive(Clone, Copy, Debug)]
struct Span {
    offset: u64,
    length: usize,
}

/// One answer with metrics, and the lines that belong to it.
#[derive(Clone, Debug)]
struct Step {
    time: f64,
    hello: Option<Span>,
    previous: Option<Span>,
    metrics: Span,
    tasks: Option<Span>,
}

impl Replay {
    /// Reads a file. Damaged lines are skipped: [`damage`](Self::damage) describes them.
    ///
    /// # Errors
    ///
    /// A description of an error of the OS, of a file without metrics, or of another version of the protocol.
    pub fn open(path: &Path) -> Result<Self, String> {
        let name = escape(&path.to_string_lossy());
        let file = File::open(path).map_err(|error| format!("{name}: {error}"))?;
        let mut index = Index::default();
        index
            .read(&file)
            .map_err(|error| format!("{name}: {error}"))?;
        let damage = index.damage();
        if index.steps.is_empty() {
            let damage = damage
                .map(|damage| format!("; {damage}"))
                .unwrap_or_default();
            return Err(format!(
                "{name} is no recording: it has no line with metrics{damage}"
            ));
        }
        Ok(Self {
            file,
            steps: index.steps,
            position: 0,
            is_playing: false,
            damage,
        })
    }

    /// The number of the current step, from 1, and of all steps.
    pub fn position(&self) -> (usize, usize) {
        (self.position + 1, self.steps.len())
    }

    /// A description of damaged lines.
    pub fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// Moves by steps, not beyond the ends. `false` if the position is the same.
    pub fn step(&mut self, steps: isize) -> bool {
        let last = self.steps.len() - 1;
        let next = self.position.saturating_add_signed(steps).min(last);
        std::mem::replace(&mut self.position, next) != next
    }

    /// Whether there is a later step.
    pub fn has_next(&self) -> bool {
        self.position + 1 < self.steps.len()
    }

    /// The recorded time until the next step, within limits.
    pub fn delay(&self) -> Option<Duration> {
        let next = self.steps.get(self.position + 1)?;
        let seconds = next.time - self.steps[self.position].time;
        // A NaN or a new process leads to the limits.
        let seconds = if seconds.is_finite() { seconds } else { 1.0 };
        Some(Duration::from_secs_f64(seconds.clamp(0.05, 5.0)))
    }

    /// The data of the current step.
    ///
    /// # Errors
    ///
    /// A description of an error of the OS, or of a file that has changed.
    pub fn model(&mut self) -> Result<Model, String> {
        let step = self.steps[self.position].clone();
        let mut model = Model::default();
        let spans = [step.hello, step.previous, Some(step.metrics), step.tasks];
        for span in spans.into_iter().flatten() {
            let mut line = vec![0; span.length];
            self.file
                .seek(SeekFrom::Start(span.offset))
                .and_then(|_| self.file.read_exact(&mut line))
                .map_err(|error| error.to_string())?;
            model.apply(Message::parse(&line)?);
        }
        Ok(model)
    }
}

/// The state of the scan.
#[derive(Default)]
struct Index {
    steps: Vec<Step>,
    hello: Option<(Hello, Span)>,
    /// Whether the next metrics continue those of the last step.
    is_same_process: bool,
    damaged: u64,
    first_damage: Option<String>,
    is_cut: bool,
}

impl Index {
    fn read(&mut self, file: &File) -> Result<(), String> {
        let mut input = BufReader::new(file);
        let mut offset = 0;
        for number in 1_u64.. {
            let mut line = Vec::new();
            let read = read_line(&mut input, &mut line).map_err(|error| error.to_string())?;
            if read == 0 {
                break;
            }
            let is_complete = line.pop_if(|byte| *byte == b'\n').is_some();
            let span = Span {
                offset,
                length: line.len(),
            };
            offset += read;
            match Message::parse(&line) {
                Ok(message) => self.add(message, span)?,
                Err(_) if line.trim_ascii().is_empty() => {}
                Err(_) if !is_complete && line.len() <= MAX_LINE => self.is_cut = true,
                Err(error) => {
                    self.damaged += 1;
                    self.first_damage
                        .get_or_insert_with(|| format!("line {number}: {error}"));
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, message: Message, span: Span) -> Result<(), String> {
        match message {
            Message::Hello(hello) if hello.protocol != VERSION => {
                return Err(format!(
                    "recorded with version {} of the protocol, not {VERSION}",
                    hello.protocol
                ));
            }
            Message::Hello(hello) => {
                let is_same = self.hello.as_ref().is_some_and(|(old, _)| *old == hello);
                self.is_same_process &= is_same;
                self.hello = Some((hello, span));
            }
            Message::Metrics(metrics) => {
                let last = self.steps.last().filter(|_| self.is_same_process);
                let step = Step {
                    time: metrics.time,
                    hello: self.hello.as_ref().map(|(_, span)| *span),
                    previous: last.map(|last| last.metrics),
                    metrics: span,
                    tasks: last.and_then(|last| last.tasks),
                };
                self.steps.push(step);
                self.is_same_process = true;
            }
            Message::Tasks(_) if self.is_same_process => {
                if let Some(last) = self.steps.last_mut() {
                    last.tasks = Some(span);
                }
            }
            Message::Tasks(_) | Message::Done | Message::Error(_) => {}
        }
        Ok(())
    }

    fn damage(&self) -> Option<String> {
        let damaged = self.first_damage.as_ref().map(|first| {
            let count = self.damaged;
            format!("damaged lines, skipped: {count} (the first is {first})")
        });
        let cut = self
            .is_cut
            .then(|| "the last line is incomplete".to_owned());
        let parts: Vec<_> = damaged.into_iter().chain(cut).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// Reads a line with its line feed, and returns its length in the file. Of a line that is too long, the begin is kept.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<u64> {
    let limit = MAX_LINE as u64 + 1;
    let mut read = input.by_ref().take(limit).read_until(b'\n', line)? as u64;
    if read < limit || line.ends_with(b"\n") {
        return Ok(read);
    }
    loop {
        let bytes = input.fill_buf()?;
        let length = bytes.len();
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(length, |index| index + 1);
        input.consume(used);
        read += used as u64;
        if end.is_some() || length == 0 {
            return Ok(read);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const HELLO: &str = r#"{"type":"hello","protocol":1,"program":"a","process":1}"#;

    fn open(content: &[u8]) -> Result<Replay, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.jsonl");
        fs::write(&path, content).unwrap();
        Replay::open(&path)
    }

    fn metrics(time: f64) -> String {
        format!(r#"{{"type":"metrics","time":{time}}}"#)
    }

    fn tasks(time: f64) -> String {
        format!(r#"{{"type":"tasks","time":{time}}}"#)
    }

    fn lines(lines: &[String]) -> Vec<u8> {
        (lines.join("\n") + "\n").into_bytes()
    }

    #[test]
    fn steps_have_the_lines_of_their_process() {
        let other = HELLO.replace(":1}", ":2}");
        let content = lines(&[
            HELLO.into(),
            metrics(1.0),
            tasks(1.1),
            metrics(2.0),
            HELLO.into(),
            metrics(3.0),
            other,
            metrics(0.5),
        ]);
        let mut replay = open(&content).unwrap();
        assert_eq!(replay.position(), (1, 4));
        let model = replay.model().unwrap();
        assert!(model.previous.is_none());
        assert_eq!(model.tasks.unwrap().time, 1.1);
        assert!(replay.step(2));
        // The tasks stay until newer ones arrive.
        let model = replay.model().unwrap();
        assert_eq!(model.previous.unwrap().time, 2.0);
        assert_eq!(model.tasks.unwrap().time, 1.1);
        assert_eq!(replay.delay(), Some(Duration::from_millis(50)));
        assert!(replay.step(100));
        assert!(!replay.step(1));
        let model = replay.model().unwrap();
        assert_eq!(model.hello.unwrap().process, 2);
        assert!(model.previous.is_none() && model.tasks.is_none());
    }

    #[test]
    fn truncated_last_line_is_named() {
        let mut content = lines(&[HELLO.into(), metrics(1.0), metrics(2.0)]);
        content.truncate(content.len() - 5);
        let replay = open(&content).unwrap();
        assert_eq!(replay.position(), (1, 1));
        assert_eq!(replay.damage(), Some("the last line is incomplete"));
    }

    #[test]
    fn garbage_is_skipped_and_named() {
        let mut content = lines(&[HELLO.into(), metrics(1.0), "\u{1b}[2J".into(), "{}".into()]);
        content.extend_from_slice(b"\xff\xfe\n\n");
        content.extend(lines(&[metrics(2.0)]));
        let mut replay = open(&content).unwrap();
        assert_eq!(replay.position(), (1, 2));
        let damage = replay.damage().unwrap();
        assert!(
            damage.starts_with("damaged lines, skipped: 3 (the first is line 3: "),
            "{damage}"
        );
        assert!(!damage.contains(char::is_control));
        replay.step(1);
        assert_eq!(replay.model().unwrap().metrics.unwrap().time, 2.0);
    }

    #[test]
    fn huge_line_is_skipped() {
        let mut content = lines(&[metrics(1.0)]);
        content.extend(vec![b'['; MAX_LINE + 100_000]);
        content.push(b'\n');
        content.extend(lines(&[metrics(2.0)]));
        let replay = open(&content).unwrap();
        assert_eq!(replay.position(), (1, 2));
        assert!(
            replay
                .damage()
                .unwrap()
                .starts_with("damaged lines, skipped: 1 ")
        );
    }

    #[test]
    fn file_without_metrics_is_an_error() {
        for content in [&b""[..], b"\x7fELF\0\0\n\0", HELLO.as_bytes()] {
            let error = open(content).unwrap_err();
            assert!(error.contains("no recording"), "{error}");
        }
        let error = open(br#"{"type":"hello","protocol":9}"#).unwrap_err();
        assert!(error.contains("version 9"), "{error}");
    }
}
