//! What is sent: a request, made once. How each protocol has it is in [`super::rendering`].

use std::sync::Arc;

use bytes::Bytes;
use command_line::Refusal;
use contract::{field, id, ledger::Announced};
use http::{HeaderName, Method};
use prost_reflect::DescriptorPool;
use wire::Fields;

use super::{
    Call, Lifetime, PlanError, Route, Site, Target,
    accepted::{self, refused_because},
    call_message::Given,
    call_options,
    contents::Contents,
    places::ValuePlaces,
    request_options::{self, HOST, RequestOptions},
    rows::Rows,
    target::{self, Braces},
    template::{self, Template, TextContext, ValueSources, Values},
    upload::Upload,
};
use crate::outcome::expectation::Expectations;

/// A request, ready for either protocol.
#[derive(Clone, Debug)]
pub struct Request {
    /// What it is called in reports.
    pub name: String,
    /// The method.
    pub method: Method,
    /// The fields as they were given, in order, with `Host` if it is among them, and without the id.
    pub fields: Fields,
    /// The body, possibly empty.
    pub body: Bytes,
    /// Whether there is a body, be it empty.
    pub has_body: bool,
    /// The field that carries the request's id.
    pub id_field: Option<HeaderName>,
    /// What `Host` or `:authority` say.
    pub authority: String,
    /// What stands before the path in the absolute form that proxies are sent (RFC 9112 section 3.2.2).
    pub(super) before_path: String,
    pub(super) path: String,
    /// Whether it is the only one of its connection, and says so.
    pub(super) closes: bool,
    /// As its first line ends over HTTP/1.
    pub(super) version: &'static str,
    /// Of the target.
    pub(super) scheme: &'static str,
    pub(super) varying: Option<Arc<Varying>>,
    expectations: Option<Arc<Expectations>>,
    pub(super) upload: Upload,
    /// The gRPC call that it is, if it is one.
    call: Option<Arc<Call>>,
}

/// What differs from one sending of a request to the next.
#[derive(Clone, Debug)]
pub(super) struct Varying {
    pub(super) path: Template,
    /// Of each field that has placeholders.
    pub(super) fields: Vec<Option<Template>>,
    pub(super) body: Option<Template>,
    pub(super) rows: Option<Arc<Rows>>,
}

impl Varying {
    /// Whether anything of the request itself differs.
    pub(super) fn is_of_request(&self) -> bool {
        self.path.constant().is_none() || self.fields.iter().any(Option::is_some) || self.body.is_some()
    }
}

/// What all requests of a run have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Common<'c> {
    pub(super) target: &'c Target,
    pub(super) id_header: &'c str,
    pub(super) braces: Braces,
    pub(super) lifetime: &'c Lifetime,
    pub(super) route: &'c Route,
    pub(super) contents: &'c Contents,
    /// What the target is called, if it is one of several.
    pub(super) label: Option<&'c str>,
    /// The types of calls' messages, if files define them.
    pub(super) types: Option<&'c DescriptorPool>,
    /// Whether redirects are followed.
    pub(super) follows: bool,
}

