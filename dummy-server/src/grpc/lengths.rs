//! The lengths of messages in a body, for services that would learn too late of one that is too large, or would give it
//! another status.

use tonic::Status;

use super::message::PREFIX;

/// Follows a body from one message to the next.
#[derive(Debug)]
pub(super) struct Lengths {
    /// Of the largest message, in bytes.
    most: usize,
    /// What has come of a prefix.
    prefix: [u8; PREFIX],
    have: usize,
    /// Bytes of the message that have not come.
    left: usize,
}

impl Lengths {
    /// At the beginning of a body.
    pub(super) fn new(most: usize) -> Self {
        Self { most, prefix: [0; PREFIX], have: 0, left: 0 }
    }

    /// Goes on. When a message begins that is too large: how many of these bytes come before it, and the status of the
    /// call.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> Result<(), (usize, Status)> {
        let mut at = 0;
        while at < bytes.len() {
            let left = bytes.len() - at;
            if self.left > 0 {
                let count = self.left.min(left);
                self.left -= count;
                at += count;
                continue;
            }
            let count = (PREFIX - self.have).min(left);
            self.prefix[self.have..self.have + count].copy_from_slice(&bytes[at..at + count]);
            self.have += count;
            at += count;
            if self.have == PREFIX {
                let [_, length @ ..] = self.prefix;
                self.have = 0;
                self.left = u32::from_be_bytes(length) as usize;
                check(self.left, self.most).map_err(|status| (at.saturating_sub(PREFIX), status))?;
            }
        }
        Ok(())
    }
}

/// The status of a message of so many bytes, if that is too many.
pub(super) fn check(length: usize, most: usize) -> Result<(), Status> {
    if length <= most {
        return Ok(());
    }
    Err(Status::resource_exhausted(format!(
        "message of {length} bytes is too large: at most {most} are accepted (--grpc-max-message)"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::message::append;

    #[test]
    fn the_first_message_that_is_too_large_is_found_however_the_body_is_cut() {
        let body = |sizes: &[usize]| {
            let mut body = Vec::new();
            for size in sizes {
                append(&mut body, false, |out| out.resize(out.len() + size, 7));
            }
            body
        };
        for (sizes, accepted) in
            [(&[][..], true), (&[0, 10, 9, 0], true), (&[11], false), (&[10, 0, 11], false)]
        {
            let body = body(sizes);
            for size in 1..=body.len().max(1) {
                let mut lengths = Lengths::new(10);
                let followed = body.chunks(size).try_for_each(|part| lengths.follow(part));
                assert_eq!(followed.is_ok(), accepted, "{sizes:?} in pieces of {size}");
            }
        }
        let (before, _) = Lengths::new(10).follow(&body(&[10, 0, 11])).unwrap_err();
        assert_eq!(before, PREFIX + 10 + PREFIX);
        // It is known from the prefix alone.
        let (_, status) = Lengths::new(10).follow(&body(&[11])[..PREFIX]).unwrap_err();
        assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        assert!(status.message().contains("11 bytes") && status.message().contains("at most 10"));
    }
}
