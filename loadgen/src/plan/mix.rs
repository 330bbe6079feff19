//! Which request an arrival sends: a sequence in which each request has its share, over any number of arrivals from the
//! start and not only on average.
//!
//! Pure: the number of an arrival says it all. The sequence is that of a single processor that serves periodic jobs by
//! their deadlines: after any number of places, each request has had its share to within one.

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc};

/// The maximum number of requests of a mix.
pub(crate) const MAX_REQUESTS: usize = 1000;

/// The longest sequence: the sum of weights or counts, divided by what they have in common.
pub(crate) const MAX_SEQUENCE: u64 = 1 << 22;

/// The order of a plan's requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mix {
    /// Empty with one request alone.
    sequence: Arc<[Slot]>,
    /// How often each is in the sequence.
    shares: Arc<[u32]>,
    /// How many arrivals there will be, if that is known.
    total: Option<u64>,
    /// Parts that share the arrivals, each every nth.
    parts: u64,
    /// Whether each arrival has its own place, whatever part it is of.
    is_in_order: bool,
}

/// A place of the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    request: u32,
    /// How often it has come before in the sequence.
    before: u32,
}

/// What an arrival sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The index of the request.
    pub(crate) request: u32,
    /// How many arrivals before send the same one.
    pub(crate) rank: u64,
}

impl Mix {
    /// Of requests with these weights, of which none is zero; none if the sequence would be too long.
    pub(crate) fn new(weights: &[u64]) -> Option<Self> {
        let divisor = weights.iter().copied().fold(0, gcd).max(1);
        let sum = weights.iter().try_fold(0_u64, |sum, weight| sum.checked_add(weight / divisor))?;
        if sum > MAX_SEQUENCE || weights.contains(&0) {
            return None;
        }
        let shares: Arc<[u32]> = weights.iter().map(|weight| (weight / divisor) as u32).collect();
        let sequence = if shares.len() < 2 { Arc::default() } else { sequence(&shares, sum).into() };
        Some(Self { sequence, shares, total: None, parts: 1, is_in_order: false })
    }

    /// Of requests that follow each other as they are listed.
    pub(crate) fn listed(requests: &[u32]) -> Self {
        let count = requests.iter().max().map_or(0, |most| *most as usize + 1);
        let mut shares = vec![0; count];
        let slot = |request: &u32| {
            let before = shares[*request as usize];
            shares[*request as usize] += 1;
            Slot { request: *request, before }
        };
        let sequence: Vec<_> = requests.iter().map(slot).collect();
        let sequence = if count < 2 { Arc::default() } else { sequence.into() };
        Self { sequence, shares: shares.into(), total: None, parts: 1, is_in_order: true }
    }

    /// For `total` arrivals, which `parts` parts share.
    pub(crate) fn over(mut self, total: Option<u64>, parts: u64) -> Self {
        (self.total, self.parts) = (total, parts.max(1));
        self
    }

    /// Whether there are several requests.
    pub(crate) fn is_mixed(&self) -> bool {
        !self.sequence.is_empty()
    }

    /// How often a request is in how long a sequence.
    pub(crate) fn share(&self, request: usize) -> Option<(u64, u64)> {
        let share = self.shares.get(request)?;
        Some((u64::from(*share), self.length()))
    }

    /// After how many arrivals the sequence begins again.
    pub(crate) fn length(&self) -> u64 {
        self.sequence.len().max(1) as u64
    }

    /// What the arrival with this number sends.
    #[inline]
    pub(crate) fn choice(&self, number: u64) -> Choice {
        if self.sequence.is_empty() {
            return Choice { request: 0, rank: number };
        }
        let place = self.place(number);
        let length = self.sequence.len() as u64;
        let Slot { request, before } = self.sequence[(place % length) as usize];
        let rank = place / length * u64::from(self.shares[request as usize]) + u64::from(before);
        Choice { request, rank }
    }

    /// Where in the sequence requests are that `is_wanted`, if they are so rare that it is of use to know.
    pub(crate) fn rare(&self, is_wanted: impl Fn(u32) -> bool) -> Option<Arc<[u32]>> {
        /// Those that are a smaller part are rare.
        const PART: u64 = 8;
        let shares = (0..).zip(&*self.shares).filter(|(request, _)| is_wanted(*request));
        let all: u64 = shares.map(|(_, share)| u64::from(*share)).sum();
        let places = || (0..).zip(&*self.sequence).filter(|(_, slot)| is_wanted(slot.request));
        (all > 0 && all * PART <= self.length()).then(|| places().map(|(place, _)| place).collect())
    }

