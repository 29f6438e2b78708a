//! Control codes.

use std::{ffi::c_void, io, ptr};

use compio_io::buf::{BufResult, IoBuf, IoBufMut};
use windows_sys::Win32::System::IO;

use crate::{
    fd::{OwnsFd, SharedFd},
    operation::{Operation, Owned},
    request::{Request, Span},
    sys::{
        AsRawFd, RawFd,
        iocp::{Begun, RawEntry},
        windows::as_handle,
    },
};

/// Sends a control code with its input to the driver of a device or a file system, and receives the
/// output. A buffer without capacity stands for no buffer.
///
/// # Cancellation
///
/// It depends on the code: most are executed at once.
///
/// # Errors
///
/// The error of the device's driver, with both buffers. With `ERROR_MORE_DATA` the output contains
/// the part that fits.
///
/// ```
/// use compio::driver::{Driver, OwnedFd, SharedFd, os::windows::DeviceIoControl};
/// use std::{future::Future, os::windows::fs::OpenOptionsExt, pin::pin, task::Context};
///
/// fn run<T>(driver: &Driver, future: impl Future<Output = T>) -> T {
///     let (waker, mut future) = (driver.waker(), pin!(future));
///     loop {
///         match future.as_mut().poll(&mut Context::from_waker(&waker)) {
///             std::task::Poll::Ready(output) => return output,
///             std::task::Poll::Pending => driver.turn(None).unwrap(),
///         }
///     }
/// }
///
/// const FSCTL_GET_COMPRESSION: u32 = 0x9003c;
///
/// fn main() -> std::io::Result<()> {
///     let driver = Driver::new()?;
///     const FILE_FLAG_OVERLAPPED: u32 = 0x4000_0000;
///     let file = std::fs::OpenOptions::new()
///         .read(true)
///         .custom_flags(FILE_FLAG_OVERLAPPED)
///         .open("Cargo.toml")?;
///     let file = SharedFd::from(OwnedFd::from(file));
///     // SAFETY: this code writes only to the output, two bytes.
///     let ask = unsafe { DeviceIoControl::new(file, FSCTL_GET_COMPRESSION, [], [0; 2]) };
///     let (result, (_, answer)) = run(&driver, driver.submit(ask));
///     match result {
///         Ok(_) => println!("compressed by method {}", u16::from_le_bytes(answer)),
///         Err(error) => println!("the file system cannot say: {error}"),
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct DeviceIoControl<I, O, F = SharedFd> {
    fd: F,
    input: I,
    output: O,
    control: Control,
    entry: Option<RawEntry>,
}

/// The arguments of the call.
#[derive(Debug)]
struct Control {
    code: u32,
    input: Span,
    output: Span,
}

impl<I, O, F> DeviceIoControl<I, O, F> {
    /// Sends `code` with the initialised part of `input`; the answer goes into `output`, from its
    /// start over its whole capacity.
    ///
    /// # Safety
    ///
    /// The code makes the driver use no other memory of the process, not even memory whose address
    /// is in `input`, and does nothing to the descriptor that its owners do not expect.
    pub unsafe fn new(fd: F, code: u32, input: I, output: O) -> Self {
        let nothing = Span::new(ptr::null_mut(), 0);
        Self {
            fd,
            input,
            output,
            control: Control {
                code,
                input: nothing,
                output: nothing,
            },
            entry: None,
        }
    }
}

// SAFETY: the request points to the entry and to the call's arguments, which lie in the operation.
// The arguments point to the buffers, which are owned, and stay in place by `IoBuf`'s contract.
unsafe impl<I: IoBuf, O: IoBufMut, F: AsRawFd + 'static> Operation for DeviceIoControl<I, O, F> {
    type Output = BufResult<usize, (I, O)>;
    describe!(Other, fd);

    fn request(&mut self) -> Request {
        let input = self.input.as_init();
        self.control.input = Span::new(input.as_ptr().cast_mut(), input.len());
        // SAFETY: the room is only passed to the kernel, which never makes bytes uninitialised.
        let output = unsafe { self.output.as_uninit() };
        self.control.output = Span::new(output.as_mut_ptr().cast(), output.len());
        let data = (&raw mut self.control).cast();
        // SAFETY: `begin` makes one call and reports how it has returned.
        let entry = unsafe { RawEntry::new(self.fd.as_raw_fd(), begin, data) };
        Request::Raw(self.entry.insert(entry))
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        let mut output = self.output;
        let len = self.entry.map_or(0, |entry| entry.transferred());
        if answer.is_ok() || len > 0 {
            let room = output.buf_capacity();
            // SAFETY: the driver has written that many bytes, which fit.
            unsafe { output.set_init(len.min(room)) };
        }
        (answer, (self.input, output))
    }
}

// SAFETY: the operation holds an owner of the descriptor.
unsafe impl<I: IoBuf, O: IoBufMut, F: OwnsFd> Owned for DeviceIoControl<I, O, F> {}

/// # Safety
///
/// As a [`Begin`](crate::sys::iocp::Begin) is called, with a [`Control`] as its data.
unsafe fn begin(fd: RawFd, overlapped: *mut c_void, data: *mut ()) -> Begun {
    // SAFETY: by this function's contract; the buffers stay until the call is over, as does the
    // OVERLAPPED.
    let succeeded = unsafe {
        let control = &*data.cast::<Control>();
        IO::DeviceIoControl(
            as_handle(fd),
            control.code,
            given(control.input),
            control.input.len,
            given(control.output),
            control.output.len,
            ptr::null_mut(),
            overlapped.cast(),
        )
    };
    Begun::new(succeeded != 0)
}

/// Some drivers distinguish an empty buffer from no buffer.
fn given(span: Span) -> *mut c_void {
    if span.len == 0 {
        ptr::null_mut()
    } else {
        span.start.cast()
    }
}