impl Request {
    pub(super) fn new(common: Common<'_>, wanted: RequestOptions) -> Result<Self, PlanError> {
        let Common { target, id_header, braces, lifetime, route, contents, label, types, follows } = common;
        if target.grpc {
            call_options::refuse_other_options(&wanted, follows)?;
        } else {
            wanted.call.refuse(target)?;
            call_options::refuse_expectations(&wanted.expect, target)?;
        }
        let has_body = wanted.body.is_some();
        let upload = Upload::new(target, &wanted)?;
        let body = wanted.body.map(|body| body.read(contents)).transpose()?.unwrap_or_default();
        let method = match &wanted.method {
            Some(name) => request_options::method(name)?,
            None if has_body || target.grpc => Method::POST,
            None => Method::GET,
        };
        let mut fields = Fields::new();
        for text in wanted.headers.iter().filter(|text| !text.is_empty()) {
            let (name, value) = request_options::field(text)?;
            fields.push(name, value.as_bytes());
        }
        let authority = request_options::authority(target, &fields)?;
        request_options::refuse_framing(target, &fields)?;
        let id_field = request_options::id_field(id_header, &fields)?;
        if !fields.contains(USER_AGENT) && id_field.as_ref().is_none_or(|name| name != USER_AGENT) {
            fields.push(USER_AGENT, concat!("loadgen/", env!("CARGO_PKG_VERSION")));
        }
        let upload = upload.of_length(body.bytes.len());
        if upload.patience.is_some() && !fields.contains("expect") {
            fields.push("expect", "100-continue");
        }
        if let Some(names) = upload.names().filter(|_| !fields.contains("trailer")) {
            fields.push("trailer", names);
        }
        let proxy = route.absolute();
        if let Some(authorization) = proxy.and_then(|proxy| proxy.authorization.as_ref()) {
            fields.push("proxy-authorization", authorization);
        }
        let before_path = proxy.map_or_else(String::new, |_| format!("http://{}", target.authority()));
        let path = match wanted.path {
            None => target.path.clone(),
            Some(path) if target.grpc => target::method(&path)?,
            Some(path) => target::path(&path, braces)?,
        };
        let name = wanted.name.unwrap_or_else(|| match label {
            Some(label) => format!("{method} {path} at {label}"),
            None => format!("{method} {path}"),
        });
        let mut request = Self {
            name,
            method,
            fields,
            body: body.bytes,
            has_body,
            id_field,
            authority,
            // Over HTTP/1.0, connections end anyway.
            closes: lifetime.is_one_request() && !target.http10,
            version: if target.http10 { "HTTP/1.0" } else { "HTTP/1.1" },
            before_path,
            path,
            scheme: if target.tls { "https" } else { "http" },
            varying: None,
            upload,
            call: None,
            expectations: wanted.expect.checked()?.map(Arc::new),
        };
        if braces == Braces::Placeholder {
            let rows = wanted.rows.as_deref().map(|path| contents.rows(path)).transpose()?;
            let place = if target.grpc { TextContext::Json } else { TextContext::Body };
            let body = Some(place).filter(|_| !body.is_as_it_is && !wanted.call.is_raw());
            request.varying = request.compiled(rows, body)?.map(Arc::new);
        } else if let Some(path) = wanted.rows {
            let why = "with --no-templates, nothing takes a value from them";
            return Err(refused_because(&accepted::ROWS, path.display(), why));
        }
        if request.has_body && !target.grpc && request.is_verified() {
            request.announce_body();
        }
        if target.grpc {
            request.call = Some(Arc::new(Call::new(&wanted.call, types, &mut request)?));
        }
        Ok(request)
    }

    /// Whether what happens to it is proven: its id is a token.
    pub(super) fn is_verified(&self) -> bool {
        self.id_field.as_ref().is_some_and(|name| name == field::TOKEN)
    }

    /// A field says what the server is to receive as the body.
    fn announce_body(&mut self) {
        if !self.has_varying_body() {
            return self.push_field(field::UPLOAD, &Announced::of(&self.body).text());
        }
        self.fields.push(field::UPLOAD, "");
        if let Some(varying) = self.varying.as_mut().and_then(Arc::get_mut) {
            varying.fields.push(Some(Template::of_announced()));
        }
    }

    /// Whether what is announced of its body differs from one sending to the next.
    pub(super) fn announces_each(&self) -> bool {
        let mut fields = self.varying.iter().flat_map(|varying| varying.fields.iter().flatten());
        fields.any(Template::announces)
    }

    /// It is the request with this index of a file.
    pub(super) fn standing_in(mut self, places: &Arc<ValuePlaces>, index: usize) -> Self {
        if let Some(call) = &mut self.call {
            Arc::make_mut(call).stands_in(places, index);
        }
        self
    }

    /// The gRPC call that it is, if it is one.
    #[must_use]
    pub fn call(&self) -> Option<&Call> {
        self.call.as_deref()
    }

