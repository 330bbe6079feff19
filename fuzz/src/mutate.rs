//! Mutations: what changes an input into another one, by a seed.

use std::collections::HashSet;

use crate::{Target, feedback, random::Random};

/// No input is longer.
pub const LONGEST: usize = 8 << 10;

/// Maximum number of inputs kept.
const MOST_KEPT: usize = 4_000;

/// Inputs, and what has been met by all of them.
#[derive(Debug)]
pub struct Fuzzer {
    target: &'static Target,
    random: Random,
    inputs: Vec<Vec<u8>>,
    met: HashSet<u64>,
}

impl Fuzzer {
    /// Begins with a corpus, which is run once.
    #[must_use]
    pub fn new(target: &'static Target, seed: u64, corpus: Vec<Vec<u8>>) -> Self {
        Self { target, random: Random::new(seed), inputs: corpus, met: HashSet::new() }
    }

    /// The next input to run.
    pub fn next_input(&mut self) -> Vec<u8> {
        let random = &mut self.random;
        if self.inputs.is_empty() || random.one_in(500) {
            return (0..random.below(200)).map(|_| random.next() as u8).collect();
        }
        let place = random.below(self.inputs.len());
        let mut input = self.inputs[place].clone();
        for _ in 0..=random.below(4) {
            match self.target.frames_after {
                Some(start) if random.one_in(2) => change_frames(random, &mut input, start, &self.inputs),
                _ => change_bytes(random, &mut input, &self.inputs, self.target.words),
            }
        }
        input.truncate(LONGEST);
        input
    }

    /// Runs an input; whether it met something new, so that it is kept.
    pub fn run(&mut self, input: &[u8]) -> bool {
        let _ = feedback::take();
        (self.target.run)(input);
        let before = self.met.len();
        self.met.extend(feedback::take());
        let new = self.met.len() > before;
        if new {
            if self.inputs.len() == MOST_KEPT {
                let place = self.random.below(MOST_KEPT);
                self.inputs.swap_remove(place);
            }
            self.inputs.push(input.to_vec());
        }
        new
    }

    /// How many different things were met.
    #[must_use]
    pub fn met(&self) -> usize {
        self.met.len()
    }
}

/// A range within `len`.
fn range(random: &mut Random, len: usize) -> std::ops::Range<usize> {
    let start = random.below(len + 1);
    start..start + random.below((len - start).min(64) + 1)
}

fn change_bytes(random: &mut Random, input: &mut Vec<u8>, others: &[Vec<u8>], words: &[&[u8]]) {
    const BYTES: [u8; 12] = [0, 1, 0x0a, 0x0d, 0x20, 0x3f, 0x40, 0x7f, 0x80, 0x82, 0xfe, 0xff];
    let at = random.below(input.len() + 1);
    let span = range(random, input.len());
    match random.below(9) {
        0 => input.truncate(at),
        1 => drop(input.drain(span)),
        2 => {
            let copy = input[span].to_vec();
            input.splice(at..at, copy);
        }
        3 if !words.is_empty() => {
            let word = words[random.below(words.len())];
            input.splice(at..at, word.iter().copied());
        }
        4 => {
            let other = &others[random.below(others.len())];
            let part = range(random, other.len());
            input.splice(span, other[part].iter().copied());
        }
        5 => {
            let byte = random.pick(&BYTES);
            input.insert(at, byte);
        }
        kind if at < input.len() => {
            input[at] = match kind {
                6 => input[at] ^ 1 << random.below(8),
                7 => random.pick(&BYTES),
                _ => input[at].wrapping_add(random.pick(&[1, 0xff, 0x10, 0xf0])),
            };
        }
        _ => {}
    }
}

