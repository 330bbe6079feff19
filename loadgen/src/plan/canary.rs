//! Requests that show whether tokens of a verified run get to the server and back, and what is sent where they only do in the
//! query.
//!
//! Nothing here sends anything.

use std::sync::Arc;

use contract::{
    field::{CANARY_KEY, TOKEN_KEY, UPLOAD},
    id::{self, Id},
};

use super::{
    Call, Plan, PlanError, Request,
    request::Varying,
    requests::Requests,
    template::{Template, Values},
};
use crate::outcome::ExpectedStatus;

/// Query keys, and fields, by which a request asks dummy-server for what a canary does not want.
const BEHAVIOUR_KEY: &str = "dummy-";
const BEHAVIOUR_FIELD: &str = "x-dummy-";

impl Plan {
    /// One request like the one with this index, of the same method and to the same path, without its body and what it asks
    /// dummy-server for, and with the id in the field or in the query. Nobody waits for it as for a request of the run.
    pub(crate) fn canary(&self, request: usize, id: Id, in_query: bool) -> Result<Self, PlanError> {
        let own = &self.requests()[request];
        let mut plan = self.clone();
        plan.sites = vec![self.site_of(request).clone()];
        let canary = if own.call().is_some() {
            own.path().clone_into(&mut plan.sites[0].target.path);
            let call = Call::of_bytes(plan.target(), &[Vec::new()])?;
            let mut canary = own.of_another(own.path(), call);
            canary.retain_fields(|name| !name.starts_with(BEHAVIOUR_FIELD));
            canary
        } else {
            own.of_canary(&id.text(), in_query)
        };
        plan.requests = Requests::only(canary)?;
        (plan.message, plan.verify) = (None, None);
        (plan.expected_status, plan.expected_of) = (ExpectedStatus::default(), Arc::default());
        plan.load.speak(plan.target().protocol);
        Ok(plan.for_one_exchange().within(self.load.connect_timeout))
    }

    /// Whether the token of the request with this index can go in the query: paths of calls have none, what lines of a log say
    /// is not looked into, and where redirects lead is not ours.
    pub(crate) fn takes_token_in_query(&self, request: usize) -> bool {
        let request = &self.requests()[request];
        let is_of_log =
            request.varying.as_ref().is_some_and(|varying| varying.path == Template::of_column(0));
        request.call().is_none() && !is_of_log && self.client.follow == 0
    }

    /// The same with the tokens of these requests, by index, in the query.
    pub(crate) fn with_tokens_in_query(mut self, is_meant: impl Fn(usize) -> bool) -> Self {
        self.requests =
            self.requests.changed(|index, request| is_meant(index).then(|| request.with_token_in_query()));
        self
    }
}

impl Request {
    fn of_canary(&self, id: &id::Text, in_query: bool) -> Self {
        let row = self.rows().map(|rows| (rows, 0));
        let path =
            self.path_of(&Values { seed: 0, number: 0, due: 0, row, length: 0, crc32c: 0, id: Some(id) });
        let key = if in_query { TOKEN_KEY } else { CANARY_KEY };
        let path = unlike(&path, key, &String::from_utf8_lossy(id));
        let mut canary = self.of_getting(&path);
        (canary.fields, canary.method) = (self.first_fields(), self.method.clone());
        canary.retain_fields(|name| {
            let is_of_content =
                name.starts_with("content-") || ["expect", "te", "trailer", UPLOAD].contains(&name);
            !is_of_content && !name.starts_with(BEHAVIOUR_FIELD)
        });
        canary.id_field = self.id_field.clone().filter(|_| !in_query);
        canary
    }

    /// The same with its token in the query.
    fn with_token_in_query(&self) -> Self {
        let mut varying = match &self.varying {
            Some(varying) => Varying::clone(varying),
            None => {
                let mut path = Template::default();
                path.push_text(self.path.as_bytes());
                Varying { path, fields: vec![None; self.fields.len()], body: None, rows: None }
            }
        };
        varying.path.push_text(format!("{}{TOKEN_KEY}=", mark(&self.path)).as_bytes());
        varying.path.push_id();
        let mut request = self.clone();
        (request.id_field, request.varying) = (None, Some(Arc::new(varying)));
        request
    }
}

/// What stands before another pair of a query.
fn mark(path: &str) -> char {
    if path.contains('?') { '&' } else { '?' }
}

/// A path without what it asks dummy-server for, and with this pair in its query.
fn unlike(path: &str, key: &str, value: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let pairs = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with(BEHAVIOUR_KEY));
    let kept: String = pairs.map(|pair| format!("{pair}&")).collect();
    format!("{path}?{kept}{key}={value}")
}

#[cfg(test)]
mod tests {
    use contract::id::Ids;

    use super::*;
    use crate::outcome::Arrival;

    fn plan(url: &str) -> Plan {
        Plan::builder(url).verify(true).header("X-Dummy-Delay: 1s").header("X-A: b").build().unwrap()
    }

    #[test]
    fn a_canary_asks_for_nothing_but_its_token_and_is_of_no_run() {
        let id = Ids { run: 1, load: 200 }.of(0, 0);
        let text = String::from_utf8(id.text().to_vec()).unwrap();
        let plan = plan("http://localhost:80/bin/1K?a=1&dummy-delay=1s&b=2");
        for (in_query, key) in [(false, "dummy-canary"), (true, "dummy-token")] {
            let canary = plan.canary(0, id, in_query).unwrap();
            let request = canary.request();
            assert_eq!(request.path(), format!("/bin/1K?a=1&b=2&{key}={text}"));
            assert_eq!((request.id_field.is_some(), canary.verify().is_some()), (!in_query, false));
            assert!(request.fields.contains("x-a") && !request.fields.contains("x-dummy-delay"));
        }
    }

    #[test]
    fn a_token_in_the_query_is_the_one_of_each_sending() {
        for (url, before) in [("http://localhost:80/a?b={{seq}}", "/a?b=7&"), ("h2c://localhost:80/", "/?")] {
            let plan = plan(url).with_tokens_in_query(|_| true);
            let ids = Ids { run: 1, load: 0 };
            let id = Arrival::new(7, 0, 0).id(ids);
            let text = String::from_utf8(id.to_vec()).unwrap();
            let values =
                Values { seed: 0, number: 7, due: 0, row: None, length: 0, crc32c: 0, id: Some(&id) };
            let request = plan.request();
            assert_eq!(request.path_of(&values), format!("{before}dummy-token={text}"));
            assert_eq!(request.id_field, None);
            let mut bytes = Vec::new();
            request.write_http1(&values, &mut bytes);
            assert!(String::from_utf8(bytes).unwrap().contains(&format!("dummy-token={text} HTTP/1.1\r\n")));
        }
    }
}
