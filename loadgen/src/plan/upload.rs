//! How a request's body is sent: with its length before it or in chunks, with which trailers behind it, and whether it is
//! held back until the server asks for it.

use std::time::Duration;

use command_line::Refusal;
use http1::write;
use wire::Fields;

use super::{
    PlanError, RequestOptions, Target,
    accepted::{self, refused_because},
    request_options::{CONNECTION, FRAMING, HOST, field_of},
};

/// How much of a body is in a chunk, in bytes; the last one has what is left.
const CHUNK: usize = 16 << 10;

/// Fields that mean something before the body, and nothing behind it (RFC 9110 section 6.5.1).
const NOT_BEHIND: [&str; 4] = [HOST, "te", "trailer", "expect"];

/// How a body is sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Upload {
    /// In chunks over HTTP/1.1, and over HTTP/2 without its length.
    pub(crate) chunked: bool,
    /// What comes behind it.
    pub(crate) trailers: Fields,
    /// Not before the server asks for it with 100, or has been silent for this time (RFC 9110 section 10.1.1).
    pub(crate) patience: Option<Duration>,
}

/// How long a server that has to ask for a body may be silent, as with curl.
const PATIENCE: Duration = Duration::from_secs(1);

impl Upload {
    pub(super) fn new(target: &Target, wanted: &RequestOptions) -> Result<Self, PlanError> {
        let mut trailers = Fields::new();
        for text in wanted.trailers.iter().filter(|text| !text.is_empty()) {
            let (name, value) = field_of(&accepted::TRAILER, text)?;
            let lower = name.to_ascii_lowercase();
            let taken = FRAMING.iter().chain(&CONNECTION).chain(&NOT_BEHIND);
            if taken.into_iter().any(|taken| *taken == lower) {
                return Err(refused_because(&accepted::TRAILER, text, "it means nothing behind a body"));
            }
            trailers.push(name, value.as_bytes());
        }
        let chunked = wanted.chunked.unwrap_or(false) || !trailers.is_empty();
        let expects = wanted.expect_continue.unwrap_or(false);
        let option = match (trailers.is_empty(), chunked) {
            (false, _) => "trailer",
            (true, true) => "chunked",
            (true, false) => "expect-continue",
        };
        if (chunked || expects) && target.http10 {
            let shown = format!("--{option} with HTTP/1.0");
            let accepted = "it with HTTP/1.1 or HTTP/2";
            let example = Target { http10: false, ..target.clone() }.to_string();
            return Err(PlanError(Refusal::new(shown, accepted, example)));
        }
        if (chunked || expects) && wanted.body.is_none() {
            let accepted = "it with a body, which may be empty";
            let example = "loadgen --chunked --body=hello http://localhost:8080/upload";
            return Err(PlanError(Refusal::new(format!("--{option} without a body"), accepted, example)));
        }
        Ok(Self { chunked, trailers, patience: expects.then_some(PATIENCE) })
    }

    /// The same of a body of this length in bytes: nothing is asked for where nothing would be sent.
    pub(super) fn of_length(mut self, length: usize) -> Self {
        self.patience = self.patience.filter(|_| length > 0 || self.chunked);
        self
    }

    /// The names of the trailers, as a field before the body has them (RFC 9110 section 6.6.2).
    pub(super) fn names(&self) -> Option<Vec<u8>> {
        let names: Vec<&[u8]> = self.trailers.iter().map(|(name, _)| name).collect();
        (!names.is_empty()).then(|| names.join(&b", "[..]))
    }

    /// Adds a body as HTTP/1.1 has it on the wire.
    pub(super) fn write(&self, body: &[u8], out: &mut Vec<u8>) {
        if !self.chunked {
            return out.extend_from_slice(body);
        }
        for part in body.chunks(CHUNK) {
            write::chunk_head(out, part.len() as u64);
            out.extend_from_slice(part);
            out.extend_from_slice(write::CHUNK_END);
        }
        write::last_chunk(out, &self.trailers);
    }

    /// Moves the body, with which `out` begins, behind what follows it there, as HTTP/1.1 has it on the wire.
    pub(super) fn move_behind(&self, length: usize, out: &mut Vec<u8>) {
        if !self.chunked {
            return out.rotate_left(length);
        }
        for start in (0..length).step_by(CHUNK) {
            let end = length.min(start + CHUNK);
            write::chunk_head(out, (end - start) as u64);
            out.extend_from_within(start..end);
            out.extend_from_slice(write::CHUNK_END);
        }
        write::last_chunk(out, &self.trailers);
        out.drain(..length);
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::request::tests::request;

    fn bytes(args: &[&str]) -> String {
        let args = [args, &["--request-id-header", "", "-H", "user-agent: me"]].concat();
        let request = request(&args).unwrap();
        let rendered = request.http1_rendering().map(|rendering| {
            let mut out = Vec::new();
            rendering.render(&values(), &mut out);
            out.extend_from_slice(rendering.tail());
            out
        });
        String::from_utf8(rendered.unwrap_or_else(|| request.http1().bytes().to_vec())).unwrap()
    }

    fn values() -> crate::plan::template::Values<'static> {
        crate::plan::template::Values {
            seed: 1,
            number: 7,
            due: 0,
            row: None,
            length: 0,
            crc32c: 0,
            id: None,
        }
    }

