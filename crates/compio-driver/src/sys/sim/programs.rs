//! This kernel under random programs.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    rc::Rc,
    time::Duration,
};

use super::{NEXT, Rng, Sim, Thing};
use crate::{
    driver::{Driver, DriverBuilder},
    fd::SharedFd,
    sys::{
        RawFd,
        programs::{FILE_LEN, TestKernel, is_made_of_buffers},
    },
    thread_pool::ThreadPool,
};

impl Sim {
    pub(in crate::sys) fn for_programs(rng: Rng) -> Rc<dyn TestKernel> {
        Rc::new(Self::new(rng))
    }

    fn make(&self) -> (usize, SharedFd) {
        let (thing, fd) = self.kernel().make();
        (thing, fd.into())
    }
}

impl TestKernel for Sim {
    /// Its thread pool has no threads: the kernel runs the queued jobs.
    fn driver(&self) -> Driver {
        let pool = ThreadPool::by_hand();
        self.kernel().pool = Some(pool.clone());
        NEXT.set(Some(self.clone()));
        // Time is simulated, so the deadline must not depend on the load of the machine.
        let patient = DriverBuilder::new().shutdown_timeout(Duration::from_secs(600));
        let driver = patient.pool(pool).build();
        driver.expect("the driver needs only an eventfd of the system")
    }

    fn turn(&self, driver: &Driver) -> io::Result<()> {
        let sleeps = self.kernel().sleeps_in_turn();
        driver.turn((!sleeps).then_some(Duration::ZERO))
    }

    fn stream(&self) -> (usize, SharedFd) {
        self.make()
    }

    fn listener(&self) -> (usize, SharedFd) {
        self.make()
    }

    fn file(&self) -> (usize, SharedFd) {
        let (thing, fd) = self.make();
        self.kernel().thing(thing).filled = FILE_LEN;
        (thing, fd)
    }

    fn peer(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 7).into()
    }

    fn ignores_addresses(&self) -> bool {
        true
    }

    fn count(&self) -> usize {
        self.kernel().things().len()
    }

    fn which(&self, fd: RawFd) -> usize {
        self.kernel().which(fd)
    }

    fn is_closed(&self, object: usize) -> bool {
        self.kernel().thing(object).is_closed()
    }

    fn send_from_peer(&self, stream: usize, len: usize) {
        let mut kernel = self.kernel();
        let thing = kernel.thing(stream);
        if !thing.is_finished {
            thing.filled += len;
        }
    }

    fn finish_peer(&self, stream: usize) {
        self.kernel().thing(stream).is_finished = true;
    }

    fn connect_peers(&self, listener: usize, count: usize) {
        self.kernel().thing(listener).connections += count;
    }

    fn complete_waits(&self, listeners: &[usize]) {
        let mut kernel = self.kernel();
        for thing in 0..kernel.things().len() {
            if listeners.contains(&thing) {
                kernel.thing(thing).connections = 10;
            } else {
                kernel.thing(thing).is_finished = true;
            }
        }
    }

    fn end_connections(&self, listener: usize) {
        self.kernel().thing(listener).connections = 0;
    }

    fn accepted(&self, listener: usize) -> usize {
        self.kernel().thing(listener).handed_out
    }

    fn permit_loss(&self, stream: usize) {
        self.kernel().thing(stream).may_lose = true;
    }

    fn claim(&self, stream: usize, position: Option<usize>, bytes: &[u8]) {
        let (thing, from) = self.kernel().claim(bytes);
        assert_eq!(thing, stream);
        assert!(position.is_none_or(|position| position == from));
    }

    fn check_eof(&self, stream: usize, position: usize) {
        let mut kernel = self.kernel();
        let thing: &Thing = kernel.thing(stream);
        assert!(thing.is_finished && thing.filled == position);
    }

    fn check_sent(&self, stream: usize, len: usize) {
        let mut kernel = self.kernel();
        let thing = kernel.thing(stream);
        let written = thing.written.len();
        assert!(written == len || written > len && thing.may_lose);
        assert!(is_made_of_buffers(&thing.written));
    }

    fn may_fail_with(&self, code: i32) -> bool {
        self.kernel().may_fail_with(code)
    }

    fn calm_down(&self) {
        self.kernel().calm_down();
    }

    fn progress(&self) -> u64 {
        self.kernel().submitted()
    }

    fn check_end(&self) {
        self.kernel().check_end();
    }
}
