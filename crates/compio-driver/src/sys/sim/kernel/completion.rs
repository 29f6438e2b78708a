//! Completions of a simulated kernel, and their effects on memory.

use std::os::fd::{IntoRawFd, OwnedFd};

use super::super::Thing;
use super::{Claim, Flight, Kernel, Stage, buffer_ring::Buffer};
use crate::{
    key::Key,
    request::{BlockingCall, Item, Net, RawResult, Request},
    sys::{PeerAddress, Report},
};

/// A completion that has not been reported.
pub(super) struct Post {
    pub(super) key: Key,
    pub(super) what: What,
    pub(super) effect: Effect,
}

#[derive(Clone, Copy)]
pub(super) enum What {
    Item(RawResult, Option<u16>),
    Final(RawResult),
    CanceledByKernel,
    WouldBlock,
    NotFound,
}

/// The effect on memory, which happens when the completion is reported, and no earlier.
pub(super) enum Effect {
    Nothing,
    /// Fills memory with bytes of the object: its index, the first byte, the length.
    Fill(usize, usize, usize),
    /// The same for a buffer of a buffer ring.
    Put(Buffer, usize, usize, usize),
    Send(usize, usize),
    /// Checks that the buffer still contains the bytes that were sent.
    Compare(Vec<u8>),
    HandOut(OwnedFd, *mut PeerAddress),
    Run(BlockingCall),
}

impl Kernel {
    pub(super) fn post(&mut self, key: Key, what: What, effect: Effect) {
        self.posted.push(Post { key, what, effect });
    }

    pub(super) fn end(&mut self, flight: &mut Flight, answer: RawResult, effect: Effect) {
        self.post(flight.key, What::Final(answer), effect);
        flight.stage = Stage::Ended;
    }

    /// Completes the request as cancelled by the kernel, with or without a cancel request.
    pub(super) fn give_up(&mut self, flight: &mut Flight) {
        self.post(flight.key, What::CanceledByKernel, Effect::Nothing);
        flight.stage = Stage::Ended;
    }

    pub(super) fn report(&mut self, post: Post) -> Report {
        let place = self.flying.iter().position(|flight| flight.key == post.key);
        let Some(place) = place else {
            assert!(matches!(post.what, What::NotFound));
            return Report::CancelNotFound;
        };
        let flight = self.flying.swap_remove(place);
        let report = self.perform(&flight, post);
        match report {
            Report::Final(_) => {}
            Report::CanceledByKernel | Report::WouldBlock | Report::Ready => {
                assert!(self.given_up.insert(u64::from(flight.key)));
            }
            Report::Partial(_) | Report::CancelNotFound => self.flying.push(flight),
        }
        report
    }

    /// Applies the effect of a completion.
    pub(super) fn perform(&mut self, flight: &Flight, post: Post) -> Report {
        let is_lent = matches!(
            flight.request,
            Request::Net(Net::SendZeroCopy { .. } | Net::SendMsgZeroCopy { .. })
        );
        if let Some(thing) = flight.thing
            && !is_lent
        {
            let is_closed = self.things[thing].is_closed();
            assert!(
                !is_closed,
                "{:?} lost its descriptor before it was completed",
                flight.request
            );
        }
        let mut descriptor = None;
        match post.effect {
            Effect::Nothing => {}
            Effect::Fill(thing, from, len) => {
                // SAFETY: the operation has not been reported as completed, by the contract of
                // `submit`.
                unsafe { flight.memory.fill(&Thing::bytes(from, len)) };
                let address = flight.memory.address();
                if len > 0 && self.things[thing].taken > 0 {
                    self.put(address, thing, from, len);
                }
            }
            Effect::Put(buffer, thing, from, len) => {
                let bytes = Thing::bytes(from, len);
                // SAFETY: the kernel has chosen the buffer, and has not reported it yet.
                unsafe { buffer.start.copy_from(bytes.as_ptr(), len) };
                if len > 0 {
                    self.put(buffer.start.addr(), thing, from, len);
                }
            }
            Effect::Send(thing, len) => {
                // SAFETY: the operation has not been reported as completed, by the contract of
                // `submit`.
                let sent = unsafe { flight.memory.read(len) };
                self.things[thing].written.extend_from_slice(&sent);
            }
            Effect::Compare(sent) => {
                // SAFETY: likewise.
                assert_eq!(unsafe { flight.memory.read(sent.len()) }, sent);
            }
            Effect::HandOut(fd, peer) => {
                if !peer.is_null() {
                    // SAFETY: likewise; the address has no family.
                    unsafe { peer.write(PeerAddress::new()) };
                }
                descriptor = Some(Ok(fd.into_raw_fd() as u32));
            }
            // SAFETY: it runs once, before the completion is reported; by the contract of `submit`.
            Effect::Run(work) => unsafe { (work.run)(work.data) },
        }
        match post.what {
            What::Item(answer, buffer) => Report::Partial(Item {
                answer: descriptor.unwrap_or(answer),
                buffer,
                // Only counters use it, which no simulation checks.
                has_more: true,
            }),
            What::Final(answer) => Report::Final(descriptor.unwrap_or(answer)),
            What::CanceledByKernel => Report::CanceledByKernel,
            What::WouldBlock => Report::WouldBlock,
            What::NotFound => Report::CancelNotFound,
        }
    }

    /// Records bytes at an address. The task that had bytes at this address has released them.
    pub(super) fn put(&mut self, address: usize, thing: usize, from: usize, len: usize) {
        self.lose(|claim| claim.address == address);
        self.claims.push(Claim {
            thing,
            address,
            from,
            len,
        });
    }
}
