//! The entry of each request, field by field.
//!
//! Addresses are shown by the names of their memory, so that the snapshots are the same in every run.
//! Fields that are zero are omitted.

use std::{fmt::Write, ptr};

use expect_test::{Expect, expect};
use io_uring::{opcode, squeue::Entry};
use socket2::SockAddrStorage;

use super::{Encoded, Slot, encode};
use crate::request::{
    Allocation, BlockingCall, CURRENT_DIR, Control, FileOp, Message, Net, PathOp, PeerAddress,
    Poll, Position, RawSlice, Request, Span, Spans, Splice, Stat, Threads, Transfer, WriteFlags,
};

/// A piece of memory with a name: address, length, name.
type Place = (usize, usize, &'static str);

fn place<T>(at: *const T, name: &'static str) -> Place {
    (at.addr(), size_of::<T>(), name)
}

/// # Safety
///
/// As [`encode`].
unsafe fn entry_of(request: &Request) -> Entry {
    let mut slot = Slot::uninit();
    // SAFETY: passed on from this function; the slot is filled.
    unsafe {
        assert!(matches!(
            encode(request, &mut slot),
            Encoded::Entry | Encoded::Transfer | Encoded::Splice
        ));
        slot.assume_init()
    }
}

fn check(request: Request, places: &[Place], expected: Expect) {
    let mut slot = Slot::uninit();
    // SAFETY: no raw entry is checked by this function.
    let shown = match unsafe { encode(&request, &mut slot) } {
        Encoded::Entry | Encoded::Transfer | Encoded::Splice => {
            // SAFETY: the slot is filled.
            show(unsafe { slot.assume_init_ref() }, places)
        }
        Encoded::Call => "a plain call".to_owned(),
        Encoded::ThreadPool => "work for the pool".to_owned(),
    };
    expected.assert_eq(&shown);
}

/// The kernel's own layout of a submission queue entry (`struct io_uring_sqe`).
fn show(entry: &Entry, places: &[Place]) -> String {
    const { assert!(size_of::<Entry>() == 64) };
    // SAFETY: 64 plain bytes, all of which the crate initialises.
    let bytes: [u8; 64] = unsafe { ptr::from_ref(entry).cast::<[u8; 64]>().read() };
    let at = |start: usize, len: usize| {
        let mut field = [0; 8];
        field[..len].copy_from_slice(&bytes[start..start + len]);
        u64::from_le_bytes(field)
    };
    let mut shown = opcode_name(bytes[0]);
    let mut field = |name: &str, value: String| {
        if value != "0" {
            write!(shown, " {name}={value}").unwrap();
        }
    };
    field(
        "entry_flags",
        format!("{:#x}", at(1, 1)).replace("0x0", "0"),
    );
    field("ioprio", at(2, 2).to_string());
    field("fd", (at(4, 4) as i32).to_string());
    field("off", show_word(at(8, 8), places));
    field("addr", show_word(at(16, 8), places));
    field("len", at(24, 4).to_string());
    field("flags", format!("{:#x}", at(28, 4)).replace("0x0", "0"));
    field("buf_index", at(40, 2).to_string());
    field("personality", at(42, 2).to_string());
    field("splice_fd", (at(44, 4) as i32).to_string());
    field("rest", (at(48, 8) | at(56, 8)).to_string());
    shown
}

fn show_word(word: u64, places: &[Place]) -> String {
    let address = word as usize;
    for &(start, len, name) in places {
        if (start..start + len.max(1)).contains(&address) {
            return match address - start {
                0 => name.to_owned(),
                inside => format!("{name}+{inside}"),
            };
        }
    }
    (word as i64).to_string()
}

fn opcode_name(code: u8) -> String {
    let names = [
        (opcode::Nop::CODE, "NOP"),
        (opcode::Read::CODE, "READ"),
        (opcode::Write::CODE, "WRITE"),
        (opcode::Readv::CODE, "READV"),
        (opcode::Writev::CODE, "WRITEV"),
        (opcode::Fsync::CODE, "FSYNC"),
        (opcode::Ftruncate::CODE, "FTRUNCATE"),
        (opcode::Fallocate::CODE, "FALLOCATE"),
        (opcode::Bind::CODE, "BIND"),
        (opcode::Listen::CODE, "LISTEN"),
        (opcode::Pipe::CODE, "PIPE"),
        (opcode::OpenAt::CODE, "OPENAT"),
        (opcode::Statx::CODE, "STATX"),
        (opcode::RenameAt::CODE, "RENAMEAT"),
        (opcode::UnlinkAt::CODE, "UNLINKAT"),
        (opcode::MkDirAt::CODE, "MKDIRAT"),
        (opcode::LinkAt::CODE, "LINKAT"),
        (opcode::SymlinkAt::CODE, "SYMLINKAT"),
        (opcode::Socket::CODE, "SOCKET"),
        (opcode::Connect::CODE, "CONNECT"),
        (opcode::Accept::CODE, "ACCEPT"),
        (opcode::Recv::CODE, "RECV"),
        (opcode::Send::CODE, "SEND"),
        (opcode::RecvMsg::CODE, "RECVMSG"),
        (opcode::SendMsg::CODE, "SENDMSG"),
        (opcode::SendZc::CODE, "SEND_ZC"),
        (opcode::SendMsgZc::CODE, "SENDMSG_ZC"),
        (opcode::Splice::CODE, "SPLICE"),
        (opcode::PollAdd::CODE, "POLL_ADD"),
    ];
    match names.iter().find(|(known, _)| *known == code) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("opcode {code}"),
    }
}

