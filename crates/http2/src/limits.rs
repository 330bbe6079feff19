//! What a peer may ask of this end before it is taken for an attacker. Budgets are spent by what costs work and
//! brings nothing, and filled up again by streams that end well and by time.

/// The limits of a connection. The defaults are not met by a hundred busy streams of which many are cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a field block with its continuations, compressed (CONTINUATION flood).
    pub block: usize,
    /// Frames of which a field block may be made.
    pub continuations: u32,
    /// Streams that the peer may reset before they end well (rapid reset), or open beyond the number allowed.
    pub resets: u32,
    /// Streams that this end may have to reset because the peer broke a rule on them.
    pub stream_errors: u32,
    /// SETTINGS, PING, PRIORITY and frames of unknown kinds, and WINDOW_UPDATE that gives little.
    pub control: u32,
    /// Further WINDOW_UPDATE that give little, for DATA that was sent: two for each time, which a peer may be late with.
    pub updates: u32,
    /// DATA without data, and HEADERS and CONTINUATION without a block.
    pub empty: u32,
    /// Bytes of a list of fields, decompressed and counted as RFC 9113 section 6.5.2 does, or what SETTINGS allow
    /// if that is more (HPACK bomb). A list between the two is [`crate::Head::is_too_large`].
    pub list: usize,
    /// Bytes of answers to control frames that may wait in the output.
    pub waiting_control: usize,
    /// Time after which SETTINGS must have been acknowledged, in milliseconds.
    pub settings_timeout_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            block: 128 << 10,
            continuations: 64,
            resets: 10_000,
            stream_errors: 1_000,
            control: 10_000,
            updates: 1 << 20,
            empty: 1_000,
            list: 1 << 20,
            waiting_control: 1 << 20,
            settings_timeout_ms: 10_000,
        }
    }
}

/// What is left of the budgets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budgets {
    pub(crate) resets: u32,
    pub(crate) stream_errors: u32,
    pub(crate) control: u32,
    /// None until DATA was sent.
    pub(crate) updates: u32,
    pub(crate) empty: u32,
}

impl Budgets {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            resets: limits.resets,
            stream_errors: limits.stream_errors,
            control: limits.control,
            updates: 0,
            empty: limits.empty,
        }
    }

    /// A stream has ended well. So a peer that cancels four of five streams is not taken for an attacker, nor one
    /// that sends a few small frames for each.
    #[inline]
    pub(crate) fn progress(&mut self, limits: &Limits) {
        let refill = |left: &mut u32, by: u32, all: u32| *left = left.saturating_add(by).min(all);
        refill(&mut self.resets, 4, limits.resets);
        refill(&mut self.control, 2, limits.control);
        refill(&mut self.empty, 2, limits.empty);
    }

    /// Content was sent for which the peer will give window back, in whatever portions.
    #[inline]
    pub(crate) fn sent(&mut self, limits: &Limits) {
        self.updates = self.updates.saturating_add(2).min(limits.updates);
    }

    /// A second has gone by: a tenth of each budget comes back.
    pub(crate) fn second(&mut self, limits: &Limits) {
        let refill = |left: &mut u32, all: u32| *left = left.saturating_add(all.div_ceil(10)).min(all);
        refill(&mut self.resets, limits.resets);
        refill(&mut self.stream_errors, limits.stream_errors);
        refill(&mut self.control, limits.control);
        refill(&mut self.empty, limits.empty);
    }
}

/// Spends one of a budget. False: nothing was left.
#[must_use]
#[inline]
pub(crate) fn spend(left: &mut u32) -> bool {
    match left.checked_sub(1) {
        Some(less) => {
            *left = less;
            true
        }
        None => false,
    }
}
