//! Messages of gRPC calls that have placeholders: JSON that is rendered and encoded for each call.
//!
//! All but the values is checked before the run, with those of the first calls.

use bytes::Bytes;

use super::{
    PlanError,
    call::Encoding,
    methods::{self, Method},
    rows::Rows,
    template::{Template, Values},
};

/// The maximum number of calls whose messages are encoded to check them.
const MAX_CHECKED: u64 = 10_000;

/// The maximum size of their JSON, in bytes: a message may be long.
const MAX_CHECKED_TOGETHER: usize = 64 << 20;

/// When they are due: about now, so that `{{now ms}}` is as long as in a run.
const CHECKED_DUE: u64 = 1_790_000_000_123_456_789;

/// How much of a message is shown that is wrong, in bytes.
const MAX_SHOWN: usize = 200;

/// What is given as the message of a call.
#[derive(Clone, Debug)]
pub(super) enum Given {
    /// The same each time: JSON, or a message's bytes.
    Same(Bytes),
    /// JSON with placeholders.
    Varying(Template),
}

impl Given {
    /// Whether values of placeholders are drawn.
    pub(super) fn is_random(&self) -> bool {
        matches!(self, Self::Varying(template) if template.is_random())
    }
}

/// Messages that are made for each call.
#[derive(Clone, Debug)]
pub(crate) struct VaryingMessages {
    template: Template,
    method: Method,
    encoding: Encoding,
}

impl VaryingMessages {
    pub(super) fn new(template: Template, method: Method, encoding: Encoding) -> Self {
        Self { template, method, encoding }
    }

    /// Encodes those of the first calls: of each row that they take values from, and of each choice.
    pub(super) fn check(&self, rows: Option<&Rows>) -> Result<(), PlanError> {
        let rows_checked = rows.map_or(0, |rows| rows.len() as u64);
        let count = self.template.variants().max(rows_checked).min(MAX_CHECKED);
        let mut left = MAX_CHECKED_TOGETHER;
        for number in 0..count {
            let row = rows.map(|rows| (rows, number));
            let values = Values { seed: 0, number, due: CHECKED_DUE, row, length: 0, crc32c: 0, id: None };
            let json = rendered(&self.template.variant(number), &values);
            self.encode(&json).map_err(|why| self.method.refused(&why))?;
            left = left.saturating_sub(json.len());
            if left == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Those of one call, with their prefixes.
    ///
    /// # Errors
    /// With the values of this call, they are not of the method's type.
    pub(crate) fn render(&self, values: &Values<'_>) -> Result<Box<[Bytes]>, String> {
        let contents = self.encode(&rendered(&self.template, values))?;
        Ok(contents.iter().map(|content| methods::framed(content, self.encoding)).collect())
    }

    /// The same as people read them.
    pub(crate) fn shown(&self, values: &Values<'_>) -> String {
        match self.method.messages(Some(&rendered(&self.template, values))) {
            Ok((_, shown)) => shown,
            Err(PlanError(refusal)) => format!("[{refusal}]"),
        }
    }

    fn encode(&self, json: &[u8]) -> Result<Vec<Vec<u8>>, String> {
        self.method.encode(json).map_err(|why| {
            let shown = String::from_utf8_lossy(&json[..json.len().min(MAX_SHOWN)]);
            let cut = if json.len() > MAX_SHOWN { "..." } else { "" };
            format!("{why} of {shown}{cut}")
        })
    }
}

fn rendered(template: &Template, values: &Values<'_>) -> Vec<u8> {
    let mut json = Vec::new();
    template.render(values, &mut json);
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::template::{TextContext, ValueSources};

    fn messages(method: &str, json: &str, encoding: Encoding) -> VaryingMessages {
        let sources = ValueSources { rows: None, env: &|_| None };
        let template = Template::compile(json.as_bytes(), TextContext::Json, 0, &sources).unwrap();
        let method = Method::find(&methods::known(), "echo.EchoService", method, "x").unwrap();
        VaryingMessages::new(template, method, encoding)
    }

    fn values(number: u64) -> Values<'static> {
        Values { seed: 1, number, due: 0, row: None, length: 0, crc32c: 0, id: None }
    }

    #[test]
    fn a_call_has_its_own_messages_and_the_same_each_time() {
        let list = r#"[{"message": "{{seq}}"}, {"message": "{{uuid}}", "timestamp": {{seq}}}]"#;
        for encoding in [Encoding::Identity, Encoding::Gzip] {
            let messages = messages("StreamEcho", list, encoding);
            messages.check(None).unwrap();
            let [one, again, other] = [7, 7, 8].map(|number| messages.render(&values(number)).unwrap());
            assert!(one.len() == 2 && one == again && one != other);
            let contents = methods::contents(&one.concat());
            assert_eq!(contents[0], b"\x0a\x017");
            assert!(contents[1].starts_with(b"\x0a\x24") && contents[1].ends_with(b"\x10\x07"));
        }
        let shown = messages("StreamEcho", list, Encoding::Identity).shown(&values(7));
        assert!(
            shown.starts_with("{\"message\":\"7\"}\n{\"message\":\"") && shown.lines().count() == 2,
            "{shown}"
        );
    }

    #[test]
    fn each_choice_and_the_ends_of_a_range_are_checked_however_many_choices_there_are() {
        let choices: Vec<_> = (0..300).map(|number| number.to_string()).collect();
        let json = |last: &str| format!("{{\"timestamp\": {{{{pick {} {last}}}}}}}", choices.join(" "));
        let check = |json: &str| messages("Echo", json, Encoding::Identity).check(None);
        assert!(check(&json("300")).is_ok());
        assert!(check(&json("x")).unwrap_err().to_string().contains("of {\"timestamp\": x}"));
        assert!(check(r#"{"responseCode": {{random -2147483648 2147483647}}}"#).is_ok());
        for range in ["-2147483649 0", "0 2147483648"] {
            assert!(check(&format!("{{\"responseCode\": {{{{random {range}}}}}}}")).is_err(), "{range}");
        }
    }
}
