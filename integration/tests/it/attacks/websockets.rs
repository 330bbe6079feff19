//! WebSocket and gRPC: messages without end, and those that announce more than they bring.

use futures_util::{SinkExt as _, StreamExt as _};
use integration::client::{
    Http2, Protocol, Request, Socket, WebSocket, patiently, raw_frame, websocket_over,
};
use tokio::{io::AsyncWriteExt as _, sync::Notify};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use websocket::{opcode, write};

use super::{LITTLE, Scene};

tests!();

/// Sends until the socket is closed; the code that it is closed with. The next ping waits for the answer to the last:
/// the h2 crate gives up a connection on which many small frames wait to be read.
async fn flooded(socket: Socket, next: impl Fn(usize) -> WebSocket) -> CloseCode {
    let (mut sink, mut stream) = socket.split();
    let answered = Notify::new();
    let sending = async {
        for number in 0.. {
            let message = next(number);
            let is_answered = matches!(message, WebSocket::Ping(_));
            if sink.send(message).await.is_err() {
                break;
            }
            if is_answered {
                answered.notified().await;
            }
            tokio::task::yield_now().await;
        }
        std::future::pending::<()>().await;
    };
    let closed = async {
        loop {
            match stream.next().await {
                Some(Ok(WebSocket::Close(Some(frame)))) => break frame.code,
                Some(Ok(_)) => answered.notify_one(),
                other => panic!("no close frame but {other:?}"),
            }
        }
    };
    tokio::select! {
        code = patiently("a close", closed) => code,
        () = sending => unreachable!("sending waits for the close"),
    }
}

async fn fragments_without_end_are_closed_with_1009(protocol: Protocol) {
    let scene = Scene::start(&["--ws-max-message=16K"]).await;
    let socket = websocket_over(protocol, scene.server.http, "/ws").await;
    let code = flooded(socket, |number| raw_frame(number == 0, false, b"x")).await;
    assert_eq!(code, CloseCode::Size);
    scene.end(LITTLE).await;
}

async fn empty_fragments_without_end_are_closed_with_1008(protocol: Protocol) {
    let scene = Scene::start(&["--ws-message-timeout=500ms"]).await;
    let socket = websocket_over(protocol, scene.server.http, "/ws").await;
    let code = flooded(socket, |number| raw_frame(number == 0, false, b"")).await;
    assert_eq!(code, CloseCode::Policy);
    scene.end(LITTLE).await;
}

async fn pings_within_a_message_do_not_keep_it_alive(protocol: Protocol) {
    let scene = Scene::start(&["--ws-message-timeout=500ms"]).await;
    let socket = websocket_over(protocol, scene.server.http, "/ws").await;
    let ping = |number| if number == 0 { raw_frame(true, false, b"x") } else { WebSocket::Ping("?".into()) };
    assert_eq!(flooded(socket, ping).await, CloseCode::Policy);
    scene.end(LITTLE).await;
}

async fn announced_frames_that_do_not_arrive_take_no_memory(protocol: Protocol) {
    const SOCKETS: usize = 100;
    let scene = Scene::start(&[]).await;
    let mut held = Vec::new();
    for _ in 0..SOCKETS {
        let mut socket = websocket_over(protocol, scene.server.http, "/ws").await;
        // 16 MiB, masked, of which a byte comes.
        let mut announced = Vec::new();
        write::head(&mut announced, opcode::BINARY, true, 16 << 20, Some([1, 2, 3, 4]));
        announced.push(5);
        socket.get_mut().write_all(&announced).await.unwrap();
        held.push(socket);
    }
    scene.end(LITTLE).await;
}

async fn unread_echoes_end_their_connection(protocol: Protocol) {
    let scene = Scene::start(&["--stall-timeout=1s"]).await;
    let mut socket = websocket_over(protocol, scene.server.http, "/ws").await;
    let sending = async {
        let message = WebSocket::binary(vec![7; 100_000]);
        while socket.send(message.clone()).await.is_ok() {}
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = scene.only_the_bystander_is_left() => {}
        () = sending => unreachable!("sending waits for the end"),
    }
    scene.end(LITTLE).await;
}

/// All of these messages together are twice the memory that is allowed.
async fn the_memory_of_large_messages_is_released(protocol: Protocol) {
    const SOCKETS: usize = 64;
    let scene = Scene::start(&[]).await;
    let message = WebSocket::binary(vec![7; 2 << 20]);
    let mut held = Vec::new();
    for _ in 0..SOCKETS {
        let mut socket = websocket_over(protocol, scene.server.http, "/ws").await;
        let sent = message.clone();
        let (mut sink, mut stream) = socket.split();
        let (sent, echo) = tokio::join!(sink.send(sent), patiently("an echo", stream.next()));
        sent.unwrap();
        assert!(echo.unwrap().unwrap() == message);
        socket = sink.reunite(stream).expect("two halves of one");
        held.push(socket);
    }
    scene.end(4 * LITTLE).await;
}

async fn grpc_messages_that_announce_too_much_are_refused() {
    const RESOURCE_EXHAUSTED: &str = "8";
    const INTERNAL: &str = "13";
    let scene = Scene::start(&[]).await;
    for address in [scene.server.http, scene.server.grpc] {
        // 4 GiB, of which some comes; and a message in a coding that was not negotiated.
        for (prefix, status) in
            [([0, 0xff, 0xff, 0xff, 0xff], RESOURCE_EXHAUSTED), ([1, 0, 0, 0, 10], INTERNAL)]
        {
            for target in ["/echo.EchoService/Echo", "/echo.EchoService/StreamEcho"] {
                let mut client = Http2::connect(address).await;
                let request = Request::new("POST", target)
                    .field("content-type", "application/grpc")
                    .field("te", "trailers");
                let (response, mut body) = client.open(&request, false).await.unwrap();
                body.send_data([&prefix[..], &[0; 1 << 20]].concat().into(), true).unwrap();
                let reply = patiently("a reply", Http2::read(response)).await.unwrap();
                let fields = reply.trailers.iter().chain(&reply.fields);
                let found =
                    fields.filter(|(name, _)| name == "grpc-status").map(|(_, value)| &value[..]).next();
                assert_eq!(found, Some(status), "{target}: {reply:?}");
            }
        }
    }
    scene.end(LITTLE).await;
}
