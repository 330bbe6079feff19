//! A client and a server joined by a link in memory, in steps that a seed decides: which of them acts next, how
//! many bytes the link carries, which end cancels. Whatever happens, every stream ends once at each end, its
//! bytes are what was sent, the output is bounded, windows come back and nothing is left over.

mod end;
#[path = "../../src/random.rs"]
mod random;
mod sending;
mod world;

use world::{Outcome, World, run};

/// An end sends content only while less than this waits in its output, and reads while less than four times that.
const OUTPUT: usize = 4096;
/// No output is ever longer.
const MOST_OUTPUT: usize = 64 << 10;
/// A run that takes longer is stuck.
const STEPS: usize = 400_000;

/// What holds at the end of every run.
fn judge(world: World) -> Outcome {
    let outcome = run(world);
    let Outcome { client, server, lost } = &outcome;
    for end in [client, server] {
        let ended: Vec<u32> = end.ended.keys().copied().collect();
        assert!(ended.iter().eq(&end.seen), "{world:?}: every stream ends");
        assert!(*lost || end.conn.open_streams() == 0, "{world:?}: nothing is left over");
        // All but what is less than an update is worth has come back.
        let missing = end.spent - end.given.min(end.spent);
        assert!(*lost || missing <= 65_535 / 2, "{world:?}: {:?} lost {missing} bytes of window", end.role);
        assert!(end.given <= end.spent, "{world:?}: no more than was taken");
    }
    for (id, how) in &client.ended {
        assert!(*how != "unprocessed" || !server.seen.contains(id), "{world:?}: {id} was processed");
        let calm = world.resets == 0 && !world.drain && !lost;
        let finished = server.ended.get(id) == Some(&"finished early");
        assert!(!calm || *how == "well" || finished, "{world:?}: {id} ended {how}");
    }
    assert!(server.seen.is_subset(&client.seen));
    outcome
}

const CALM: World = World {
    seed: 0,
    piece: 100,
    window: 100,
    content: 2000,
    requests: 30,
    resets: 0,
    settings: 0,
    drain: false,
    loss: false,
};

#[test]
fn every_stream_completes_at_any_split_of_the_bytes() {
    for piece in [1, 2, 3, 5, 8, 9, 10, 17, 100, 1000, 20_000] {
        let content = if piece < 10 { 300 } else { 2000 };
        for seed in 0..3 {
            let Outcome { client, .. } = judge(World { seed, piece, content, ..CALM });
            assert_eq!(client.ended.len(), 30);
        }
    }
}

#[test]
fn windows_that_change_during_the_run_lose_nothing() {
    for seed in 100..130 {
        judge(World { seed, settings: 100, ..CALM });
    }
    for seed in 130..140 {
        judge(World { seed, settings: 100, window: 5, content: 100, piece: 30, ..CALM });
    }
}

#[test]
fn streams_share_the_connection_window_without_deadlock() {
    let large = World { window: 70_000, content: 60_000, piece: 30_000, ..CALM };
    for seed in 200..206 {
        judge(World { seed, ..large });
        judge(World { seed, settings: 200, resets: 200, ..large });
    }
}

#[test]
fn a_reset_stream_ends_exactly_once_at_both_ends() {
    let mut resets = 0;
    for seed in 300..340 {
        let Outcome { client, server, .. } =
            judge(World { seed, resets: 10, requests: 60, settings: 300, ..CALM });
        resets +=
            client.ended.values().chain(server.ended.values()).filter(|how| **how == "reset here").count();
    }
    assert!(resets > 200, "only {resets}");
}

#[test]
fn a_drain_at_any_time_processes_no_stream_reported_unprocessed() {
    let (mut unprocessed, mut well) = (0, 0);
    for seed in 400..460 {
        let world =
            World { seed, drain: true, requests: 100, piece: 30, resets: (seed % 2) as usize * 50, ..CALM };
        let Outcome { client, .. } = judge(world);
        unprocessed += client.ended.values().filter(|how| **how == "unprocessed").count();
        well += client.ended.values().filter(|how| **how == "well").count();
    }
    assert!(unprocessed > 0 && well > 100, "{unprocessed} unprocessed, {well} well");
}

#[test]
fn losing_one_end_at_any_time_leaves_the_other_bounded() {
    let mut lost = 0;
    for seed in 500..560_u64 {
        let drain = seed.is_multiple_of(3);
        let Outcome { client, .. } =
            judge(World { seed, loss: true, drain, resets: 40, requests: 60, ..CALM });
        lost += client.ended.values().filter(|how| **how == "lost").count();
    }
    assert!(lost > 100, "only {lost}");
}
