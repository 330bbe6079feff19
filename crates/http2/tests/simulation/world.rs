//! A run: both ends and the link between them, in steps that the seed decides.

use http2::Role;

use crate::{STEPS, end::End, random::Random, sending::carry};

/// What happens in a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct World {
    pub(crate) seed: u64,
    /// The maximum number of bytes that the link carries per step.
    pub(crate) piece: usize,
    /// The largest initial window of a stream.
    pub(crate) window: usize,
    /// The longest content.
    pub(crate) content: usize,
    pub(crate) requests: u32,
    /// Each happens once in this many steps; 0 is never.
    pub(crate) resets: usize,
    pub(crate) settings: usize,
    pub(crate) drain: bool,
    pub(crate) loss: bool,
}

pub(crate) struct Outcome {
    pub(crate) client: End,
    pub(crate) server: End,
    pub(crate) lost: bool,
}

pub(crate) fn run(world: World) -> Outcome {
    let mut random = Random::new(world.seed);
    let mut client = End::new(Role::Client, &world, &mut random);
    let mut server = End::new(Role::Server, &world, &mut random);
    let drain_at = if world.drain { random.below(1500) } else { usize::MAX };
    let loss_at = if world.loss { random.below(4000) } else { usize::MAX };
    for step in 0..STEPS {
        let end = if random.one_in(2) { &mut client } else { &mut server };
        match random.below(6) {
            0 => {
                let piece = 1 + random.below(world.piece);
                carry(&mut client, &mut server, piece);
            }
            1 => {
                let piece = 1 + random.below(world.piece);
                carry(&mut server, &mut client, piece);
            }
            2 => end.send(&mut random),
            3 => end.release(&mut random),
            4 => end.change_mind(&world, &mut random),
            _ => {
                client.ask(&world, &mut random);
                client.read(&mut random);
                server.read(&mut random);
            }
        }
        client.check();
        server.check();
        if step == drain_at {
            server.conn.drain();
            // At once, so that what is on its way is disowned.
            if random.one_in(2) {
                server.conn.finish_drain();
            }
        }
        if step == loss_at {
            return after_loss(client, server, &world, &mut random);
        }
        let asked = client.opened == world.requests || client.conn.is_going_away();
        // A change of windows to nothing is always taken back.
        let settled = client.changes.is_multiple_of(2) && server.changes.is_multiple_of(2);
        if asked && settled && step > drain_at.wrapping_add(1) && client.is_idle() && server.is_idle() {
            return Outcome { client, server, lost: false };
        }
    }
    panic!("{world:?} is stuck: {:?} {:?}", client.exchanges, server.exchanges);
}

/// One of both ends is gone, with what was on the way: the other goes on until it notices.
fn after_loss(mut client: End, mut server: End, world: &World, random: &mut Random) -> Outcome {
    let left = if random.one_in(2) { &mut client } else { &mut server };
    for _ in 0..500 {
        match random.below(4) {
            0 => left.send(random),
            1 => left.release(random),
            2 => left.change_mind(world, random),
            _ => left.read(random),
        }
        left.check();
    }
    for end in [&mut client, &mut server] {
        let open: Vec<u32> = end.exchanges.keys().copied().collect();
        open.into_iter().for_each(|id| end.finished(id, "lost"));
    }
    Outcome { client, server, lost: true }
}
