//! Flow-control windows (RFC 9113 section 5.2 and 6.9).

/// The largest window.
pub(crate) const LARGEST_WINDOW: i64 = (1 << 31) - 1;

/// What this end may send. It is negative after SETTINGS that made it smaller than what is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SendWindow(i64);

impl SendWindow {
    pub(crate) fn new(size: u32) -> Self {
        Self(i64::from(size))
    }

    /// How many bytes may be sent.
    #[inline]
    pub(crate) fn room(self) -> usize {
        self.0.max(0) as usize
    }

    #[inline]
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.0 -= bytes as i64;
    }

    /// False: it would become larger than a window may be.
    #[must_use]
    pub(crate) fn change(&mut self, by: i64) -> bool {
        self.0 += by;
        self.0 <= LARGEST_WINDOW
    }
}

/// What the peer may send, and what of it is to be given back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReceiveWindow {
    /// Bytes that the peer may send.
    left: i64,
    /// Bytes that were used up here and not given back yet.
    owed: u32,
    /// The window when nothing is under way.
    size: u32,
}

/// Window that is given back in smaller parts than this costs more than it is worth.
const LEAST_UPDATE: i64 = 1024;

impl ReceiveWindow {
    /// `left` is what the peer may count on, `size` what is meant: they differ until the peer has acknowledged
    /// SETTINGS.
    pub(crate) fn new(left: u32, size: u32) -> Self {
        Self { left: i64::from(left), owed: 0, size }
    }

    /// SETTINGS have changed the window by so much, and what is meant to `size` (RFC 9113 section 6.9.2).
    pub(crate) fn resize(&mut self, by: i64, size: u32) {
        self.left += by;
        self.size = size;
    }

    /// Takes in bytes. False if they exceed the window.
    #[must_use]
    #[inline]
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        self.left -= bytes as i64;
        self.left >= 0
    }

    /// Bytes were used up; how much window to give the peer for them, if that is worth a frame.
    #[inline]
    pub(crate) fn used(&mut self, bytes: usize) -> Option<u32> {
        self.owed += bytes as u32;
        if self.owed < self.size / 2 || self.owed == 0 {
            return None;
        }
        self.left += i64::from(self.owed);
        Some(std::mem::take(&mut self.owed))
    }

    /// [`ReceiveWindow::used`] of a window that streams share: when it runs short because of what one stream holds,
    /// the others get theirs back immediately, or they would wait for that one.
    #[inline]
    pub(crate) fn used_of_shared(&mut self, bytes: usize) -> Option<u32> {
        let increment = self.used(bytes);
        let owed = i64::from(self.owed);
        if increment.is_some() || owed < LEAST_UPDATE.min(i64::from(self.size / 2)) || owed < self.left {
            return increment;
        }
        self.left += owed;
        Some(std::mem::take(&mut self.owed))
    }
}
