//! What a [planted](crate::planted) proxy does to the head of a message.

/// One change of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewrite {
    /// A field is added at the end.
    Add(&'static str, &'static str),
    /// All fields of this name are dropped.
    Drop(&'static str),
    /// Fields of this name get another.
    Rename(&'static str, &'static str),
    /// The field's name is written in capitals.
    Recase(&'static str),
    /// The last field becomes the first.
    Reorder,
    /// All fields of this name become one list.
    Merge(&'static str),
    /// A field of this name gets another value.
    Value(&'static str, &'static str),
    /// In the first line, this becomes that: of the target, the method or the version.
    First(&'static str, &'static str),
}

impl Rewrite {
    /// Does it.
    pub(crate) fn apply(self, first: &mut String, fields: &mut Vec<(String, String)>) {
        let is = |known: &str, name: &str| known.eq_ignore_ascii_case(name);
        let own = |name: &str, new: &str| (name.to_owned(), new.to_owned());
        match self {
            Self::Add(name, value) => fields.push(own(name, value)),
            Self::Drop(name) => fields.retain(|(known, _)| !is(known, name)),
            Self::Rename(name, other) => each(fields, name, |field| field.0 = other.to_owned()),
            Self::Recase(name) => each(fields, name, |field| field.0.make_ascii_uppercase()),
            Self::Reorder => fields.rotate_right(1),
            Self::Merge(name) => {
                let of_it = fields.iter().filter(|(known, _)| is(known, name));
                let merged = of_it.map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(", ");
                let at = fields.iter().position(|(known, _)| is(known, name)).unwrap_or_default();
                let kept = fields[at].0.clone();
                fields.retain(|(known, _)| !is(known, name));
                fields.insert(at, (kept, merged));
            }
            Self::Value(name, value) => each(fields, name, |field| field.1 = value.to_owned()),
            Self::First(from, to) => *first = first.replacen(from, to, 1),
        }
    }
}

fn each(fields: &mut [(String, String)], name: &str, mut change: impl FnMut(&mut (String, String))) {
    fields.iter_mut().filter(|(known, _)| known.eq_ignore_ascii_case(name)).for_each(&mut change);
}