    /// The same with the types of its call's messages, if they are not known yet.
    pub(super) fn knowing(mut self, types: &DescriptorPool, source: &str) -> Result<Self, PlanError> {
        if let Some(mut call) = self.call.take_if(|call| call.prepared().is_none()) {
            let found = Arc::make_mut(&mut call).find(types, source, self.rows());
            found.map_err(|refused| call.told(refused))?;
            self.call = Some(call);
        }
        Ok(self)
    }

    /// What is sent as the message of a call, and not as the body of a request.
    pub(super) fn take_message(&mut self) -> Option<Given> {
        let varying = self.varying.as_mut().and_then(Arc::get_mut);
        match varying.and_then(|varying| varying.body.take()) {
            Some(template) => Some(Given::Varying(template)),
            None => self.has_body.then(|| Given::Same(std::mem::take(&mut self.body))),
        }
    }

    /// The fields as they are sent first, with the draws of seed 0.
    pub(super) fn first_fields(&self) -> Fields {
        let Some(varying) = &self.varying else { return self.fields.clone() };
        let row = self.rows().map(|rows| (rows, 0));
        let values = Values { seed: 0, number: 0, due: 0, row, length: 0, crc32c: 0, id: None };
        let mut fields = Fields::new();
        for ((name, value), template) in self.fields.iter().zip(&varying.fields) {
            let mut rendered = Vec::new();
            match template {
                Some(template) => template.render(&values, &mut rendered),
                None => rendered.extend_from_slice(value),
            }
            fields.push(name, &rendered);
        }
        fields
    }

    /// The same with paths that follow each other, as they are.
    pub(super) fn with_paths(mut self, paths: Rows) -> Self {
        let (fields, body) = match &self.varying {
            Some(varying) => (varying.fields.clone(), varying.body.clone()),
            None => (vec![None; self.fields.len()], None),
        };
        let varying = Varying { path: Template::of_column(0), fields, body, rows: Some(Arc::new(paths)) };
        self.varying = Some(Arc::new(varying));
        self
    }

    /// What has placeholders, if there is any; what has none after all, such as an escaped brace, becomes what it means. Those of
    /// the body stand in this place, if it may have any.
    fn compiled(
        &mut self,
        rows: Option<Arc<Rows>>,
        body_at: Option<TextContext>,
    ) -> Result<Option<Varying>, PlanError> {
        let sources = ValueSources { rows: rows.as_deref(), env: &|name| std::env::var(name).ok() };
        let mut salt = 0_u64;
        let mut compile = |text: &[u8], place: TextContext| {
            salt += 1 << 32;
            Template::compile(text, place, salt, &sources).map_err(|error| refused(place, &error.to_string()))
        };
        let path = compile(self.path.as_bytes(), TextContext::Path)?;
        if let Some(path) = path.constant() {
            self.path = String::from_utf8_lossy(path).into_owned();
        }
        let mut fields = Fields::new();
        let mut varying = Vec::new();
        for (name, value) in self.fields.iter() {
            let template = compile(value, TextContext::Field)?;
            fields.push(name, template.constant().unwrap_or(value));
            varying.push(Some(template).filter(|template| template.constant().is_none()));
        }
        self.fields = fields;
        let mut body = None;
        if let Some(place) = body_at
            && template::has_placeholder(&self.body)
        {
            let template = compile(&self.body, place)?;
            match template.constant() {
                Some(text) => self.body = Bytes::copy_from_slice(text),
                None => body = Some(template),
            }
        }
        let varying = Varying { path, fields: varying, body, rows };
        Ok(Some(varying).filter(Varying::is_of_request))
    }

    /// The same to this path, as it is.
    pub(super) fn with_path(&self, path: &str) -> Self {
        let mut request = Self { path: path.to_owned(), ..self.clone() };
        if let Some(varying) = &self.varying {
            let mut fixed = Template::default();
            fixed.push_text(path.as_bytes());
            let Varying { fields, body, rows, .. } = &**varying;
            let (fields, body, rows) = (fields.clone(), body.clone(), rows.clone());
            request.varying = Some(Arc::new(Varying { path: fixed, fields, body, rows }));
        }
        request
    }

