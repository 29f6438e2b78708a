//! Random orders of all operations, with fixed seeds.

use std::{
    cell::Cell,
    io::{self, Read, Write},
    rc::Rc,
    task::Poll,
    time::Duration,
};

use compio_driver::{
    Driver, SharedFd, Submit,
    op::{Blocking, Nop, ReadAt},
};

use compio_testkit::random::Dice;

use crate::support::{
    Canary, Stream, check_code, code, drain, driver, poll_once, share, streams, tiny_driver,
};

/// Blocking work.
type BlockingCall = Blocking<fn() -> u8, u8>;

/// How the test treats futures, apart from reads, writes and cancels.
#[derive(Clone, Copy, PartialEq)]
enum Manners {
    /// Awaits every future.
    Patient,
    /// Drops futures at random.
    Careless,
}

struct Wire {
    /// The driver's end.
    near: SharedFd,
    /// A duplicate of the driver's end, to count the unread bytes.
    rest: Stream,
    far: Stream,
}

impl Wire {
    fn new() -> Self {
        let (near, far) = streams();
        let rest = near.try_clone().unwrap();
        let near = share(near);
        Self { near, rest, far }
    }
}

struct Game {
    driver: Driver,
    dice: Dice,
    wires: Vec<Wire>,
    reads: Vec<Submit<ReadAt<Canary>>>,
    works: Vec<Submit<BlockingCall>>,
    begun: usize,
    deaths: Rc<Cell<usize>>,
    written: usize,
    read: usize,
}

impl Game {
    fn new(driver: Driver, seed: u64) -> Self {
        Self {
            driver,
            dice: Dice(seed),
            wires: (0..4).map(|_| Wire::new()).collect(),
            reads: Vec::new(),
            works: Vec::new(),
            begun: 0,
            deaths: Rc::default(),
            written: 0,
            read: 0,
        }
    }

    fn step(&mut self, manners: Manners) {
        match self.dice.roll(12) {
            0..=2 => {
                let wire = self.dice.roll(self.wires.len());
                let buffer = Canary::new(&self.deaths);
                let read = ReadAt::at_cursor(self.wires[wire].near.clone(), buffer);
                self.begun += 1;
                self.reads.push(self.driver.submit(read));
                self.poll_read(self.reads.len() - 1);
            }
            3..=4 => {
                let wire = self.dice.roll(self.wires.len());
                let len = 1 + self.dice.roll(100);
                self.wires[wire].far.write_all(&vec![7; len]).unwrap();
                self.written += len;
            }
            5..=6 if !self.reads.is_empty() => {
                let which = self.dice.roll(self.reads.len());
                self.poll_read(which);
            }
            7 if !self.reads.is_empty() => {
                let which = self.dice.roll(self.reads.len());
                self.reads[which].cancel();
            }
            8 if !self.reads.is_empty() && manners == Manners::Careless => {
                let which = self.dice.roll(self.reads.len());
                drop(self.reads.swap_remove(which));
            }
            9 => {
                let mut nop = self.driver.submit(Nop::new());
                assert!(poll_once(&self.driver, &mut nop).is_pending());
                let code: fn() -> u8 = || 7;
                let mut work = self.driver.submit(Blocking::new(code));
                assert!(poll_once(&self.driver, &mut work).is_pending());
                self.works.push(work);
                if self.works.len() > 10 {
                    let which = self.dice.roll(self.works.len());
                    drop(self.works.swap_remove(which));
                }
            }
            10 => {
                self.driver.waker().wake();
                self.driver.prepare_to_sleep();
            }
            _ => self.driver.turn(Some(Duration::ZERO)).unwrap(),
        }
    }

    fn poll_read(&mut self, which: usize) {
        if let Poll::Ready((len, _buffer)) = poll_once(&self.driver, &mut self.reads[which]) {
            match len {
                Ok(len) => self.read += len,
                Err(error) => check_code::<()>(Err(error), code::CANCELLED),
            }
            drop(self.reads.swap_remove(which));
        }
    }

    /// The number of unread bytes on all wires.
    fn rest(&self) -> usize {
        let mut rest = 0;
        for wire in &self.wires {
            wire.rest.set_nonblocking(true).unwrap();
            loop {
                match (&wire.rest).read(&mut [0; 4096]) {
                    Ok(len) => rest += len,
                    Err(error) => {
                        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                        break;
                    }
                }
            }
        }
        rest
    }
}

#[test]
fn awaited_cancelled_reads_lose_no_byte() {
    for seed in 1..=20 {
        let mut game = Game::new(tiny_driver(), seed);
        for _ in 0..2000 {
            game.step(Manners::Patient);
        }
        game.reads.iter().for_each(Submit::cancel);
        drain(&game.driver);
        while !game.reads.is_empty() {
            game.poll_read(0);
        }
        assert_eq!(game.read + game.rest(), game.written, "seed {seed}");
        assert_eq!(game.deaths.get(), game.begun);
    }
}

#[test]
fn dropped_futures_lose_no_buffer() {
    for seed in 1..=20 {
        let mut game = Game::new(driver(), seed);
        for _ in 0..2000 {
            game.step(Manners::Careless);
        }
        game.reads.clear();
        drain(&game.driver);
        assert_eq!(game.deaths.get(), game.begun, "seed {seed}");
        for wire in game.wires {
            wire.near.try_unwrap().expect("no operation shares it");
        }
    }
}

#[test]
fn a_driver_dropped_first_loses_no_buffer() {
    for seed in 1..=20 {
        let mut game = Game::new(tiny_driver(), seed);
        for _ in 0..500 {
            game.step(Manners::Careless);
        }
        drop(game.driver);
        assert_eq!(
            game.deaths.get() + game.reads.len(),
            game.begun,
            "seed {seed}"
        );
        game.reads.clear();
        assert_eq!(game.deaths.get(), game.begun);
    }
}