#[test]
fn nop() {
    check(Request::Nop, &[], expect!["NOP fd=-1"]);
}

#[test]
fn reads_and_writes() {
    let mut buffer = [0_u8; 64];
    let span = Span::new(buffer.as_mut_ptr(), buffer.len());
    let places = [place(&raw const buffer, "buf")];
    let at_7 = Position::At(7);
    let read = |position| {
        Request::Transfer(Transfer::Read {
            fd: 3,
            span,
            position,
        })
    };
    let write = |position| {
        Request::Transfer(Transfer::Write {
            fd: 3,
            span,
            position,
        })
    };
    check(
        read(at_7),
        &places,
        expect!["READ fd=3 off=7 addr=buf len=64"],
    );
    check(
        read(Position::Cursor),
        &places,
        expect!["READ fd=3 off=-1 addr=buf len=64"],
    );
    check(
        write(at_7),
        &places,
        expect!["WRITE fd=3 off=7 addr=buf len=64"],
    );
    check(
        write(Position::Cursor),
        &places,
        expect!["WRITE fd=3 off=-1 addr=buf len=64"],
    );
}

#[test]
fn no_offset_is_taken_for_the_cursor() {
    let read = Transfer::Read {
        fd: 3,
        span: Span::new(ptr::null_mut(), 0),
        position: Position::At(u64::MAX),
    };
    check(Request::Transfer(read), &[], expect!["READ fd=3 off=-2"]);
}

#[test]
fn vectored_reads_and_writes() {
    let slices = [RawSlice::new(ptr::null_mut(), 0); 3];
    let places = [place(&raw const slices, "slices")];
    let spans = Spans {
        first: slices.as_ptr(),
        count: 3,
    };
    let read = |position| {
        Request::Transfer(Transfer::ReadVectored {
            fd: 3,
            spans,
            position,
        })
    };
    let write = |position| {
        Request::Transfer(Transfer::WriteVectored {
            fd: 3,
            spans,
            position,
        })
    };
    check(
        read(Position::At(7)),
        &places,
        expect!["READV fd=3 off=7 addr=slices len=3"],
    );
    check(
        read(Position::Cursor),
        &places,
        expect!["READV fd=3 off=-1 addr=slices len=3"],
    );
    check(
        write(Position::At(7)),
        &places,
        expect!["WRITEV fd=3 off=7 addr=slices len=3"],
    );
    check(
        write(Position::Cursor),
        &places,
        expect!["WRITEV fd=3 off=-1 addr=slices len=3"],
    );
}

#[test]
fn a_transfer_is_never_longer_than_the_kernel_does_at_once() {
    let span = Span::new(ptr::without_provenance_mut(4096), usize::MAX);
    let read = Transfer::Read {
        fd: 3,
        span,
        position: Position::Cursor,
    };
    check(
        Request::Transfer(read),
        &[(4096, 1, "buf")],
        expect!["READ fd=3 off=-1 addr=buf len=2147479552"],
    );
}

