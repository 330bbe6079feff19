//! Our client.

use http2::{Config, Connection, Event, Head, Key, PREFACE, Role};

use super::{
    Answers, WINDOW,
    answer::{Answer, FAILED},
    script::{Kind, SETTINGS_AND_ACK, Script},
    verdict,
};
use crate::Verdict;

fn request(conn: &mut Connection, kind: Kind) -> u32 {
    let key = conn.open(kind != Kind::Post, kind == Kind::Head, |block| {
        block.constant(b":method", kind.method().as_bytes());
        block.constant(b":scheme", b"http");
        block.constant(b":authority", b"a");
        block.constant(b":path", b"/");
    });
    key.expect("the server sets no limit").id
}

/// Takes in what came. False: the connection is over.
fn take_in(conn: &mut Connection, bytes: &[u8], answers: &mut Answers) -> bool {
    let (mut head, mut input) = (Head::new(), bytes);
    loop {
        let event = match conn.receive(&mut input, &mut head) {
            Ok(Some(event)) => event,
            Ok(None) => return true,
            Err(_) => return false,
        };
        let mut tell = |stream: Key, word: &dyn Fn(&mut Answer)| {
            word(answers.get_mut(&stream.id).expect("it was asked"));
        };
        match event {
            Event::Informational { stream } => {
                tell(stream, &|answer| answer.head(head.status(), head.regular()));
            }
            Event::Response { stream, end } => {
                tell(stream, &|answer| answer.head(head.status(), head.regular()));
                if end {
                    tell(stream, &Answer::end);
                }
            }
            Event::Data { stream, data, end } => {
                tell(stream, &|answer| answer.content(data));
                if end {
                    tell(stream, &Answer::end);
                }
            }
            Event::Trailers { stream } => tell(stream, &|answer| answer.trailers(head.regular())),
            Event::Reset { stream, code, by_peer: true, .. } => tell(stream, &|answer| answer.reset(code)),
            Event::Reset { stream, .. } => tell(stream, &|answer| answer.fail(FAILED)),
            Event::Unprocessed { stream } => tell(stream, &|answer| answer.fail("unprocessed")),
            Event::GoAway { .. } | Event::Settings | Event::Pong(_) => {}
            Event::Request { .. } | Event::Malformed { .. } => unreachable!("it is a client"),
        }
    }
}

pub(crate) fn ours(script: &Script) -> Verdict {
    let mut config = Config::new(Role::Client);
    config.settings.initial_window_size = WINDOW;
    let mut conn = Connection::new(&config);
    let mut answers = Answers::new();
    assert!(take_in(&mut conn, SETTINGS_AND_ACK, &mut answers));
    for kind in script.requests() {
        answers.insert(request(&mut conn, kind), Default::default());
    }
    take_in(&mut conn, &script.bytes, &mut answers);
    let output = conn.output.single().expect("heads are small");
    verdict(&answers, &output[PREFACE.len()..])
}
