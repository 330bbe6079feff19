//! Says what is being built, and how long it took: minutes may pass in which a test binary prints nothing else.

use std::{
    io::{self, Write},
    time::Instant,
};

/// Builds `what`, with a line on standard error before and one after.
pub(crate) fn building<T>(what: &str, build: impl FnOnce() -> T) -> T {
    building_to(&mut io::stderr(), what, build)
}

fn building_to<T>(out: &mut impl Write, what: &str, build: impl FnOnce() -> T) -> T {
    // Standard error may be closed.
    let _ = writeln!(out, "integration: building {what}, which may take minutes");
    let begun = Instant::now();
    let built = build();
    let _ = writeln!(out, "integration: building {what} took {:.1} s", begun.elapsed().as_secs_f64());
    built
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// What was written, in view of the build too.
    struct Shared<'a>(&'a RefCell<Vec<u8>>);

    impl Write for Shared<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_build_is_announced_before_it_starts_and_timed() {
        let out = RefCell::<Vec<u8>>::default();
        let said = || String::from_utf8(out.borrow().clone()).unwrap();
        let built = building_to(&mut Shared(&out), "both", || {
            assert_eq!(said(), "integration: building both, which may take minutes\n");
            7
        });
        assert_eq!(built, 7);
        let said = said();
        let last = said.lines().nth(1).unwrap();
        let seconds =
            last.strip_prefix("integration: building both took ").and_then(|rest| rest.strip_suffix(" s"));
        assert!(seconds.unwrap().parse::<f64>().is_ok(), "{last}");
    }
}