#[test]
fn sync() {
    let sync = |data_only| Request::FileOp(FileOp::Sync { fd: 3, data_only });
    check(sync(false), &[], expect!["FSYNC fd=3"]);
    check(sync(true), &[], expect!["FSYNC fd=3 flags=0x1"]);
}

#[test]
fn open_is_closed_on_exec() {
    let path = c"name";
    let open = FileOp::Open {
        dir: CURRENT_DIR,
        path: path.as_ptr(),
        flags: libc::O_RDWR | libc::O_CREAT,
        mode: 0o644,
    };
    check(
        Request::FileOp(open),
        &[(path.as_ptr().addr(), 5, "path")],
        expect!["OPENAT fd=-100 addr=path len=420 flags=0x80042"],
    );
}

#[test]
fn stat() {
    let path = c"name";
    let mut into = Stat::zeroed();
    let into = &raw mut into;
    let places = [(path.as_ptr().addr(), 5, "path"), place(into, "stat")];
    let stat = |follow| {
        Request::FileOp(FileOp::Stat {
            dir: CURRENT_DIR,
            path: path.as_ptr(),
            follow,
            into,
        })
    };
    check(
        stat(true),
        &places,
        expect!["STATX fd=-100 off=stat addr=path len=4095"],
    );
    check(
        stat(false),
        &places,
        expect!["STATX fd=-100 off=stat addr=path len=4095 flags=0x100"],
    );
}

#[test]
fn names() {
    let (one, other) = (c"one", c"other");
    let places = [
        (one.as_ptr().addr(), 4, "one"),
        (other.as_ptr().addr(), 6, "other"),
    ];
    let check = |names, expected| check(Request::Path(names), &places, expected);
    let (from, to) = (one.as_ptr(), other.as_ptr());
    check(
        PathOp::Rename { from, to },
        expect!["RENAMEAT fd=-100 off=other addr=one len=4294967196"],
    );
    let remove = |is_dir| PathOp::Remove { path: from, is_dir };
    check(remove(false), expect!["UNLINKAT fd=-100 addr=one"]);
    check(
        remove(true),
        expect!["UNLINKAT fd=-100 addr=one flags=0x200"],
    );
    check(
        PathOp::MakeDir {
            path: from,
            mode: 0o750,
        },
        expect!["MKDIRAT fd=-100 addr=one len=488"],
    );
    let link = |is_symbolic| PathOp::Link {
        original: from,
        link: to,
        is_symbolic,
    };
    check(
        link(false),
        expect!["LINKAT fd=-100 off=other addr=one len=4294967196"],
    );
    check(link(true), expect!["SYMLINKAT fd=-100 off=other addr=one"]);
}

#[test]
fn stat_of_a_descriptor() {
    let mut into = Stat::zeroed();
    let into = &raw mut into;
    let request = Request::FileOp(FileOp::StatFd { fd: 3, into });
    // The empty path is a constant of the table, at any address.
    // SAFETY: no raw entry.
    let entry = unsafe { entry_of(&request) };
    // SAFETY: the address field of `io_uring_sqe`, as in `show`.
    let path = unsafe { ptr::from_ref(&entry).cast::<u64>().add(2).read() } as usize;
    check(
        request,
        &[(path, 1, "empty"), place(into, "stat")],
        expect!["STATX fd=3 off=stat addr=empty len=4095 flags=0x1000"],
    );
}

#[test]
fn socket_is_closed_on_exec() {
    let socket = Control::Socket {
        domain: libc::AF_INET,
        kind: libc::SOCK_STREAM,
        protocol: libc::IPPROTO_TCP,
    };
    check(
        Request::Control(socket),
        &[],
        expect!["SOCKET fd=2 off=524289 len=6"],
    );
}

#[test]
fn bind_and_listen() {
    let address = SockAddrStorage::zeroed();
    let bind = Control::Bind {
        fd: 3,
        address: &raw const address,
        len: 16,
    };
    check(
        Request::Control(bind),
        &[place(&raw const address, "address")],
        expect!["BIND fd=3 off=16 addr=address"],
    );
    let listen = Control::Listen { fd: 3, backlog: 7 };
    check(Request::Control(listen), &[], expect!["LISTEN fd=3 len=7"]);
}

