//! How often WebSockets that can't be opened are tried again, and what reports say of how they were opened.

use std::{
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use loadgen::{Summary, report};
use serde_json::Value;

use super::{over_http2, serve_sockets};
use crate::peer::{read_request, run, serve};

fn json(summary: &Summary) -> Value {
    let mut out = Vec::new();
    report::json::write(summary.into(), &mut out).unwrap();
    serde_json::from_slice(&out).unwrap()
}

fn text(summary: &Summary) -> String {
    let mut out = Vec::new();
    report::text::write(summary.into(), report::text::Style::Plain, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The maximum number of handshakes that this number of WebSockets begin where all are refused: a row of pauses that double is over in a second,
/// then there is one each second, and one for each of two messages.
fn most_handshakes(sockets: u64, summary: &Summary) -> u64 {
    sockets * (12 + summary.elapsed.as_secs()) + 2
}

#[test]
fn handshakes_that_are_refused_are_tried_again_ever_more_rarely_and_counted() {
    let peer = serve(|_, mut stream| {
        let _ = read_request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    });
    let summary = run(&format!("-n 2 -r 1 -c 10 ws://{}", peer.address));
    let connections = &summary.records.connections;
    assert!(connections.failed >= 20 && connections.opened == 0, "{connections:?}");
    let most = most_handshakes(10, &summary);
    assert!(peer.connections() as u64 <= most, "{} of at most {most}", peer.connections());
    let report = json(&summary);
    let [attempts, failed] = ["attempts", "failed_attempts"].map(|key| &report["connections"][key]);
    assert_eq!((attempts, failed), (&connections.attempts().into(), &connections.failed.into()));
    let why = report["connections"]["failure"].as_str().unwrap();
    assert!(why.contains("503"), "{why}");
    let handshakes = report["websocket"]["handshakes"].as_u64().unwrap();
    assert!((20..=most).contains(&handshakes), "{handshakes} of at most {most}");
    assert_eq!(report["websocket"]["opened"], 0);
    assert!(report["websocket"]["opened_per_second"].is_null());
    let text = text(&summary);
    assert!(text.contains(&format!("WebSockets opened       0 of {handshakes} handshakes\n")), "{text}");
    let failed =
        format!("Failed to open          {} of {} attempts (", connections.failed, connections.attempts());
    assert!(text.contains(&failed), "{text}");
}

#[test]
fn handshakes_on_streams_that_are_refused_are_tried_again_ever_more_rarely() {
    let seen = Arc::new(AtomicUsize::new(0));
    let peer = over_http2::refuse_all(Arc::clone(&seen));
    let summary = run(&format!("-n 2 -r 1 -c 2 -m 5 --http2 ws://{}", peer.address));
    let most = most_handshakes(10, &summary);
    let seen = seen.load(SeqCst) as u64;
    assert!((20..=most).contains(&seen), "{seen} of at most {most}");
    let sockets = summary.records.sockets.as_deref().unwrap();
    assert!((seen..=most).contains(&sockets.handshakes), "{} of at most {most}", sockets.handshakes);
    assert_eq!(sockets.opened.len(), 0);
}

#[test]
fn reports_say_how_fast_websockets_were_opened_and_how_long_handshakes_took() {
    let peer = serve_sockets(|_, mut ws| ws.echo());
    for args in ["-c 4 --workers 2", "-c 1 --workers 1"] {
        let report = json(&run(&format!("-n 8 {args} ws://{}", peer.address)));
        let sockets = &report["websocket"];
        let several = args.starts_with("-c 4");
        let count = if several { 4 } else { 1 };
        assert_eq!((&sockets["handshakes"], &sockets["opened"]), (&count.into(), &count.into()));
        assert!(sockets["handshake_time_us"]["max"].is_f64(), "{sockets}");
        assert_eq!(sockets["opened_per_second"].is_f64(), several, "{sockets}");
    }
    let peer = over_http2::echo_all();
    let summary = run(&format!("-n 8 -c 2 -m 3 --http2 ws://{}", peer.address));
    let sockets = summary.records.sockets.as_deref().unwrap();
    assert_eq!((sockets.handshakes, sockets.opened.len()), (6, 6));
    let opening = sockets.opening.unwrap();
    assert_eq!(opening.count, 6);
    let rate = 6e9 / (opening.done - opening.began) as f64;
    assert_eq!(sockets.first_opened().map(|(_, first)| first), Some(rate));
    let text = text(&summary);
    assert!(text.contains("WebSockets opened       6, "), "{text}");
    assert!(text.contains("/s, handshake p50 "), "{text}");
}
