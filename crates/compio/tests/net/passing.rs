//! Descriptors and credentials sent over Unix sockets.

use std::{
    fs::File,
    io::{ErrorKind, Read, Seek, SeekFrom, Write},
    os::fd::{AsRawFd, OwnedFd},
};

use compio::{
    io::{AsyncRead, AsyncWriteExt},
    net::{AncillaryData, SocketAncillary, UnixDatagram, UnixStream},
};

use crate::support::{check_kind, run};

fn file(content: &str) -> OwnedFd {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file.into()
}

fn content(fd: OwnedFd) -> String {
    let mut file = File::from(fd);
    let mut content = String::new();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.read_to_string(&mut content).unwrap();
    content
}

fn carrying(descriptors: impl IntoIterator<Item = OwnedFd>) -> SocketAncillary {
    let mut ancillary = SocketAncillary::new();
    ancillary.add_descriptors(descriptors).unwrap();
    ancillary
}

fn room(descriptors: usize) -> SocketAncillary {
    SocketAncillary::with_capacity(SocketAncillary::space(4 * descriptors))
}

#[test]
fn files_go_over_a_stream() {
    run(async {
        let (one, other) = UnixStream::pair().unwrap();
        let ancillary = carrying([file("first"), file("second")]);
        let (sent, (_, mut ancillary)) = one.send_msg(["with ", "files"], ancillary).await;
        assert_eq!(sent.unwrap(), 10);
        // The sender still owns its descriptors.
        assert_eq!(ancillary.descriptors().len(), 2);
        assert_eq!(content(ancillary.take_descriptors().remove(0)), "first");
        assert!(
            ancillary.is_empty(),
            "no number of a taken descriptor is left"
        );

        let (received, (buffers, mut ancillary)) =
            other.recv_msg([Vec::with_capacity(100)], room(2)).await;
        assert_eq!(received.unwrap(), 10);
        assert_eq!(buffers, [b"with files"]);
        assert!(!ancillary.truncated());
        assert_eq!(ancillary.messages().count(), 0);
        let descriptors = ancillary.take_descriptors();
        for fd in &descriptors {
            // SAFETY: no pointers are passed.
            let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFD) };
            assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
        }
        let contents: Vec<_> = descriptors.into_iter().map(content).collect();
        assert_eq!(contents, ["first", "second"]);
    });
}

#[test]
fn a_socket_goes_over_a_datagram_and_is_used() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let server = UnixDatagram::bind(dir.path().join("socket")).unwrap();
        let client = UnixDatagram::unbound().unwrap();
        let (one, mut other) = UnixStream::pair().unwrap();
        let ancillary = carrying([one.try_into().unwrap()]);
        let to = server.local_addr().unwrap();
        let (sent, (_, ancillary)) = client.send_msg_to_addr(["take it"], ancillary, &to).await;
        sent.unwrap();
        drop(ancillary);
        let (received, (_, mut ancillary)) = server.recv_msg([[0; 100]], room(1)).await;
        let received = received.unwrap();
        assert_eq!((received.len, received.truncated), (7, false));
        assert!(received.address.is_unnamed());
        let one = UnixStream::try_from(ancillary.take_descriptors().remove(0)).unwrap();
        (&one).write_all("hello").await.0.unwrap();
        assert_eq!(other.read([0; 5]).await.0.unwrap(), 5);
    });
}

#[test]
fn received_descriptors_are_passed_on() {
    run(async {
        let (one, other) = UnixDatagram::pair().unwrap();
        let mut ancillary = carrying([file("again and again")]);
        for _ in 0..3 {
            let (sent, _) = one.send_msg(["x"], ancillary).await;
            sent.unwrap();
            let (received, (_, came)) = other.recv_msg([[0; 1]], room(1)).await;
            received.unwrap();
            ancillary = came;
        }
        assert_eq!(
            content(ancillary.take_descriptors().remove(0)),
            "again and again"
        );
    });
}

#[test]
fn descriptors_without_room_are_lost() {
    run(async {
        let (one, other) = UnixDatagram::pair().unwrap();
        let ancillary = carrying([file("a"), file("b"), file("c"), file("d")]);
        let (sent, _) = one.send_msg(["x"], ancillary).await;
        sent.unwrap();
        let (received, (_, mut ancillary)) = other.recv_msg([[0; 1]], room(2)).await;
        received.unwrap();
        assert!(ancillary.truncated());
        let came: Vec<_> = ancillary
            .take_descriptors()
            .into_iter()
            .map(content)
            .collect();
        assert_eq!(came, ["a", "b"]);
    });
}

#[test]
fn too_many_are_refused_and_come_back() {
    run(async {
        let (one, _other) = UnixDatagram::pair().unwrap();
        let null = File::open("/dev/null").unwrap();
        let many = (0..300).map(|_| OwnedFd::from(null.try_clone().unwrap()));
        let (sent, (buffers, ancillary)) = one.send_msg(["x"], carrying(many)).await;
        sent.unwrap_err();
        assert_eq!(buffers, ["x"]);
        assert_eq!(ancillary.descriptors().len(), 300);
    });
}

#[test]
fn descriptors_are_not_named_by_number() {
    let mut ancillary = SocketAncillary::new();
    let number = 0_i32.to_ne_bytes();
    let forged = AncillaryData::Other {
        level: libc::SOL_SOCKET,
        kind: libc::SCM_RIGHTS,
        data: &number,
    };
    check_kind(ancillary.add(forged), ErrorKind::InvalidInput);
    assert!(ancillary.is_empty());
}

#[cfg(target_os = "linux")]
#[test]
fn a_sender_reports_its_credentials() {
    run(async {
        let (one, other) = UnixStream::pair().unwrap();
        assert!(!other.passcred().unwrap());
        other.set_passcred(true).unwrap();
        (&one).write_all("hello").await.0.unwrap();
        let own = one.peer_cred().unwrap();
        for _ in 0..2 {
            let room = SocketAncillary::with_capacity(200);
            let (received, (_, ancillary)) = other.recv_msg([[0; 100]], room).await;
            assert_eq!(received.unwrap(), 5);
            assert_eq!(
                ancillary.messages().collect::<Vec<_>>(),
                [AncillaryData::Credentials(own)]
            );
            // The sender may give its own credentials explicitly, but no false ones.
            let mut said = SocketAncillary::new();
            said.add(AncillaryData::Credentials(own)).unwrap();
            one.send_msg(["again"], said).await.0.unwrap();
        }
    });
}
