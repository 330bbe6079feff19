//! Requests without end, and shapes that two readers may understand in two ways: a refusal, a close, and never two
//! answers.

use integration::{
    cases::{Cases, block_on},
    client::patiently,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{LITTLE, Scene};

tests!();

fn rows() -> Cases {
    let mut cases = Cases::new();
    for (name, first, again, status) in ENDLESS {
        cases = cases.named(format!("attacks::http1::{name}"), move || {
            block_on(async {
                let scene = Scene::start(&[]).await;
                let replies = answered(&scene, first, again).await;
                assert_eq!(statuses(&replies), [*status], "{replies}");
                scene.end(LITTLE).await;
            });
        });
    }
    cases
}

/// What is sent first, what then without end, and the status that ends it.
const ENDLESS: &[(&str, &str, &str, u16)] = &[
    ("a_target_without_end", "GET /", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 414),
    ("a_method_without_end", "", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 414),
    ("a_field_without_end", "GET / HTTP/1.1\r\nHost: x\r\nX: ", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 431),
    ("fields_without_end", "GET / HTTP/1.1\r\nHost: x\r\n", "A: b\r\n", 431),
    (
        "a_chunk_extension_without_end",
        "POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;",
        "a=aaaaaaaaaaaaaaaaaaaaaaaaaaaaa;",
        400,
    ),
    (
        "a_chunk_size_without_end",
        "POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        "00000000000000000000000000000000",
        400,
    ),
    (
        "trailers_without_end",
        "POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        "A: b\r\n",
        400,
    ),
];

/// An endpoint that reads 64 KiB and then no more is sent chunks of one byte until no more are accepted.
async fn one_byte_chunks_take_memory_for_their_content_only() {
    const CLIENTS: usize = 8;
    let scene = Scene::start(&[]).await;
    let mut held = Vec::new();
    for _ in 0..CLIENTS {
        let mut stream = TcpStream::connect(scene.server.http).await.expect("connected");
        let head = "POST /delay/0/60000 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).await.expect("a head is taken");
        held.push(stream);
    }
    let chunks = "1\r\nx\r\n".repeat(100_000);
    let blocked = |stream: &TcpStream| loop {
        match stream.try_write(chunks.as_bytes()) {
            Ok(_) => {}
            Err(error) => break assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
    };
    // What the sockets take goes to the server, which then stops: three times in a row nothing more is taken.
    for _ in 0..3 {
        held.iter().for_each(blocked);
        let mut bystander = TcpStream::connect(scene.server.http).await.expect("connected");
        let request = b"GET /delay/100 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        bystander.write_all(request).await.expect("a request is taken");
        let mut reply = String::new();
        patiently("a reply", bystander.read_to_string(&mut reply)).await.expect("a reply");
        assert_eq!(statuses(&reply), [200]);
    }
    // A quarter of a megabyte of each body, and as much that was read and waits for its turn.
    scene.end(2 * LITTLE).await;
}

/// Heads (RFC 9112 sections 2.2, 5.1, 5.2, 6.1 and 6.3).
const SHAPES: &[&str] = &[
    "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
    "Content-Length: 4\r\nContent-Length: 5\r\n",
    "Content-Length: 4, 5\r\n",
    "Content-Length: +4\r\n",
    "Content-Length: -4\r\n",
    "Content-Length: 0x4\r\n",
    "Content-Length: 4 4\r\n",
    "Content-Length: \r\n",
    "Content-Length: 99999999999999999999\r\n",
    "Transfer-Encoding: chunked, identity\r\n",
    "Transfer-Encoding: identity, chunked\r\n",
    "Transfer-Encoding: xchunked\r\n",
    "Transfer-Encoding: chunked\u{b}\r\n",
    "Transfer-Encoding: \"chunked\"\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding : chunked\r\n",
    "Transfer-Encoding\t: chunked\r\n",
    " Transfer-Encoding: chunked\r\n",
    "X: y\r\n Transfer-Encoding: chunked\r\n",
    "X: y\nTransfer-Encoding: chunked\r\n",
    "X: y\rTransfer-Encoding: chunked\r\n",
    "Content-Length : 4\r\n",
    "Content-Length\0: 4\r\n",
    "X: y\0z\r\n",
    "X\0: y\r\n",
    "X y: z\r\n",
    ": z\r\n",
    "no colon\r\n",
    "Host: y\r\n",
];

async fn smuggling_heads_are_refused_and_the_rest_is_not_answered() {
    let scene = Scene::start(&[]).await;
    for shape in SHAPES {
        let request = format!("POST /upload HTTP/1.1\r\nHost: x\r\n{shape}\r\n0\r\n\r\n");
        assert_refused(&scene, &request).await;
    }
    for head in [
        "GET /upload HTTP/1.1\nHost: x\n\n",
        "GET /upload HTTP/1.1\r\nHost: x\n\r\n",
        "GET /upload HTTP/1.1\rHost: x\r\r",
        "GET\t/upload HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /upload\0 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /up load HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /upload HTTP/1.1 \r\nHost: x\r\n\r\n",
        "GET /upload HTTP/01.1\r\nHost: x\r\n\r\n",
        "POST /upload HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        assert_refused(&scene, head).await;
    }
    scene.end(LITTLE).await;
}

async fn smuggling_bodies_are_refused_and_the_rest_is_not_answered() {
    let scene = Scene::start(&[]).await;
    for body in [
        "0x4\r\nabcd\r\n0\r\n\r\n",
        "+4\r\nabcd\r\n0\r\n\r\n",
        "-4\r\nabcd\r\n0\r\n\r\n",
        " 4\r\nabcd\r\n0\r\n\r\n",
        "4 \r\nabcd\r\n0\r\n\r\n",
        "4\nabcd\r\n0\r\n\r\n",
        "4\r\nabcd\n0\r\n\r\n",
        "4\r\nabcdef\r\n0\r\n\r\n",
        "4;a\nb\r\nabcd\r\n0\r\n\r\n",
        "4;a\rb\r\nabcd\r\n0\r\n\r\n",
        "4;\0\r\nabcd\r\n0\r\n\r\n",
        "\r\n4\r\nabcd\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nabcd\r\n0\r\n\r\n",
        "10000000000000004\r\nabcd\r\n0\r\n\r\n",
        "0\r\nContent-Length: 5\r\n\r\n",
        "0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "0\r\nX : y\r\n\r\n",
        "0\r\nX: y\n\n",
    ] {
        let head = "POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_refused(&scene, &format!("{head}{body}")).await;
    }
    scene.end(LITTLE).await;
}

/// The request, and one behind it that must not be found.
async fn assert_refused(scene: &Scene, request: &str) {
    let replies = answered(scene, &format!("{request}GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"), "").await;
    let statuses = statuses(&replies);
    assert!(matches!(statuses[..], [400 | 501 | 505]), "{request:?}: {statuses:?}");
    assert!(replies.to_ascii_lowercase().contains("connection: close"), "{request:?}");
    assert!(!replies.contains("smuggled"), "{request:?}: {replies}");
}

/// All that the server says to this until it closes; `again` is sent until it has said something.
async fn answered(scene: &Scene, first: &str, again: &str) -> String {
    let (mut reader, mut writer) =
        TcpStream::connect(scene.server.http).await.expect("connected").into_split();
    writer.write_all(first.as_bytes()).await.expect("the first bytes are taken");
    let again = again.repeat(64);
    let writing = async {
        while !again.is_empty() && writer.write_all(again.as_bytes()).await.is_ok() {
            tokio::task::yield_now().await;
        }
        // A server that has refused it may take no more of it.
        std::future::pending::<()>().await;
    };
    let mut replies = Vec::new();
    tokio::select! {
        read = reader.read_buf(&mut replies) => drop(read),
        () = writing => unreachable!("writing waits for the reader"),
    }
    patiently("the end", async { while matches!(reader.read_buf(&mut replies).await, Ok(1..)) {} }).await;
    String::from_utf8(replies).expect("replies are text")
}

fn statuses(replies: &str) -> Vec<u16> {
    replies
        .match_indices("HTTP/1.1 ")
        .filter_map(|(at, version)| replies[at + version.len()..].get(..3)?.parse().ok())
        .collect()
}