#[test]
fn ends_of_a_pipe_are_closed_on_exec() {
    let mut ends = [0; 2];
    let ends = &raw mut ends;
    check(
        Request::Control(Control::Pipe { ends }),
        &[place(ends, "ends")],
        expect!["PIPE addr=ends flags=0x80000"],
    );
}

#[test]
fn truncate() {
    let truncate = FileOp::Truncate { fd: 3, len: 7 };
    check(
        Request::FileOp(truncate),
        &[],
        expect!["FTRUNCATE fd=3 off=7"],
    );
}

#[test]
fn write_with_flags() {
    let mut bytes = [0; 3];
    let span = Span::new(bytes.as_mut_ptr(), 3);
    let write = |data_sync, atomic, offset| {
        Request::FileOp(FileOp::WriteWith {
            fd: 3,
            span,
            offset,
            flags: WriteFlags { data_sync, atomic },
        })
    };
    let places = [(span.start.addr(), 3, "bytes")];
    check(
        write(true, false, 5),
        &places,
        expect!["WRITE fd=3 off=5 addr=bytes len=3 flags=0x2"],
    );
    check(
        write(false, true, 5),
        &places,
        expect!["WRITE fd=3 off=5 addr=bytes len=3 flags=0x40"],
    );
    check(
        write(true, true, u64::MAX),
        &places,
        expect!["WRITE fd=3 off=-2 addr=bytes len=3 flags=0x42"],
    );
}

#[test]
fn allocate() {
    let allocate = |mode| {
        Request::FileOp(FileOp::Allocate {
            fd: 3,
            mode,
            offset: 5,
            len: 7,
        })
    };
    check(
        allocate(Allocation::Extend),
        &[],
        expect!["FALLOCATE fd=3 off=5 addr=7"],
    );
    check(
        allocate(Allocation::KeepSize),
        &[],
        expect!["FALLOCATE fd=3 off=5 addr=7 len=1"],
    );
    check(
        allocate(Allocation::PunchHole),
        &[],
        expect!["FALLOCATE fd=3 off=5 addr=7 len=3"],
    );
}

#[test]
fn connect() {
    let address = SockAddrStorage::zeroed();
    let connect = Net::Connect {
        fd: 3,
        address: &raw const address,
        len: 16,
    };
    check(
        Request::Net(connect),
        &[place(&raw const address, "address")],
        expect!["CONNECT fd=3 off=16 addr=address"],
    );
}

#[test]
fn accept_is_closed_on_exec() {
    let mut peer = PeerAddress::new();
    let peer = &raw mut peer;
    let (address, len) = PeerAddress::as_parts(peer);
    check(
        Request::Net(Net::Accept { fd: 3, peer }),
        &[place(address, "address"), place(len, "len")],
        expect!["ACCEPT fd=3 off=len addr=address flags=0x80000"],
    );
}

#[test]
fn recv_and_send() {
    let mut buffer = [0_u8; 64];
    let span = Span::new(buffer.as_mut_ptr(), buffer.len());
    let places = [place(&raw const buffer, "buf")];
    let recv = |flags| Request::Net(Net::Recv { fd: 3, span, flags });
    let send = |flags| Request::Net(Net::Send { fd: 3, span, flags });
    check(recv(0), &places, expect!["RECV fd=3 addr=buf len=64"]);
    check(
        recv(libc::MSG_PEEK),
        &places,
        expect!["RECV fd=3 addr=buf len=64 flags=0x2"],
    );
    check(
        send(0),
        &places,
        expect!["SEND fd=3 addr=buf len=64 flags=0x4040"],
    );
    check(
        send(libc::MSG_MORE),
        &places,
        expect!["SEND fd=3 addr=buf len=64 flags=0xc040"],
    );
}

