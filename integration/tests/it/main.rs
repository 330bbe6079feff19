//! Both programs together, and real proxies between them.
//!
//! One binary with its own `main` (see `integration::cases`): a module lists its tests in `tests()`.

mod invariants;

use std::process::ExitCode;

use integration::cases::Cases;

fn main() -> ExitCode {
    Cases::new().and(invariants::tests()).run()
}
