//! Responses of a stream are due by the clock, on a clock that the test moves.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use contract::test::{Plan, TestRequest};
use grpc::message::PREFIX;
use prost::Message as _;
use tokio::time::Instant;

use super::*;
use crate::{
    budget::Budget,
    ledger::Aggregator,
    message::{
        reply::{Body, Part},
        timetable::parts_when_late,
        upload::Inbox,
    },
};

const PLAN: Plan = Plan {
    count: Some(5),
    size: 0,
    interval_ms: 100,
    delay_ms: 0,
    never: false,
    status: None,
    headers: Vec::new(),
    trailers: Vec::new(),
};

fn framed(request: &TestRequest) -> Vec<u8> {
    let mut framed = vec![0; PREFIX];
    framed.extend(request.encode_to_vec());
    let length = framed.len() - PREFIX;
    grpc::message::set_prefix(&mut framed, length, false);
    framed
}

/// What calls see of a server that takes messages of at most `most` bytes.
pub(super) fn context(most: usize, budget: &Rc<Budget>) -> Rc<ServerContext> {
    let config = Config::from_args(&["--workers=1", &format!("--grpc-max-message={most}")]).unwrap();
    let aggregator = Arc::new(Aggregator::new("test", 1).0);
    ServerContext::new(Arc::new(config), Shutdown::new(), "test", Rc::clone(budget), aggregator)
}

/// The responses of a call whose request is pushed into the inbox.
async fn call(method: &str, inbox: &Rc<Inbox>) -> impl FnMut(&mut Context<'_>) -> Poll<Option<Bytes>> {
    let context = context(1 << 20, &Budget::of(1 << 30));
    let messages = Messages::new(&context, Upload::new(Some(inbox)), false);
    let deadline = Deadline::default();
    let call = Call { messages, accepts_gzip: false, deadline, context: Rc::clone(&context) };
    let answer = test_service::call_method(call, method.as_bytes());
    let Some(Answer::Waiting(reply)) = answer else { panic!("there is such a method") };
    let Body::Stream(mut stream) = reply.await.body else { panic!("a stream") };
    move |cx| {
        context.turn.begin();
        match ready!(stream.poll_next(cx)) {
            Some(Part::Data(data)) => Poll::Ready(Some(data)),
            _ => Poll::Ready(None),
        }
    }
}

/// The same, with how many messages came together.
fn counted(parts: Vec<(u128, Bytes)>) -> Vec<(u128, usize)> {
    let count = |mut data: Bytes| {
        let mut count = 0;
        while !data.is_empty() {
            data.advance(1);
            let length = data.get_u32() as usize;
            data.advance(length);
            count += 1;
        }
        count
    };
    parts.into_iter().map(|(at, data)| (at, count(data))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_late_response_does_not_delay_those_after_it() {
    let inbox = Inbox::new(&Budget::of(1 << 30));
    inbox.push(&framed(&TestRequest { plan: Some(PLAN), ..TestRequest::default() }));
    inbox.end(Ok(()));
    let responses = call("ServerStream", &inbox).await;
    let parts = parts_when_late(responses, Duration::from_millis(250)).await;
    assert_eq!(counted(parts), [(0, 1), (100, 1), (350, 2), (400, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_waited_for_restarts_the_timetable() {
    let start = Instant::now();
    let inbox = Inbox::new(&Budget::of(1 << 30));
    let plan = Plan { count: Some(2), ..PLAN };
    inbox.push(&framed(&TestRequest { plan: Some(plan), ..TestRequest::default() }));
    let mut responses = call("BidiStream", &inbox).await;
    let mut times = Vec::new();
    for item in 0..4 {
        if item == 2 {
            let more = tokio::time::timeout(Duration::from_secs(1), std::future::poll_fn(&mut responses));
            assert!(more.await.is_err(), "nothing is sent before the next request");
            inbox.push(&framed(&TestRequest::default()));
        }
        assert!(std::future::poll_fn(&mut responses).await.is_some());
        times.push(start.elapsed().as_millis());
    }
    assert_eq!(times, [0, 100, 1100, 1200]);
}