    /// It becomes a GET without a body, and without what was said of one.
    pub(super) fn without_body(&mut self) {
        (self.method, self.body, self.has_body) = (Method::GET, Bytes::new(), false);
        self.upload = Upload::default();
        self.retain_fields(|name| {
            !name.starts_with("content-") && !["expect", "trailer", "te", field::UPLOAD].contains(&name)
        });
        if let Some(varying) = self.varying.as_mut().and_then(Arc::get_mut) {
            varying.body = None;
        }
    }

    /// It goes to another server, which is not shown what is secret to its own.
    pub(super) fn aim_at(&mut self, site: &Site) {
        let target = site.target();
        let has_proxy = !self.before_path.is_empty();
        self.retain_fields(|name| ![HOST, "authorization", "cookie"].contains(&name));
        self.authority = target.authority();
        self.scheme = if target.tls { "https" } else { "http" };
        self.version = if target.http10 { "HTTP/1.0" } else { "HTTP/1.1" };
        self.before_path = match site.route().absolute() {
            Some(_) => format!("http://{}", target.authority()),
            None => String::new(),
        };
        if has_proxy && self.before_path.is_empty() {
            self.retain_fields(|name| name != "proxy-authorization");
        }
    }

    /// Keeps the fields whose names, in lower case, are wanted. Its varying part has to be its own.
    pub(super) fn retain_fields(&mut self, is_wanted: impl Fn(&str) -> bool) {
        let wanted: Vec<bool> = (self.fields.iter())
            .map(|(name, _)| is_wanted(&String::from_utf8_lossy(name).to_ascii_lowercase()))
            .collect();
        let fields = std::mem::take(&mut self.fields);
        self.fields =
            fields.iter().zip(&wanted).filter_map(|(field, wanted)| wanted.then_some(field)).collect();
        if let Some(varying) = self.varying.as_mut().and_then(Arc::get_mut) {
            let mut wanted = wanted.iter();
            varying.fields.retain(|_| wanted.next().copied().unwrap_or(true));
        }
    }

    /// The same without body and rows.
    pub(crate) fn without_content(&self) -> Self {
        Self { body: Bytes::new(), varying: None, ..self.clone() }
    }

    /// Adds a field that is the same each time.
    pub(super) fn push_field(&mut self, name: &str, value: &str) {
        self.fields.push(name, value);
        if let Some(varying) = self.varying.as_mut().and_then(Arc::get_mut) {
            varying.fields.push(None);
        }
    }

    /// Adds a field with the id of each sending.
    pub(super) fn push_id(&mut self, name: &str) {
        let mut id = Template::default();
        id.push_id();
        let of = |text: &str| {
            let mut template = Template::default();
            template.push_text(text.as_bytes());
            template
        };
        let mut varying = match &self.varying {
            Some(varying) => Varying::clone(varying),
            None => Varying {
                path: of(&self.path),
                fields: vec![None; self.fields.len()],
                body: None,
                rows: None,
            },
        };
        self.fields.push(name, [b'0'; id::LENGTH]);
        varying.fields.push(Some(id));
        self.varying = Some(Arc::new(varying));
    }

    /// That of another call, without what is said of this one's messages, time and reply.
    pub(super) fn of_another(&self, path: &str, call: Call) -> Self {
        const OWN: [&[u8]; 3] = [b"grpc-encoding", b"grpc-accept-encoding", b"grpc-timeout"];
        let templates = self.varying.as_ref().map(|varying| &varying.fields[..]).unwrap_or_default();
        let mut templates = templates.iter().cloned().chain(std::iter::repeat(None));
        let (mut fields, mut varying) = (Fields::new(), Vec::new());
        for ((name, value), template) in self.fields.iter().zip(&mut templates) {
            if !OWN.iter().any(|own| own.eq_ignore_ascii_case(name)) {
                fields.push(name, value);
                varying.push(template);
            }
        }
        let varying = self.varying.as_ref().map(|own| {
            let mut of_path = Template::default();
            of_path.push_text(path.as_bytes());
            Arc::new(Varying { path: of_path, fields: varying, body: None, rows: own.rows.clone() })
        });
        let call = Some(Arc::new(call));
        Self { fields, path: path.to_owned(), varying, call, expectations: None, ..self.clone() }
    }

