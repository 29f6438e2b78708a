//! Pipes of a host. The bodies also run on the real system.

use std::{
    cell::RefCell,
    io::{self, ErrorKind},
    rc::Rc,
};

use compio::{
    driver::op,
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    pipe::pipe,
    runtime, task,
};
use compio_testkit::{buffer::pattern, check::check_kind, random::Dice};

use super::both::{run_both, settle, unless_waits};

/// The capacity of a pipe, and the longest write that is not split.
const CAPACITY: usize = 64 * 1024;
const PIPE_BUF: usize = 4096;

#[test]
fn pipe_has_a_capacity_and_keeps_the_order() {
    run_both(|_| async {
        let (mut reader, mut writer) = pipe()?;
        let sent = pattern(1_000_000);
        let expected = sent.clone();
        let writes = task::spawn(async move {
            assert_eq!(writer.write(pattern(CAPACITY)).await.0?, CAPACITY);
            writer.write_all(sent).await.0
        });
        settle().await;
        assert!(!writes.is_finished());
        let (read, first) = reader.read_exact(vec![0; CAPACITY]).await;
        read?;
        assert!(first == pattern(CAPACITY));
        let (read, rest) = reader.read_to_end(Vec::new()).await;
        read?;
        assert!(rest == expected);
        writes.await.unwrap()
    });
}

#[test]
fn ends_see_the_close_of_the_other_end() {
    run_both(|_| async {
        let (mut reader, mut writer) = pipe()?;
        let clone = writer.try_clone()?;
        writer.write_all("last").await.0?;
        drop(writer);
        let (read, bytes) = reader.read(Vec::with_capacity(100)).await;
        assert_eq!((read?, &bytes[..]), (4, &b"last"[..]));
        assert!(unless_waits(reader.read([0; 1])).await.is_none());
        clone.close().await?;
        assert_eq!(reader.read([0; 1]).await.0?, 0);

        let (reader, mut writer) = pipe()?;
        writer.write_all("unread").await.0?;
        reader.close().await?;
        let (written, buffer) = writer.write("x").await;
        check_kind(written, ErrorKind::BrokenPipe);
        assert_eq!(buffer, "x");
        assert_eq!(writer.write("").await.0?, 0);
        Ok(())
    });
}

#[test]
fn waiting_operations_end_with_a_close_of_the_other_end() {
    run_both(|_| async {
        let (mut reader, writer) = pipe()?;
        let reads = task::spawn(async move { reader.read([0; 1]).await.0 });
        settle().await;
        drop(writer);
        assert_eq!(reads.await.unwrap()?, 0);

        let (reader, mut writer) = pipe()?;
        writer.write_all(vec![0; CAPACITY]).await.0?;
        let writes = task::spawn(async move { writer.write("x").await.0 });
        settle().await;
        assert!(!writes.is_finished());
        drop(reader);
        check_kind(writes.await.unwrap(), ErrorKind::BrokenPipe);
        Ok(())
    });
}

#[test]
fn short_write_is_not_split() {
    run_both(|_| async {
        let (mut reader, mut writer) = pipe()?;
        writer.write_all(vec![1; CAPACITY - PIPE_BUF + 1]).await.0?;
        let waits = unless_waits(writer.write(vec![2; PIPE_BUF])).await;
        assert!(waits.is_none(), "the room is a byte too short");
        drop(writer);
        let (read, bytes) = reader.read_to_end(Vec::new()).await;
        assert_eq!(read?, CAPACITY - PIPE_BUF + 1);
        assert!(!bytes.contains(&2));
        Ok(())
    });
}

#[test]
fn write_behind_a_cancelled_one_goes_on() {
    run_both(|_| async {
        let (_reader, mut writer) = pipe()?;
        writer.write_all(vec![1; CAPACITY - 100]).await.0?;
        let [mut long, mut short] = [writer.try_clone()?, writer];
        let long = task::spawn(async move { long.write(vec![2; PIPE_BUF]).await.0 });
        settle().await;
        let short = task::spawn(async move { short.write("x").await.0 });
        settle().await;
        assert!(!long.is_finished());
        long.abort();
        assert_eq!(short.await.unwrap()?, 1);
        Ok(())
    });
}

#[test]
fn operation_of_the_driver_makes_a_pipe() {
    run_both(|_| async {
        let (reader, writer) = runtime::submit(op::Pipe::new()).await?;
        let (reader, writer) = (
            compio::driver::SharedFd::from(reader),
            compio::driver::SharedFd::from(writer),
        );
        let write = op::WriteAt::at_cursor(writer, "hello");
        assert_eq!(runtime::submit(write).await.0?, 5);
        let read = op::ReadAt::at_cursor(reader, Vec::with_capacity(9));
        assert_eq!(runtime::submit(read).await.1, b"hello");
        Ok(())
    });
}

/// A random program on a pipe. Returns the results of its calls.
async fn program(dice: &mut Dice) -> io::Result<Vec<String>> {
    let (reader, writer) = pipe()?;
    let (mut reader, mut writer) = (Some(reader), Some(writer));
    let mut results = Vec::new();
    for _ in 0..20 {
        let result = match (dice.roll(12), &mut reader, &mut writer) {
            (0..5, Some(reader), _) => {
                let read = reader.read(Vec::with_capacity(1 + dice.roll(60)));
                let read = unless_waits(read).await;
                let read = read.map(|(read, bytes)| (read.map_err(|error| error.kind()), bytes));
                format!("read {read:?}")
            }
            (5..10, _, Some(writer)) => {
                let written =
                    writer.write_vectored([vec![1; dice.roll(30)], vec![2; dice.roll(30)]]);
                let written = unless_waits(written).await;
                let written = written.map(|(written, _)| written.map_err(|error| error.kind()));
                format!("write {written:?}")
            }
            (10, Some(_), _) if dice.roll(4) == 0 => {
                settle().await;
                reader = None;
                "close the reader".to_owned()
            }
            (11, _, Some(_)) if dice.roll(4) == 0 => {
                settle().await;
                writer = None;
                "close the writer".to_owned()
            }
            _ => continue,
        };
        results.push(result);
    }
    Ok(results)
}

#[test]
fn random_programs_have_the_results_of_the_real_system() {
    for seed in 1..60 {
        let courses = Rc::new(RefCell::new(Vec::new()));
        run_both(|_| {
            let courses = Rc::clone(&courses);
            async move {
                let results = program(&mut Dice(seed << 20)).await?;
                courses.borrow_mut().push(results);
                Ok(())
            }
        });
        let courses = courses.take();
        assert_eq!(courses[0], courses[1], "seed {seed}");
    }
}
