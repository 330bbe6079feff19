//! TCP Fast Open (RFC 7413) on a listening socket: data in the SYN is served one round trip earlier.

/// Lets at most `queue` Fast Open requests wait; a system that refuses simply goes without.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "no safe binding offers TCP_FASTOPEN")]
pub(crate) fn enable(socket: &socket2::Socket, queue: i32) -> bool {
    use std::os::fd::AsRawFd as _;
    // SAFETY: the descriptor is open for as long as `socket` is borrowed, and the pointer and length
    // describe one i32 that outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_FASTOPEN,
            std::ptr::from_ref(&queue).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    result == 0
}

/// Other systems go without.
#[cfg(not(target_os = "linux"))]
pub(crate) fn enable(_socket: &socket2::Socket, _queue: i32) -> bool {
    false
}