    /// A GET of another path of the same server, with what the server may need to let it in.
    pub(super) fn of_getting(&self, path: &str) -> Self {
        let mut fields = self.fields.clone();
        let about_content = [
            "content-type",
            "content-encoding",
            "expect",
            "te",
            "trailer",
            "range",
            "accept-encoding",
            field::UPLOAD,
        ];
        // What opens a WebSocket, which this does not.
        let about_messages =
            ["upgrade", "connection", "sec-websocket-version", "sec-websocket-protocol", field::TOKEN];
        let is_handshake = fields.contains("sec-websocket-version");
        about_content.iter().for_each(|name| fields.remove(name));
        about_messages.iter().filter(|_| is_handshake).for_each(|name| fields.remove(name));
        Self {
            name: String::new(),
            method: Method::GET,
            fields,
            body: Bytes::new(),
            has_body: false,
            id_field: None,
            path: path.to_owned(),
            varying: None,
            upload: Upload::default(),
            call: None,
            expectations: None,
            ..self.clone()
        }
    }

    /// Whether values of its placeholders are drawn.
    pub(super) fn is_random(&self) -> bool {
        if self.call().is_some_and(Call::is_random) {
            return true;
        }
        let Some(Varying { path, fields, body, .. }) = self.varying.as_deref() else { return false };
        fields.iter().flatten().chain(body).chain([path]).any(Template::is_random)
    }

    /// What is expected of its replies, if anything is.
    pub(crate) fn expectations(&self) -> Option<Arc<Expectations>> {
        self.expectations.clone()
    }

    /// Whether it asks the server to keep its connection, which HTTP/1.0 does not do otherwise.
    pub(super) fn keeps_alive(&self) -> bool {
        self.fields.has_token("connection", "keep-alive")
    }

    /// Path and query, with their placeholders.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The path of one sending.
    pub(crate) fn path_of(&self, values: &Values<'_>) -> String {
        let Some(varying) = &self.varying else { return self.path.clone() };
        let mut path = Vec::new();
        varying.path.render(values, &mut path);
        String::from_utf8_lossy(&path).into_owned()
    }

    /// The rows that its placeholders take values from.
    pub(crate) fn rows(&self) -> Option<&Rows> {
        self.varying.as_ref()?.rows.as_deref()
    }

    /// How its body is sent.
    pub(crate) fn upload(&self) -> &Upload {
        &self.upload
    }
}

/// A text that can't be compiled, and what could.
fn refused(place: TextContext, why: &str) -> PlanError {
    let accepted = format!("{}; or --no-templates", template::ACCEPTED);
    let refusal = match place {
        TextContext::Path => {
            let example = "http://localhost:8080/items/{{random 1 100}}";
            Refusal::new("invalid placeholder in the path", accepted, example)
        }
        TextContext::Field => {
            Refusal::new("invalid placeholder", accepted, "x-trace: {{uuid}}").given_with("header")
        }
        TextContext::Body | TextContext::Json | TextContext::JsonText => {
            Refusal::new("invalid placeholder", accepted, "{\"id\":{{seq}}}").given_with("body")
        }
    };
    PlanError(refusal.because(why))
}

const USER_AGENT: &str = "user-agent";

#[cfg(test)]
pub(super) mod tests {
    use clap::Parser as _;
    use contract::id::Ids;

    use super::{super::rendering::Http1Request, *};
    use crate::{cli::Args, plan::Plan};

    pub(in crate::plan) fn request(args: &[&str]) -> Result<Request, String> {
        let words = ["loadgen", "http://a:8080/x"].iter().chain(args);
        let plan = Plan::try_from(&Args::try_parse_from(words).unwrap());
        plan.map(|plan| plan.request().clone()).map_err(|error| error.to_string())
    }

    fn text(template: &Http1Request) -> &str {
        std::str::from_utf8(template.bytes()).unwrap()
    }