#[test]
fn receives_into_picked_buffers() {
    let recv = |once| {
        Request::Net(Net::RecvMulti {
            fd: 3,
            group: 7,
            flags: 0,
            once,
        })
    };
    // One item: `IOSQE_BUFFER_SELECT` alone. Many: `IORING_RECV_MULTISHOT` as well.
    check(
        recv(true),
        &[],
        expect!["RECV entry_flags=0x20 fd=3 buf_index=7"],
    );
    assert_eq!(entry_of_flags(recv(false)), (0x20, 2));
}

/// The flags of an entry, and `ioprio` without the flag that tests add at random.
fn entry_of_flags(request: Request) -> (u8, u16) {
    // SAFETY: no raw entry.
    let entry = unsafe { entry_of(&request) };
    // SAFETY: 64 plain bytes.
    let bytes: [u8; 64] = unsafe { ptr::from_ref(&entry).cast::<[u8; 64]>().read() };
    (bytes[1], u16::from_le_bytes([bytes[2], bytes[3]]) & !1)
}

#[test]
fn messages() {
    let mut message = Message::new();
    let message = &raw mut message;
    let places = [place(Message::as_msghdr(message), "header")];
    let recv = Net::RecvMsg {
        fd: 3,
        message,
        flags: 0,
    };
    let send = Net::SendMsg {
        fd: 3,
        message,
        flags: 0,
    };
    check(
        Request::Net(recv),
        &places,
        expect!["RECVMSG fd=3 addr=header len=1 flags=0x40000000"],
    );
    check(
        Request::Net(send),
        &places,
        expect!["SENDMSG fd=3 addr=header len=1 flags=0x4040"],
    );
}

#[test]
fn zero_copy_sends_may_wait() {
    let buffer = [0_u8; 64];
    let span = Span::new(buffer.as_ptr().cast_mut(), buffer.len());
    let send = Net::SendZeroCopy {
        fd: 3,
        span,
        flags: libc::MSG_MORE,
    };
    check(
        Request::Net(send),
        &[place(&raw const buffer, "buf")],
        expect!["SEND_ZC fd=3 addr=buf len=64 flags=0xc000"],
    );
    let mut message = Message::new();
    let message = &raw mut message;
    let send = Net::SendMsgZeroCopy {
        fd: 3,
        message,
        flags: libc::MSG_MORE,
    };
    check(
        Request::Net(send),
        &[place(Message::as_msghdr(message), "header")],
        expect!["SENDMSG_ZC fd=3 addr=header len=1 flags=0xc000"],
    );
}

#[test]
fn splice() {
    let splice = |from_position, to_position| {
        Request::Splice(Splice {
            from: 3,
            from_position,
            to: 4,
            to_position,
            len: 64,
        })
    };
    let (cursor, at_7) = (Position::Cursor, Position::At(7));
    check(
        splice(cursor, cursor),
        &[],
        expect!["SPLICE fd=4 off=-1 addr=-1 len=64 flags=0x2 splice_fd=3"],
    );
    check(
        splice(at_7, cursor),
        &[],
        expect!["SPLICE fd=4 off=-1 addr=7 len=64 flags=0x2 splice_fd=3"],
    );
    check(
        splice(cursor, at_7),
        &[],
        expect!["SPLICE fd=4 off=7 addr=-1 len=64 flags=0x2 splice_fd=3"],
    );
}

#[test]
fn poll() {
    let poll = Poll::Once { fd: 3, events: 5 };
    check(Request::Poll(poll), &[], expect!["POLL_ADD fd=3 flags=0x5"]);
}

#[test]
fn requests_without_an_entry() {
    let shutdown = Control::Shutdown { fd: 3, how: 0 };
    check(Request::Control(shutdown), &[], expect!["a plain call"]);
    let work = BlockingCall {
        threads: Threads::Pool,
        data: ptr::null_mut(),
        run: |_| {},
    };
    check(Request::Blocking(work), &[], expect!["work for the pool"]);
}

#[test]
fn a_raw_entry_goes_as_it_is() {
    let raw = opcode::Fallocate::new(io_uring::types::Fd(3), 4096)
        .offset(7)
        .build();
    // SAFETY: the entry is valid until `encode` returns.
    let entry = unsafe { entry_of(&Request::Raw(&raw const raw)) };
    assert_eq!(show(&entry, &[]), show(&raw, &[]));
}
