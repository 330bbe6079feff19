//! Where in its file what is wrong with a plan stands.

use std::collections::HashMap;

use command_line::Refusal;

/// Line and column.
pub(crate) type Place = (usize, usize);

/// Where the values of a plan stand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    name: String,
    /// Of what is an option, by its name.
    of_run: HashMap<String, Place>,
    requests: Vec<OfRequest>,
}

/// Of a request, and of what it has, by option.
#[derive(Clone, Debug)]
struct OfRequest {
    place: Place,
    values: HashMap<String, Place>,
}

impl Places {
    pub(super) fn of(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// The name of the file.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn put_of_run(&mut self, option: &str, place: Place) {
        self.of_run.insert(option.to_owned(), place);
    }

    /// The next request, and where what it has stands, by option.
    pub(super) fn put_request(&mut self, place: Place, values: HashMap<String, Place>) {
        self.requests.push(OfRequest { place, values });
    }

    /// It is said elsewhere.
    pub(crate) fn forget(&mut self, option: &str) {
        self.of_run.remove(option);
    }

    /// A refusal with the place of what is refused, if that stands in the file.
    pub(crate) fn told(&self, refusal: Refusal) -> Refusal {
        let subject = refusal.to_string();
        let option = match refusal.flag() {
            Some(flag) => flag,
            None if subject.starts_with("invalid target") || subject.contains("in the path") => "url",
            None => return refusal,
        };
        match self.of_run.get(option) {
            Some((line, column)) => refusal.at(format!("{}:{line}:{column}", self.name)),
            None => refusal,
        }
    }

    /// The same of a request.
    pub(crate) fn told_of_request(&self, index: usize, refusal: Refusal) -> Refusal {
        let Some(request) = self.requests.get(index) else { return refusal };
        let subject = refusal.to_string();
        let option = refusal.flag().unwrap_or(match &subject {
            subject if subject.contains("target '") => "url",
            subject if subject.starts_with("invalid message") => "body",
            _ => "path",
        });
        let (line, column) = request.values.get(option).unwrap_or(&request.place);
        refusal.at(format!("{}:{line}:{column}", self.name))
    }
}