    /// How many arrivals further a part of that of this number can first come to one of these places; none if there are none.
    pub(crate) fn next_of(&self, places: &[u32], number: u64) -> Option<u64> {
        let (round, length) = (number / self.parts, self.length());
        let from = round.saturating_add(1).saturating_mul(self.parts);
        let (cycle, within) = (from / length, from % length);
        let found = places.partition_point(|place| u64::from(*place) < within);
        let place = match places.get(found) {
            Some(place) => (cycle * length).saturating_add(u64::from(*place)),
            None => (cycle + 1).saturating_mul(length).saturating_add(u64::from(*places.first()?)),
        };
        Some((place / self.parts).saturating_sub(round).max(1))
    }

    /// The place in the sequence. The parts take turns, each time in another order: with each arrival in its own place, a
    /// part that has every second one would get only one of two requests.
    fn place(&self, number: u64) -> u64 {
        if self.is_in_order {
            return number;
        }
        let (round, part) = (number / self.parts, number % self.parts);
        let begin = number - part;
        // The last round has fewer.
        let left = self.total.map_or(0, |total| total.saturating_sub(begin));
        let size = if left == 0 { self.parts } else { self.parts.min(left) };
        begin + (part + scattered(round) % size) % size
    }
}

/// Looks like nothing in common with its neighbours.
fn scattered(number: u64) -> u64 {
    (number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> 32
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Each request's `n`-th place lies between where its share would have begun it and where it would have ended it.
fn sequence(shares: &[u32], sum: u64) -> Vec<Slot> {
    let release = |request: usize, nth: u32| u64::from(nth) * sum / u64::from(shares[request]);
    let deadline =
        |request: usize, nth: u32| ((u64::from(nth) + 1) * sum).div_ceil(u64::from(shares[request]));
    let mut waiting: BinaryHeap<_> =
        (0..shares.len()).map(|request| Reverse((0_u64, request, 0_u32))).collect();
    let mut ready = BinaryHeap::new();
    let mut sequence = Vec::with_capacity(sum as usize);
    for place in 0..sum {
        while let Some(&Reverse((at, request, nth))) = waiting.peek()
            && at <= place
        {
            waiting.pop();
            ready.push(Reverse((deadline(request, nth), request, nth)));
        }
        // Enough are released that one is always ready.
        let Some(Reverse((_, request, nth))) = ready.pop() else { break };
        sequence.push(Slot { request: request as u32, before: nth });
        if nth + 1 < shares[request] {
            waiting.push(Reverse((release(request, nth + 1), request, nth + 1)));
        }
    }
    sequence
}

#[cfg(test)]
mod tests {
    use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    fn counts(mix: &Mix, numbers: impl Iterator<Item = u64>) -> Vec<u64> {
        let mut counts = vec![0; mix.shares.len()];
        for number in numbers {
            counts[mix.choice(number).request as usize] += 1;
        }
        counts
    }

    #[test]
    fn four_requests_at_50_25_25_are_two_one_and_one() {
        let mix = Mix::new(&[50, 25, 25]).unwrap().over(Some(4), 1);
        assert_eq!(counts(&mix, 0..4), [2, 1, 1]);
        let order: Vec<_> = (0..8).map(|number| mix.choice(number).request).collect();
        assert_eq!(order, [0, 1, 0, 2, 0, 1, 0, 2]);
        let ranks: Vec<_> = (0..8).map(|number| mix.choice(number).rank).collect();
        assert_eq!(ranks, [0, 0, 1, 0, 2, 1, 3, 1]);
    }

    #[test]
    fn each_prefix_is_within_one_of_its_share() {
        let mut random = StdRng::seed_from_u64(1);
        for _ in 0..300 {
            let weights: Vec<u64> =
                (0..random.random_range(2..12)).map(|_| random.random_range(1..40)).collect();
            let mix = Mix::new(&weights).unwrap();
            let sum: u64 = weights.iter().sum();
            let mut seen = vec![0_u64; weights.len()];
            for number in 0..sum * 2 + 3 {
                let choice = mix.choice(number);
                assert_eq!(choice.rank, seen[choice.request as usize], "{weights:?} {number}");
                seen[choice.request as usize] += 1;
                for (count, weight) in seen.iter().zip(&weights) {
                    let share = (number + 1) * weight;
                    assert!((count * sum).abs_diff(share) < sum, "{weights:?} after {number}: {seen:?}");
                }
            }
        }
    }

    #[test]
    fn parts_cover_the_same_exactly_and_none_gets_one_request_alone() {
        let mut random = StdRng::seed_from_u64(2);
        for parts in [1, 2, 3, 4, 8, 64] {
            for weights in [&[1, 1][..], &[50, 25, 25], &[3, 1], &[1, 1, 1, 1], &[90, 9, 1]] {
                let total = random.random_range(1..5000);
                let whole = Mix::new(weights).unwrap().over(Some(total), 1);
                let shared = Mix::new(weights).unwrap().over(Some(total), parts);
                assert_eq!(
                    counts(&shared, 0..total),
                    counts(&whole, 0..total),
                    "{weights:?} {total}/{parts}"
                );
                let mut all: Vec<_> = (0..total).map(|number| shared.choice(number)).collect();
                all.sort_unstable_by_key(|choice| (choice.request, choice.rank));
                all.dedup();
                assert_eq!(all.len() as u64, total, "each rank once");
                let many = Mix::new(weights).unwrap().over(None, parts);
                for part in 0..parts {
                    let own = counts(&many, (0..4000).map(|own| own * parts + part));
                    assert!(
                        own.iter().all(|count| *count > 0),
                        "{weights:?}: part {part} of {parts}: {own:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_next_one_that_is_rare_is_found_without_a_walk() {
        for (weights, total) in
            [(&[200, 1][..], None), (&[97, 1, 1], Some(5000)), (&[40, 1, 7], Some(4999)), (&[9, 1], None)]
        {
            for parts in [1, 2, 3, 8] {
                let mix = Mix::new(weights).unwrap().over(total, parts);
                let Some(places) = mix.rare(|request| request == 1) else { panic!("{weights:?}") };
                for part in 0..parts {
                    let walked: Vec<u64> = (part..5000)
                        .step_by(parts as usize)
                        .filter(|number| mix.choice(*number).request == 1)
                        .collect();
                    let (mut jumped, mut number, mut looks) = (Vec::new(), part, 0);
                    while number < 5000 {
                        looks += 1;
                        if mix.choice(number).request == 1 {
                            jumped.push(number);
                        }
                        number += parts * mix.next_of(&places, number).unwrap();
                    }
                    assert_eq!(jumped, walked, "{weights:?} {part} of {parts}");
                    assert!(
                        looks <= 2 + 5000 / (weights[0] - parts.min(weights[0] - 1)),
                        "{weights:?}: {looks}"
                    );
                }
            }
        }
        let mix = Mix::new(&[MAX_SEQUENCE - 1, 1]).unwrap();
        let places = mix.rare(|request| request == 1).unwrap();
        assert_eq!(places.len(), 1);
        let first = mix.next_of(&places, 0).unwrap();
        assert_eq!((mix.choice(first).request, mix.next_of(&places, first)), (1, Some(MAX_SEQUENCE)));
        assert!(mix.next_of(&places, u64::MAX).is_some());
        assert_eq!(
            (mix.rare(|request| request == 0), mix.rare(|_| false)),
            (None, None),
            "they are no rare ones"
        );
        assert!(Mix::listed(&[0, 0, 0, 0, 0, 0, 0, 0, 1]).rare(|request| request == 1).is_some());
    }

    #[test]
    fn one_request_is_always_chosen_and_a_sequence_is_bounded() {
        let one = Mix::new(&[7]).unwrap();
        assert!(!one.is_mixed());
        assert_eq!(one.choice(41), Choice { request: 0, rank: 41 });
        assert_eq!(Mix::new(&[1_000_000_000, 3_000_000_000]).unwrap().sequence.len(), 4);
        assert!(Mix::new(&[MAX_SEQUENCE, 1]).is_none());
        assert!(Mix::new(&[u64::MAX, u64::MAX - 1]).is_none());
        assert!(Mix::new(&[1, 0]).is_none());
        let longest = Mix::new(&[MAX_SEQUENCE - 1, 1]).unwrap();
        assert_eq!(longest.sequence.len() as u64, MAX_SEQUENCE);
    }
}
