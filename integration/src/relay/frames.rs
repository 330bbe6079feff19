//! Two connections, and the frames from the server to the client.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use super::{Habit, SLOWNESS, read_more, reset};
use crate::{PATIENCE, ending::Ending};

const HEAD: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
/// `:status: 200` and `:status: 500` of the static table (RFC 7541 appendix A).
const OK: u8 = 0x88;
const FAILED: u8 = 0x8e;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;
const CONNECT_ERROR: u32 = 10;

pub(super) fn serve(
    mut client: TcpStream,
    server: SocketAddr,
    habit: Habit,
    ending: &Ending,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    client.set_read_timeout(Some(PATIENCE))?;
    let mut upstream = TcpStream::connect(server)?;
    upstream.set_nodelay(true)?;
    let mut first = Vec::new();
    while first.len() < 4 && read_more(&mut client, &mut first)? {}
    upstream.write_all(&first)?;
    let is_http2 = first.starts_with(b"PRI ");
    let pause = if habit == Habit::Slow { SLOWNESS } else { Duration::ZERO };
    let (from, to) = (client.try_clone()?, upstream.try_clone()?);
    let slowed = ending.clone();
    let uploading = thread::spawn(move || {
        copy(from, to, |_, _| {
            slowed.comes_within(pause);
        });
    });
    let habit = if is_http2 { habit } else { Habit::None };
    let mut rest = Vec::new();
    copy(upstream, client, |read, out| {
        ending.comes_within(pause);
        rest.extend_from_slice(read);
        if !is_http2 || habit == Habit::None {
            out.clear();
            out.append(&mut rest);
            return;
        }
        out.clear();
        while let Some(frame) = next_frame(&mut rest) {
            changed(frame, habit, out);
        }
    });
    drop(uploading.join());
    Ok(())
}

/// Until one end is closed or gone, which the other one then is, too. `change` is given what was read, in both places.
fn copy(mut from: TcpStream, mut to: TcpStream, mut change: impl FnMut(&[u8], &mut Vec<u8>)) {
    let mut buffer = [0; 16 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => {
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
            Ok(count) => {
                let mut out = buffer[..count].to_vec();
                change(&buffer[..count], &mut out);
                if to.write_all(&out).is_err() {
                    return reset(&from);
                }
            }
            Err(_) => return reset(&to),
        }
    }
}

fn next_frame(rest: &mut Vec<u8>) -> Option<Vec<u8>> {
    let head = rest.get(..HEAD)?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    (rest.len() >= HEAD + length).then(|| rest.drain(..HEAD + length).collect())
}

fn stream_of(frame: &[u8]) -> u32 {
    u32::from_be_bytes([frame[5], frame[6], frame[7], frame[8]])
}

fn changed(mut frame: Vec<u8>, habit: Habit, out: &mut Vec<u8>) {
    match (frame[3], habit) {
        (RST_STREAM, Habit::RenameResets) => {
            let is_internal = frame[HEAD..] == INTERNAL_ERROR.to_be_bytes();
            let code = if is_internal { CONNECT_ERROR } else { INTERNAL_ERROR };
            frame[HEAD..].copy_from_slice(&code.to_be_bytes());
        }
        (RST_STREAM, Habit::EndResets) => {
            frame.truncate(HEAD);
            frame[..5].copy_from_slice(&[0, 0, 0, DATA, END_STREAM]);
        }
        (DATA, Habit::RefuseStreams) if frame[4] & END_STREAM != 0 && stream_of(&frame) > 21 => {
            frame.truncate(HEAD);
            frame[..5].copy_from_slice(&[0, 0, 4, RST_STREAM, 0]);
            frame.extend_from_slice(&REFUSED_STREAM.to_be_bytes());
        }
        (HEADERS, Habit::ResetReplies) => {
            frame.truncate(HEAD);
            frame[..5].copy_from_slice(&[0, 0, 4, RST_STREAM, 0]);
            frame.extend_from_slice(&INTERNAL_ERROR.to_be_bytes());
        }
        (HEADERS, Habit::FailStreams) if stream_of(&frame) > 21 && frame[HEAD] == OK => frame[HEAD] = FAILED,
        (GOAWAY, Habit::DropGoaways) => return,
        _ => {}
    }
    out.append(&mut frame);
}
