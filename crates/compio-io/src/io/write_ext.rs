//! [`AsyncWriteExt`]: loops over [`AsyncWrite::write`]. Loops over positioned
//! writes are in `at_ext`.

use std::io;

use crate::{
    buf::{BufResult, IntoInner, IoBuf, IoVectoredBuf, Rest, VectoredSlice},
    io::{AsyncWrite, write_zero},
};

/// One method for each number and each order of its bytes.
macro_rules! write_numbers {
    ($($name:ident $number:ident $order:literal $to:ident;)*) => {$(
        #[doc = concat!("Writes ", $order, " `", stringify!($number), "`.")]
        ///
        /// Interrupted writes are repeated.
        ///
        /// # Errors
        ///
        /// As for [`write_all`](Self::write_all). Some first bytes of the number
        /// may have been written.
        ///
        /// # Cancellation
        ///
        /// Some first bytes of the number, or all, may have been written.
        ///
        /// ```
        /// use compio::io::AsyncWriteExt;
        ///
        /// # pollster::block_on(async {
        /// let mut sink = Vec::new();
        #[doc = concat!("sink.", stringify!($name), "(42 as ", stringify!($number), ").await?;")]
        #[doc = concat!("assert_eq!(sink, (42 as ", stringify!($number), ").", stringify!($to), "());")]
        /// # std::io::Result::Ok(())
        /// # }).unwrap();
        /// ```
        async fn $name(&mut self, number: $number) -> io::Result<()> {
            self.write_all(number.$to()).await.0
        }
    )*};
}

/// Methods of every [`AsyncWrite`].
pub trait AsyncWriteExt: AsyncWrite {
    /// Writes all the initialised bytes of `buf`. An interrupted write is
    /// repeated.
    ///
    /// # Errors
    ///
    /// [`WriteZero`](io::ErrorKind::WriteZero) if the sink accepts no more, and
    /// errors of the sink. `buf` is unchanged. The number of written bytes is
    /// unknown.
    ///
    /// # Cancellation
    ///
    /// Dropping the future loses the buffer; the bytes before some point in it
    /// were written.
    ///
    /// ```
    /// use compio::io::AsyncWriteExt;
    ///
    /// # pollster::block_on(async {
    /// let mut sink = Vec::new();
    /// let (result, _) = sink.write_all("abc").await;
    /// result.unwrap();
    /// assert_eq!(sink, b"abc");
    /// # });
    /// ```
    fn write_all<B: IoBuf>(&mut self, mut buf: B) -> impl Future<Output = BufResult<(), B>> {
        // Not an `async fn`, whose future would store the buffer twice.
        async move {
            let mut begin = 0;
            while begin < buf.buf_len() {
                let result;
                if begin == 0 {
                    // Usually the only write: it needs no `Rest`.
                    (result, buf) = self.write(buf).await;
                } else {
                    let rest = Rest { inner: buf, begin };
                    (result, Rest { inner: buf, begin }) = self.write(rest).await;
                }
                match result {
                    Ok(0) => return (Err(write_zero()), buf),
                    Ok(n) => begin += n,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return (Err(e), buf),
                }
            }
            (Ok(()), buf)
        }
    }

    /// Writes all the initialised bytes of many buffers, one after the other. An
    /// interrupted write is repeated.
    ///
    /// # Errors
    ///
    /// As for [`write_all`](Self::write_all).
    ///
    /// # Cancellation
    ///
    /// As for [`write_all`](Self::write_all).
    ///
    /// ```
    /// use compio::io::AsyncWriteExt;
    ///
    /// # pollster::block_on(async {
    /// let mut sink = Vec::new();
    /// let (result, _) = sink.write_vectored_all(("head ", b"body".to_vec())).await;
    /// result.unwrap();
    /// assert_eq!(sink, b"head body");
    /// # });
    /// ```
    async fn write_vectored_all<V: IoVectoredBuf>(&mut self, mut buf: V) -> BufResult<(), V> {
        let mut written = 0;
        while written < buf.total_len() {
            let (result, rest) = self.write_vectored(VectoredSlice::new(buf, written)).await;
            buf = rest.into_inner();
            match result {
                Ok(0) => return (Err(write_zero()), buf),
                Ok(n) => written += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return (Err(e), buf),
            }
        }
        (Ok(()), buf)
    }

    write_numbers! {
        write_u8 u8 "a" to_be_bytes;
        write_i8 i8 "an" to_be_bytes;
        write_u16 u16 "a big-endian" to_be_bytes;
        write_i16 i16 "a big-endian" to_be_bytes;
        write_u32 u32 "a big-endian" to_be_bytes;
        write_i32 i32 "a big-endian" to_be_bytes;
        write_u64 u64 "a big-endian" to_be_bytes;
        write_i64 i64 "a big-endian" to_be_bytes;
        write_u128 u128 "a big-endian" to_be_bytes;
        write_i128 i128 "a big-endian" to_be_bytes;
        write_f32 f32 "a big-endian" to_be_bytes;
        write_f64 f64 "a big-endian" to_be_bytes;
        write_u16_le u16 "a little-endian" to_le_bytes;
        write_i16_le i16 "a little-endian" to_le_bytes;
        write_u32_le u32 "a little-endian" to_le_bytes;
        write_i32_le i32 "a little-endian" to_le_bytes;
        write_u64_le u64 "a little-endian" to_le_bytes;
        write_i64_le i64 "a little-endian" to_le_bytes;
        write_u128_le u128 "a little-endian" to_le_bytes;
        write_i128_le i128 "a little-endian" to_le_bytes;
        write_f32_le f32 "a little-endian" to_le_bytes;
        write_f64_le f64 "a little-endian" to_le_bytes;
    }
}

impl<W: AsyncWrite + ?Sized> AsyncWriteExt for W {}
