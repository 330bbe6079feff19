//! Writes a summary, for people or for programs. Each form is `write(&Summary, &mut dyn Write)`.

pub mod json;
pub mod text;
