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

/// The most calls whose messages are made to check them.
const MAX_CHECKED: u64 = 10_000;

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

    /// Makes those of the first calls: of each row that they take values from, and of each choice.
    pub(super) fn check(&self, rows: Option<&Rows>) -> Result<(), PlanError> {
        let rows_checked = rows.map_or(0, |rows| rows.len() as u64);
        let count = self.template.variants().max(rows_checked).min(MAX_CHECKED);
        for number in 0..count {
            let row = rows.map(|rows| (rows, number));
            let values = Values { seed: 0, number, due: CHECKED_DUE, row, length: 0, id: None };
            let variant = self.template.variant(number);
            self.of(&variant, &values).map_err(|why| self.method.refused(&why))?;
        }
        Ok(())
    }

    /// Those of one call, with their prefixes.
    ///
    /// # Errors
    /// With the values of this call, they are not of the method's type.
    pub(crate) fn render(&self, values: &Values<'_>) -> Result<Box<[Bytes]>, String> {
        self.of(&self.template, values)
    }

    /// The same as people read them.
    pub(crate) fn shown(&self, values: &Values<'_>) -> String {
        let mut json = Vec::new();
        self.template.render(values, &mut json);
        match self.method.messages(Some(&json)) {
            Ok((_, shown)) => shown,
            Err(PlanError(refusal)) => format!("[{refusal}]"),
        }
    }

    fn of(&self, template: &Template, values: &Values<'_>) -> Result<Box<[Bytes]>, String> {
        let mut json = Vec::new();
        template.render(values, &mut json);
        let contents = self.method.encode(&json).map_err(|why| {
            let shown = String::from_utf8_lossy(&json[..json.len().min(MAX_SHOWN)]);
            let cut = if json.len() > MAX_SHOWN { "..." } else { "" };
            format!("{why} of {shown}{cut}")
        })?;
        Ok(contents.iter().map(|content| methods::framed(content, self.encoding)).collect())
    }
}
