//! A server's bytes, after its preface.

use http2::{
    Code,
    frame::{flag, kind},
};

use crate::{
    random::Random,
    script::{self, END, WHOLE, field, put},
};

/// Empty SETTINGS, and the acknowledgement of the client's.
pub(crate) const SETTINGS_AND_ACK: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0];

/// Status 200.
pub(crate) const OK: &[u8] = &[0x88];

/// What a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Get,
    Head,
    /// With content that never comes to its end.
    Post,
}

impl Kind {
    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
        }
    }
}

/// How far a response is.
#[derive(Clone, Copy)]
enum Stage {
    Waiting,
    /// Content follows, of this many bytes if that was announced.
    Content(Option<usize>),
    Done,
}

struct Stream {
    id: u32,
    kind: Kind,
    stage: Stage,
    /// For what is odd, not for what is legal.
    is_spare: bool,
}

pub(crate) struct Script {
    pub(crate) random: Random,
    pub(crate) bytes: Vec<u8>,
    streams: Vec<Stream>,
}

impl script::Script for Script {
    const HEAD: &'static [u8] = OK;

    fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    fn fresh(&mut self) -> u32 {
        self.spare(Kind::Get)
    }

    fn idle(&mut self) -> u32 {
        self.streams.len() as u32 * 2 + 1
    }
}

impl Script {
    /// Up to four requests that are answered, and some among them that are spare, two of each kind.
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let kinds = [Kind::Get, Kind::Head, Kind::Post];
        let mut streams: Vec<_> = kinds.repeat(2).into_iter().map(|kind| (kind, true)).collect();
        for _ in 0..random.below(5) {
            let place = random.below(streams.len() + 1);
            streams.insert(place, (random.pick(&[Kind::Get, Kind::Get, Kind::Head, Kind::Post]), false));
        }
        let streams = (1..).step_by(2).zip(streams).map(|(id, (kind, is_spare))| Stream {
            id,
            kind,
            stage: Stage::Waiting,
            is_spare,
        });
        Self { random, bytes: Vec::new(), streams: streams.collect() }
    }

    /// In the order of their streams, from 1 on.
    pub(crate) fn requests(&self) -> impl Iterator<Item = Kind> {
        self.streams.iter().map(|stream| stream.kind)
    }

    /// A stream of this kind that has not been answered, and that nothing legal comes on.
    pub(crate) fn spare(&mut self, kind: Kind) -> u32 {
        let spare = self.streams.iter_mut().find(|stream| stream.is_spare && stream.kind == kind);
        let stream = spare.expect("there are two");
        stream.is_spare = false;
        stream.stage = Stage::Done;
        stream.id
    }

    fn put(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        put(&mut self.bytes, kind, flags, stream, payload);
    }

    /// One thing that every client must take.
    pub(crate) fn legal(&mut self) {
        let place = self.random.below(self.streams.len());
        let id = self.streams[place].id;
        match self.random.below(14) {
            0 => self.put(kind::PING, 0, 0, b"12345678"),
            1 => self.put(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 9, 9]),
            2 => self.put(kind::WINDOW_UPDATE, 0, id, &[0, 0, 9, 9]),
            3 => self.put(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0x10, 0, 0, 3, 0, 0, 0, 9]),
            4 => self.put(200, 0xff, 7, b"unknown"),
            5 => self.put(kind::PRIORITY, 0, id, &[0, 0, 0, 0, 9]),
            _ => {
                let at = (0..self.streams.len()).map(|more| (place + more) % self.streams.len());
                let open = |stream: &Stream| !stream.is_spare && !matches!(stream.stage, Stage::Done);
                if let Some(place) = at.into_iter().find(|place| open(&self.streams[*place])) {
                    self.go_on(place);
                }
            }
        }
    }

    /// Goes on with a response.
    fn go_on(&mut self, place: usize) {
        let Stream { id, stage, .. } = self.streams[place];
        let chance = self.random.below(12);
        let after = match stage {
            _ if chance == 0 => {
                let code = self.random.pick(&[Code::CANCEL, Code::REFUSED_STREAM, Code::INTERNAL_ERROR]);
                self.put(kind::RST_STREAM, 0, id, &code.0.to_be_bytes());
                Stage::Done
            }
            Stage::Waiting if chance < 4 => {
                let status = self.random.pick(&[&b"100"[..], b"103", b"199"]);
                let block = [field(b":status", status), field(b"i", b"j")].concat();
                self.put(kind::HEADERS, flag::END_HEADERS, id, &block);
                stage
            }
            Stage::Waiting => self.head(place),
            Stage::Content(left) => self.content(id, left),
            Stage::Done => stage,
        };
        self.streams[place].stage = after;
    }

    /// A final head.
    fn head(&mut self, place: usize) -> Stage {
        let Stream { id, kind, .. } = self.streams[place];
        // 200, 404 and 500 by index; 204 and 304 have no content.
        let status = self.random.pick(&[0x88, 0x88, 0x8d, 0x8e, 0x89, 0x8b]);
        let contentless = kind == Kind::Head || matches!(status, 0x89 | 0x8b);
        let end = contentless || self.random.one_in(4);
        let length = self.random.below(20);
        let mut block = vec![status];
        let told = self.random.one_in(2) && status != 0x89;
        if told {
            let length = if end && !contentless { 0 } else { length };
            block.extend(field(b"content-length", length.to_string().as_bytes()));
        }
        let ends = if end { END } else { 0 };
        match self.random.below(4) {
            0 => {
                let padded = [&[2, 0, 0, 0, 0, 9][..], &block, &[0; 2]].concat();
                let flags = ends | flag::END_HEADERS | flag::PADDED | flag::PRIORITY;
                self.put(kind::HEADERS, flags, id, &padded);
            }
            1 => {
                self.put(kind::HEADERS, ends, id, &block);
                self.put(kind::CONTINUATION, 0, id, &field(b"a", b"b"));
                self.put(kind::CONTINUATION, flag::END_HEADERS, id, b"");
            }
            _ => self.put(kind::HEADERS, ends | flag::END_HEADERS, id, &block),
        }
        if end { Stage::Done } else { Stage::Content(told.then_some(length)) }
    }

    /// Content or trailers.
    fn content(&mut self, id: u32, left: Option<usize>) -> Stage {
        let content = &b"some of the content."[..left.unwrap_or(20)];
        let part = self.random.below(content.len() + 1);
        let last = left.is_none_or(|left| left == part);
        match self.random.below(4) {
            0 => self.put(kind::DATA, flag::PADDED, id, &[&[3], &content[..part], &[0; 3]].concat()),
            1 if last => {
                self.put(kind::DATA, END, id, &content[..part]);
                return Stage::Done;
            }
            2 if last => {
                self.put(kind::DATA, 0, id, &content[..part]);
                self.put(kind::HEADERS, WHOLE, id, &field(b"t", b"u"));
                return Stage::Done;
            }
            _ => self.put(kind::DATA, 0, id, &content[..part]),
        }
        Stage::Content(left.map(|left| left - part))
    }
}