    #[test]
    fn the_bytes_of_a_request_differ_in_the_id_alone() {
        let mut template =
            request(&["-b", "hi", "-H", "Accept: */*", "-H", "a:1", "-H", "a:2"]).unwrap().http1();
        template.set_id(&Ids { run: 0xabc, load: 0 }.of(255, 0).text());
        assert_eq!(
            text(&template),
            concat!(
                "POST /x HTTP/1.1\r\nhost: a:8080\r\nAccept: */*\r\na: 1\r\na: 2\r\n",
                "user-agent: loadgen/0.1.0\r\ncontent-length: 2\r\n",
                "x-request-id: 00000abc-00-00000000000000ff-00\r\n\r\nhi"
            )
        );
    }

    #[test]
    fn an_empty_name_sends_no_id() {
        let mut template = request(&["--request-id-header", "", "-H", "user-agent: me"]).unwrap().http1();
        template.set_id(&Ids { run: 1, load: 0 }.of(1, 0).text());
        assert_eq!(text(&template), "GET /x HTTP/1.1\r\nhost: a:8080\r\nuser-agent: me\r\n\r\n");
    }

    #[test]
    fn the_host_field_is_the_authority() {
        let request = request(&["-H", "Host: b.example", "--http2"]).unwrap();
        assert_eq!(request.http2().get(":authority"), Some(&b"b.example"[..]));
        assert_eq!(request.http2().get(":path"), Some(&b"/x"[..]));
        assert!(!request.http2().contains("host"));
    }

    #[test]
    fn fields_go_out_as_typed_over_http1_and_in_lower_case_over_http2() {
        let typed = ["X-B: 1", "a:2", "x-b:  3 ", "HoSt: b.example", "X-b:", "User-Agent: Me", "x-ü: ü"];
        let args: Vec<_> = typed[..6].iter().flat_map(|field| ["-H", field]).collect();
        let args = [&args[..], &["--request-id-header", ""]].concat();
        assert_eq!(
            text(&request(&args).unwrap().http1()),
            concat!(
                "GET /x HTTP/1.1\r\nX-B: 1\r\na: 2\r\nx-b: 3\r\nHoSt: b.example\r\nX-b: \r\n",
                "User-Agent: Me\r\n\r\n"
            )
        );
        let fields = request(&[&args[..], &["--http2"]].concat()).unwrap().http2();
        let shown: Vec<_> =
            fields.iter().map(|(name, value)| [name, value].map(String::from_utf8_lossy).join("=")).collect();
        assert_eq!(
            shown,
            [
                ":method=GET",
                ":scheme=http",
                ":authority=b.example",
                ":path=/x",
                "x-b=1",
                "a=2",
                "x-b=3",
                "x-b=",
                "user-agent=Me",
            ]
        );
        assert!(request(&["-H", typed[6]]).unwrap_err().contains("the name is not a token"));
        let value = request(&["-H", "x: ü"]).unwrap().http1();
        assert!(text(&value).contains("\r\nx: ü\r\n"));
    }

    #[test]
    fn an_empty_body_is_a_body() {
        let empty = tempfile::NamedTempFile::new().unwrap();
        let path = empty.path().to_str().unwrap();
        for (args, method, length) in [
            (&[][..], "GET", None),
            (&["-b", ""], "POST", Some("0")),
            (&["--body-file", path], "POST", Some("0")),
            (&["-X", "GET", "-b", ""], "GET", Some("0")),
            (&["-X", "POST"], "POST", Some("0")),
            (&["-X", "DELETE"], "DELETE", None),
            (&["-b", "hi"], "POST", Some("2")),
        ] {
            let request = request(args).unwrap();
            assert_eq!(request.method, method, "{args:?}");
            let line = length.map(|length| format!("\r\ncontent-length: {length}\r\n"));
            let template = request.http1();
            assert_eq!(text(&template).contains("content-length"), length.is_some(), "{args:?}");
            assert!(line.is_none_or(|line| text(&template).contains(&line)), "{args:?}");
            assert_eq!(request.http2().get("content-length"), length.map(str::as_bytes), "{args:?}");
        }
    }

    #[test]
    fn no_field_is_beside_the_id_in_its_name() {
        let template = request(&["--request-id-header", "user-agent"]).unwrap().http1();
        assert_eq!(text(&template).matches("user-agent").count(), 1);
    }
}
