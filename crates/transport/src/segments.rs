//! Between a socket and a state machine: reading into a buffer that many connections share, and writing the segments
//! that wait in an [`Output`] in as few system calls as they fit into.
//!
//! What is read, written and counted is the caller's affair.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wire::Output;

/// Slices in one system call.
const SLICES: usize = 64;

/// Reads once into `buffer`, behind `rest`, which is copied to its front. How many bytes were read; 0 means that the
/// peer has closed its end.
///
/// # Errors
/// The connection is broken, or `rest` leaves no room in the buffer: what is read by then must fit in it with more.
pub fn poll_read(
    io: &mut (impl AsyncRead + Unpin),
    rest: &[u8],
    buffer: &mut [u8],
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    // A read without room would read nothing, which looks like the peer's end.
    let Some((front, free)) = buffer.split_at_mut_checked(rest.len()).filter(|(_, free)| !free.is_empty())
    else {
        return Poll::Ready(Err(io::Error::new(io::ErrorKind::OutOfMemory, "no room in the read buffer")));
    };
    let mut free = ReadBuf::new(free);
    ready!(Pin::new(io).poll_read(cx, &mut free))?;
    front.copy_from_slice(rest);
    Poll::Ready(Ok(free.filled().len()))
}

/// Writes once of what waits, which must be something, and takes it off: at most `most` bytes, but the first slice
/// whole. How many bytes were written.
///
/// # Errors
/// The connection is broken, or takes nothing any more.
pub fn poll_write(
    io: &mut (impl AsyncWrite + Unpin),
    output: &mut Output,
    most: usize,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let io = Pin::new(io);
    let count = match output.single() {
        Some(bytes) => ready!(io.poll_write(cx, bytes))?,
        None => {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = output.slices(&mut slices);
            ready!(io.poll_write_vectored(cx, within(&slices[..count], most)))?
        }
    };
    if count == 0 {
        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
    }
    output.advance(count);
    Poll::Ready(Ok(count))
}

/// The first slices, as long as they are not too many bytes together; one at least.
fn within<'a, 'b>(slices: &'b [IoSlice<'a>], most: usize) -> &'b [IoSlice<'a>] {
    let mut total = 0;
    let fitting = slices.iter().take_while(|slice| {
        total += slice.len();
        total <= most
    });
    &slices[..fitting.count().max(1).min(slices.len())]
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn filled() -> (Output, Vec<u8>) {
        let mut output = Output::new();
        let mut expected = Vec::new();
        for (index, len) in [5, 9000, 3, 9000].into_iter().enumerate() {
            let part = vec![b'a' + index as u8; len];
            expected.extend_from_slice(&part);
            output.push(part.into());
        }
        (output, expected)
    }

    #[tokio::test]
    async fn all_segments_arrive_in_order_through_a_narrow_pipe() {
        let (mut near, mut far) = tokio::io::duplex(100);
        let (mut output, expected) = filled();
        let writing = async {
            while !output.is_empty() {
                std::future::poll_fn(|cx| poll_write(&mut near, &mut output, usize::MAX, cx)).await.unwrap();
            }
            near.shutdown().await.unwrap();
        };
        let mut seen = Vec::new();
        let (_, read) = tokio::join!(writing, far.read_to_end(&mut seen));
        read.unwrap();
        assert!(seen == expected);
    }

    #[test]
    fn one_call_takes_at_most_the_limit_but_at_least_one_slice() {
        let parts = [[0; 10], [0; 10], [0; 10]];
        let slices = parts.each_ref().map(|part| IoSlice::new(part));
        for (most, expected) in [(0, 1), (9, 1), (10, 1), (20, 2), (29, 2), (usize::MAX, 3)] {
            assert_eq!(within(&slices, most).len(), expected, "{most}");
        }
        assert!(within(&[], 5).is_empty());
    }

    #[tokio::test]
    async fn leftover_bytes_precede_the_bytes_read() {
        let (mut near, mut far) = tokio::io::duplex(100);
        far.write_all(b"defg").await.unwrap();
        let mut buffer = [0; 6];
        let mut read = |rest: &[u8], buffer: &mut [u8]| {
            poll_read(&mut near, rest, buffer, &mut Context::from_waker(Waker::noop()))
        };
        assert!(matches!(read(b"abc", &mut buffer), Poll::Ready(Ok(3))));
        assert_eq!(&buffer, b"abcdef");
        assert!(matches!(read(b"", &mut buffer), Poll::Ready(Ok(1))));
        assert!(read(b"g", &mut buffer).is_pending());
        drop(far);
        assert!(matches!(read(b"g", &mut buffer), Poll::Ready(Ok(0))));
    }

    #[tokio::test]
    async fn a_read_without_room_is_an_error_and_not_eof() {
        let (mut near, mut far) = tokio::io::duplex(100);
        far.write_all(b"more").await.unwrap();
        let mut buffer = [0; 3];
        for rest in [&b"abc"[..], b"abcd"] {
            let read = poll_read(&mut near, rest, &mut buffer, &mut Context::from_waker(Waker::noop()));
            assert!(matches!(read, Poll::Ready(Err(_))), "{read:?}");
        }
    }
}
