//! Behaviour on request, as a client sees it that hides nothing.

mod aborts;
mod chances;
mod content;
mod control;
mod heads;
mod numbers;

use integration::cases::Cases;

pub(crate) fn tests() -> Cases {
    Cases::new()
        .and(aborts::tests())
        .and(heads::tests())
        .and(content::tests())
        .and(chances::tests())
        .and(control::tests())
        .and(numbers::tests())
}
