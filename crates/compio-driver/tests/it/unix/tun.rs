//! Positioned reads of a TUN device, where each read takes one packet from a queue.

use std::{
    fs::{File, OpenOptions},
    io,
    mem::{size_of, zeroed},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    thread,
};

use compio_driver::{Driver, SharedFd, op::ReadAt};

use crate::support::{each_backend, run};

const NAME: &[u8] = b"compio0";

fn check(answer: i32) -> io::Result<i32> {
    if answer < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(answer)
    }
}

fn request() -> libc::ifreq {
    // SAFETY: a plain C struct.
    let mut request: libc::ifreq = unsafe { zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(NAME) {
        *to = *from as libc::c_char;
    }
    request
}

/// A TUN device in a network namespace of this thread, and a packet socket that sends into it.
struct Tun {
    device: File,
    socket: OwnedFd,
    index: i32,
}

impl Tun {
    fn new() -> io::Result<Self> {
        // SAFETY: a flag only.
        check(unsafe { libc::unshare(libc::CLONE_NEWNET) })?;
        // With IPv6 the kernel sends packets of its own.
        std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1")?;
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/net/tun")?;
        let mut request = request();
        request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
        // SAFETY: the structure outlives each call.
        check(unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })?;
        // SAFETY: numbers only; the answer is a new descriptor.
        let socket = unsafe {
            let socket = check(libc::socket(libc::AF_PACKET, libc::SOCK_DGRAM, 0))?;
            OwnedFd::from_raw_fd(socket)
        };
        request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
        // SAFETY: as above.
        check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw mut request) })?;
        // SAFETY: as above; the kernel has set the index.
        let index = unsafe {
            check(libc::ioctl(
                socket.as_raw_fd(),
                libc::SIOCGIFINDEX,
                &raw mut request,
            ))?;
            request.ifr_ifru.ifru_ifindex
        };
        Ok(Self {
            device,
            socket,
            index,
        })
    }

    fn send(&self, packet: &[u8]) {
        // SAFETY: a plain C struct; buffer and address outlive the call.
        let sent = unsafe {
            let mut address: libc::sockaddr_ll = zeroed();
            address.sll_family = libc::AF_PACKET as u16;
            address.sll_protocol = (libc::ETH_P_IP as u16).to_be();
            address.sll_ifindex = self.index;
            libc::sendto(
                self.socket.as_raw_fd(),
                packet.as_ptr().cast(),
                packet.len(),
                0,
                (&raw const address).cast(),
                size_of::<libc::sockaddr_ll>() as u32,
            )
        };
        assert_eq!(
            sent,
            packet.len() as isize,
            "{}",
            io::Error::last_os_error()
        );
    }
}

/// A short read of such a device is a whole packet. Linux: `tun_chr_read_iter` honours IOCB_NOWAIT.
fn check_packets(driver: &Driver, tun: &Tun) {
    let fd = SharedFd::from(OwnedFd::from(tun.device.try_clone().unwrap()));
    for len in [20, 40, 30] {
        tun.send(&vec![len; usize::from(len)]);
    }
    for len in [20, 40, 30] {
        let read = ReadAt::new(fd.clone(), 0, Vec::with_capacity(100));
        let (read, packet) = run(driver, driver.submit(read));
        assert_eq!(read.unwrap(), usize::from(len), "{:?}", driver.backend());
        assert_eq!(packet, vec![len; usize::from(len)]);
    }
}

#[test]
fn s62_short_read_of_device_loses_no_record() {
    // The namespace ends with the thread.
    let test = thread::spawn(|| match Tun::new() {
        Ok(tun) => {
            for driver in each_backend() {
                check_packets(&driver, &tun);
            }
        }
        Err(error) => {
            eprintln!("SKIPPED s62_short_read_of_device_loses_no_record: no TUN device: {error}");
        }
    });
    test.join().unwrap();
}