/// Cuts the part of an input that is frames into those.
fn frames(input: &[u8], start: usize) -> Vec<Vec<u8>> {
    let mut rest = input.get(start..).unwrap_or_default();
    let mut frames = Vec::new();
    while let Some(head) = http2::frame::FrameHead::read(rest) {
        let (frame, after) = rest.split_at((http2::frame::HEAD + head.len).min(rest.len()));
        frames.push(frame.to_vec());
        rest = after;
    }
    if !rest.is_empty() {
        frames.push(rest.to_vec());
    }
    frames
}

fn change_frames(random: &mut Random, input: &mut Vec<u8>, start: usize, others: &[Vec<u8>]) {
    let mut all = frames(input, start);
    if all.is_empty() {
        return;
    }
    let at = random.below(all.len());
    match random.below(8) {
        0 => drop(all.remove(at)),
        1 => {
            let to = random.below(all.len());
            all.swap(at, to);
        }
        2 => {
            let copies = 1 + random.below(4);
            let frame = all[at].clone();
            (0..copies).for_each(|_| all.insert(at, frame.clone()));
        }
        3 | 4 => {
            let other = frames(&others[random.below(others.len())], start);
            if !other.is_empty() {
                all.insert(at, other[random.below(other.len())].clone());
            }
        }
        kind => change_frame(random, &mut all[at], kind),
    }
    input.truncate(start);
    all.into_iter().for_each(|frame| input.extend(frame));
}

fn change_frame(random: &mut Random, frame: &mut Vec<u8>, kind: usize) {
    if frame.len() < http2::frame::HEAD {
        return;
    }
    match kind {
        // The stream, mostly one that there is.
        5 => frame[8] = random.pick(&[0, 1, 1, 3, 3, 5, 7, 9, 2, 255]),
        6 => frame[4] ^= 1 << random.below(8),
        _ => {
            // The payload, with a length that fits.
            let mut payload = frame.split_off(http2::frame::HEAD);
            change_bytes(random, &mut payload, &[Vec::new()], &[]);
            let len = payload.len() as u32;
            frame[..3].copy_from_slice(&len.to_be_bytes()[1..]);
            frame.extend(payload);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails on two words in a row after a certain byte, which chance alone would not find in time.
    fn planted(input: &[u8]) {
        let found = input.windows(2).filter(|pair| pair == b"ab").count();
        feedback::met((found.min(9), input.first() == Some(&7)));
        assert!(!(found >= 8 && input.first() == Some(&7)), "found");
    }

    const PLANTED: Target = Target { name: "planted", run: planted, words: &[b"ab"], frames_after: None };

    #[test]
    fn a_fault_that_needs_several_mutations_is_found() {
        static TARGET: Target = PLANTED;
        let mut fuzzer = Fuzzer::new(&TARGET, 1, vec![vec![0; 10]]);
        let found = (0..200_000).any(|_| {
            let input = fuzzer.next_input();
            input.first() == Some(&7) && input.windows(2).filter(|pair| pair == b"ab").count() >= 8 || {
                fuzzer.run(&input);
                false
            }
        });
        assert!(found && fuzzer.met() > 8);
    }

    #[test]
    fn the_same_seed_gives_the_same_inputs() {
        static TARGET: Target = PLANTED;
        let inputs = |seed| {
            let mut fuzzer = Fuzzer::new(&TARGET, seed, vec![vec![1, 2, 3], b"a longer one".to_vec()]);
            (0..100).map(|_| fuzzer.next_input()).collect::<Vec<_>>()
        };
        assert_eq!(inputs(5), inputs(5));
        assert_ne!(inputs(5), inputs(6));
    }

    #[test]
    fn inputs_are_split_at_frame_boundaries() {
        let input =
            [&[9, 9][..], &[0, 0, 1, 0, 0, 0, 0, 0, 1, 7], &[0, 0, 0, 4, 0, 0, 0, 0, 0], &[1, 2]].concat();
        assert_eq!(frames(&input, 2).iter().map(Vec::len).collect::<Vec<_>>(), [10, 9, 2]);
    }
}
