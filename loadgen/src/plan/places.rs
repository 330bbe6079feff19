//! Where in its file what is wrong with a plan stands.

use std::collections::HashMap;

use command_line::Refusal;

use super::known_keys::key_of;

/// Line and column.
pub(crate) type Position = (usize, usize);

/// Where the values of a plan stand.
#[derive(Clone, Debug, Default)]
pub(crate) struct ValuePlaces {
    name: String,
    /// Of what is an option, by its name.
    of_run: HashMap<String, Position>,
    /// Of each of several targets, by what it says.
    targets: Vec<(String, Position)>,
    requests: Vec<RequestPlaces>,
    /// Of the load, if it is one of several.
    load: Option<LoadPlaces>,
}

/// Of a load, and which options it says.
#[derive(Clone, Debug)]
struct LoadPlaces {
    place: Position,
    says: Vec<String>,
}

/// Of a request, and of what it has, by option.
#[derive(Clone, Debug)]
struct RequestPlaces {
    place: Position,
    values: HashMap<String, Position>,
}

impl ValuePlaces {
    pub(super) fn of(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// The name of the file.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn put_of_run(&mut self, option: &str, place: Position) {
        self.of_run.insert(option.to_owned(), place);
    }

    pub(super) fn put_target(&mut self, text: &str, place: Position) {
        self.targets.push((text.to_owned(), place));
    }

    /// The next request, and where what it has stands, by option.
    pub(super) fn put_request(&mut self, place: Position, values: HashMap<String, Position>) {
        self.requests.push(RequestPlaces { place, values });
    }

    /// The same of one of several loads: where it and what it says stands, and which requests it sends.
    #[must_use]
    pub(super) fn of_load(mut self, load: Position, says: &Self, requests: Option<&[usize]>) -> Self {
        self.load = Some(LoadPlaces { place: load, says: says.of_run.keys().cloned().collect() });
        self.of_run.extend(says.of_run.iter().map(|(option, place)| (option.clone(), *place)));
        if let Some(sent) = requests {
            self.requests = sent.iter().filter_map(|index| self.requests.get(*index).cloned()).collect();
        }
        self
    }

    /// As messages have it.
    pub(super) fn shown(&self, (line, column): Position) -> String {
        format!("{}:{line}:{column}", self.name)
    }

    /// It is said elsewhere.
    pub(crate) fn forget(&mut self, option: &str) {
        self.of_run.remove(option);
    }

    /// A refusal with the place of what is refused, if that stands in the file.
    pub(crate) fn told(&self, refusal: Refusal) -> Refusal {
        let subject = refusal.to_string();
        if let Some(place) = self.place_of_target(&subject) {
            return refusal.at(self.shown(place)).in_keys(key_of);
        }
        let option = match refusal.flag() {
            Some(flag) => flag,
            None if subject.starts_with("invalid target") || subject.contains("in the path") => "url",
            None => {
                let wrong = subject.split("; accepted: ").next().unwrap_or_default();
                if let Some(place) = self.place_of_named(wrong) {
                    // What was typed is called as it was.
                    let is_here = |flag: &str| self.of_run.contains_key(flag);
                    let are_all_here = flags_in(wrong).all(is_here);
                    let key = |flag: &str| key_of(flag).filter(|_| are_all_here || is_here(flag));
                    return refusal.at(self.shown(place)).in_keys(key);
                }
                return match &self.load {
                    Some(load) if load.is_meant(&subject) => {
                        refusal.at(self.shown(load.place)).in_keys(key_of)
                    }
                    _ => refusal,
                };
            }
        };
        match self.of_run.get(option) {
            Some(place) => refusal.at(self.shown(*place)).in_keys(key_of),
            None => refusal,
        }
    }

    /// The same of a request.
    pub(crate) fn told_of_request(&self, index: usize, refusal: Refusal) -> Refusal {
        let Some(request) = self.requests.get(index) else { return refusal };
        let subject = refusal.to_string();
        let option = refusal.flag().unwrap_or(match &subject {
            subject if subject.starts_with("the weight") || subject.starts_with("no count") => "weight",
            subject if subject.starts_with("the count") => "count",
            subject if subject.contains("expectations") => "expect",
            subject if subject.contains("target '") => "url",
            subject if subject.starts_with("invalid message") => "body",
            _ => "path",
        });
        let place = self.shown(*request.values.get(option).unwrap_or(&request.place));
        refusal.at(place).in_keys(key_of)
    }

    /// Where the first option stands that is named in a text and stands in the file.
    fn place_of_named(&self, text: &str) -> Option<Position> {
        flags_in(text).find_map(|flag| self.of_run.get(flag)).copied()
    }

    /// Where that of several targets stands that is spoken of in a text.
    fn place_of_target(&self, text: &str) -> Option<Position> {
        let is_about_one = text.starts_with("invalid target") || text.starts_with("the target");
        let named = self.targets.iter().filter(|(target, _)| is_about_one && text.contains(&**target));
        named.max_by_key(|(target, _)| target.len()).map(|(_, place)| *place)
    }
}

/// The flags that are named in a text, without their dashes.
fn flags_in(text: &str) -> impl Iterator<Item = &str> {
    let is_of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    text.split("--").skip(1).map(move |rest| &rest[..rest.find(|c| !is_of_name(c)).unwrap_or(rest.len())])
}

impl LoadPlaces {
    /// Whether what does not go together does not in this load: it may just as well be what was typed.
    fn is_meant(&self, subject: &str) -> bool {
        !subject.contains("--") || self.says.iter().any(|option| subject.contains(&format!("--{option}")))
    }
}