    #[test]
    fn a_chunked_body_has_no_length() {
        let head = "POST /x HTTP/1.1\r\nhost: a:8080\r\nuser-agent: me\r\n";
        for (args, rest) in [
            (&["-b", "hello"][..], "content-length: 5\r\n\r\nhello"),
            (&["-b", "hello", "--chunked"], "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
            (&["-b", "", "--chunked"], "transfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
            (&["-b", "n={{seq}}", "--chunked"], "transfer-encoding: chunked\r\n\r\n3\r\nn=7\r\n0\r\n\r\n"),
            (
                &["-b", "hi", "--trailer", "X-Sum: 1", "--trailer", "y:2"],
                "trailer: X-Sum, y\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\ny: 2\r\n\r\n",
            ),
            (
                &["-b", "{{seq}}", "--trailer", "a: b"],
                "trailer: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\n7\r\n0\r\na: b\r\n\r\n",
            ),
            (
                &["-b", "", "-H", "Trailer: other", "--trailer", "a: b"],
                "Trailer: other\r\ntransfer-encoding: chunked\r\n\r\n0\r\na: b\r\n\r\n",
            ),
        ] {
            let head = if rest.starts_with("Trailer") {
                head.replace("user-agent: me\r\n", "")
            } else {
                head.to_owned()
            };
            let sent = bytes(args);
            let (first, rest) = if head.contains("user-agent") {
                (head, rest.to_owned())
            } else {
                (head, rest.replacen("Trailer: other\r\n", "Trailer: other\r\nuser-agent: me\r\n", 1))
            };
            assert_eq!(sent, format!("{first}{rest}"), "{args:?}");
        }
    }

    #[test]
    fn a_long_body_has_several_chunks_whether_it_has_placeholders_or_not() {
        let text = "x".repeat(40_000);
        let wire = |body: &str| {
            let parts =
                body.as_bytes().chunks(16 << 10).map(|part| String::from_utf8(part.to_vec()).unwrap());
            let chunks: String = parts.map(|part| format!("{:x}\r\n{part}\r\n", part.len())).collect();
            format!("\r\n\r\n{chunks}0\r\n\r\n")
        };
        for (body, expected) in
            [(text.clone(), wire(&text)), (format!("{{{{seq}}}}{text}"), wire(&format!("7{text}")))]
        {
            let sent = bytes(&["-b", &body, "--chunked"]);
            assert!(sent.ends_with(&expected), "{}", &sent[..300]);
            assert_eq!(sent.matches("transfer-encoding: chunked").count(), 1);
        }
        let varying_head = bytes(&["-b", &text, "--chunked", "-H", "x: {{seq}}"]);
        assert!(varying_head.ends_with(&wire(&text)) && varying_head.contains("x: 7\r\n"));
    }

    #[test]
    fn over_http2_there_is_no_length_either() {
        for (args, length) in [(&["-b", "hi"][..], true), (&["-b", "hi", "--chunked"], false)] {
            let fields = request(&[args, &["--http2"]].concat()).unwrap().http2();
            assert_eq!(fields.contains("content-length"), length, "{args:?}");
            assert!(!fields.contains("transfer-encoding"), "{args:?}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (args, said) in [
            (
                &["--chunked"][..],
                "--chunked without a body; accepted: it with a body, which may be empty; example: ",
            ),
            (&["--trailer", "a: b"], "--trailer without a body; accepted: it with a body"),
            (&["--expect-continue"], "--expect-continue without a body; accepted: it with a body"),
            (&["-b", "x", "--trailer", "a"], "'a' for --trailer: a colon is missing; accepted: a field"),
            (&["-b", "x", "--trailer", "a b: c"], "for --trailer: the name is not a token"),
            (&["-b", "x", "--trailer", "Content-Length: 5"], "for --trailer: it means nothing behind a body"),
            (&["-b", "x", "--trailer", "host: a"], "for --trailer: it means nothing behind a body"),
            (&["-b", "x", "--trailer", "Connection: close"], "for --trailer: it means nothing behind a body"),
        ] {
            let error = request(args).unwrap_err();
            assert!(error.contains(said), "{args:?}: {error}");
        }
    }
}
