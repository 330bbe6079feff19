//! The reverse: loads that look like attacks at first sight and are none.

use futures_util::future::join_all;
use integration::{
    cases::Cases,
    client::{Http2, Request, patiently},
};

use super::{LITTLE, Scene};

pub(crate) fn tests() -> Cases {
    Cases::new().test_async(a_hundred_busy_streams_of_which_most_are_cancelled_are_served)
}

/// Four of five streams are reset, many more than the limit of resets in all.
async fn a_hundred_busy_streams_of_which_most_are_cancelled_are_served() {
    const ROUNDS: usize = 150;
    const STREAMS: usize = 100;
    let scene = Scene::start(&[]).await;
    let mut client = Http2::connect(scene.server.http).await;
    for round in 0..ROUNDS {
        let mut kept = Vec::new();
        for number in 0..STREAMS {
            let cancelled = number % 5 != 0;
            let target = if cancelled { "/delay/60000" } else { "/bin/1000" };
            let (response, _) = client.open(&Request::get(target), true).await.unwrap();
            if !cancelled {
                kept.push(Http2::read(response));
            }
        }
        for reply in patiently("replies", join_all(kept)).await {
            let reply = reply.unwrap_or_else(|error| panic!("round {round}: {error:#}"));
            assert_eq!((reply.status, reply.body.len()), (200, 1000));
        }
    }
    assert!(!client.is_refused().await);
    scene.end(2 * LITTLE).await;
}
