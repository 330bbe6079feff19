//! How much of what was written to a TCP socket its peer has not acknowledged yet.

/// Bytes in the send queue.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "no safe binding offers SIOCOUTQ")]
pub(crate) fn bytes(stream: &tokio::net::TcpStream) -> usize {
    use std::os::fd::AsRawFd as _;
    let mut count: libc::c_int = 0;
    // SAFETY: the descriptor is open for as long as `stream` is borrowed, and the pointer is to an int that outlives
    // the call, which writes nothing else.
    let result = unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut count) };
    if result == 0 { usize::try_from(count).unwrap_or_default() } else { 0 }
}

/// Other systems do not report it.
#[cfg(not(target_os = "linux"))]
pub(crate) fn bytes(_stream: &tokio::net::TcpStream) -> usize {
    0
}
