//! How tests are listed and run.
//!
//! The test binary has its own `main`, because the standard harness cannot say at its end what was skipped.
//! The build step lists the functions whose signature is that of a test; a module with rows of tests adds them in a
//! function that returns [`Cases`]. Names come from the functions. Each test runs on its own thread with a time
//! limit, and an async one on a fresh current-thread runtime.

use std::{
    any::type_name,
    env,
    ffi::OsString,
    io::{self, Write as _},
    panic,
    process::ExitCode,
    sync::{PoisonError, RwLock, mpsc},
    thread,
    time::Duration,
};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use tokio::runtime::Builder;

use crate::{
    binaries,
    client::{Protocol, link},
    foreign, tools,
};

/// How long one test may take.
const TIME_LIMIT: Duration = Duration::from_secs(180);
/// The same where everything has its full size.
const FULL_TIME_LIMIT: Duration = Duration::from_secs(600);

/// Tests mostly wait (for delays, drains, rates), so more of them run concurrently than there are CPUs.
const TESTS_PER_CPU: usize = 2;

/// The first argument that runs the quick tests alone, in less than two minutes; others may follow.
const QUICK: &str = "quick";
/// Modules without quick tests: they attack or load the programs, run alone, or need third-party programs.
const NOT_QUICK: [&str; 18] = [
    "accounting",
    "attacks",
    "chart",
    "clients",
    "compose",
    "conformance",
    "encodings",
    "faulty_servers",
    "gateways",
    "haproxy_tls",
    "origins",
    "pacing",
    "proxied",
    "proxied_tls",
    "readme",
    "recipes",
    "tls_clients",
    "volume",
];

/// Tests share it; one that has to run alone has it for itself.
static MACHINE: RwLock<()> = RwLock::new(());

/// As a parameter of a test: it runs plain, and again with what is served and spoken inside TLS.
#[derive(Clone, Copy, Debug)]
pub struct AndTls;

/// The tests of a module, or of all modules.
#[derive(Debug, Default)]
pub struct Cases {
    trials: Vec<Trial>,
    alone: bool,
}

impl Cases {
    /// No tests yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// No tests yet; each of them will run while no other does, because it measures when something happens.
    #[must_use]
    pub fn alone() -> Self {
        Self { alone: true, ..Self::default() }
    }

    /// Adds a function that is a test.
    #[must_use]
    pub fn test<F: FnOnce() + Send + 'static>(self, body: F) -> Self {
        self.named(name_of::<F>().to_owned(), body)
    }

    /// Adds an async function that is a test.
    #[must_use]
    pub fn test_async<F: AsyncFnOnce() + Send + 'static>(self, body: F) -> Self {
        self.named(name_of::<F>().to_owned(), move || block_on(body()))
    }

    /// Adds an async function as one test for each protocol.
    #[must_use]
    pub fn over_each_protocol<F: AsyncFn(Protocol) + Copy + Send + 'static>(mut self, body: F) -> Self {
        for protocol in Protocol::ALL {
            let name = format!("{}::{protocol}", name_of::<F>());
            self = self.named(name, move || block_on(body(protocol)));
        }
        self
    }

    /// The same, and two tests more in which what is served and spoken is inside TLS.
    #[must_use]
    pub fn over_each_protocol_and_tls<F: AsyncFn(Protocol, AndTls) + Copy + Send + 'static>(
        mut self,
        body: F,
    ) -> Self {
        for protocol in Protocol::ALL {
            let name = format!("{}::{protocol}", name_of::<F>());
            self = self.over_tls_too(&name, "_tls", async move || body(protocol, AndTls).await);
        }
        self
    }

    /// Adds an async function as a test, and as one in which what is served and spoken is inside TLS.
    #[must_use]
    pub fn test_async_and_tls<F: AsyncFn(AndTls) + Copy + Send + 'static>(self, body: F) -> Self {
        self.over_tls_too(name_of::<F>(), "::tls", async move || body(AndTls).await)
    }

    fn over_tls_too(self, name: &str, suffix: &str, body: impl AsyncFn() + Copy + Send + 'static) -> Self {
        self.named(name.to_owned(), move || block_on(body())).named(format!("{name}{suffix}"), move || {
            link::go_over_tls();
            block_on(body());
        })
    }

    /// Adds a test under its own name, for tests that exist once for each member of a family.
    #[must_use]
    pub fn named(mut self, name: String, body: impl FnOnce() + Send + 'static) -> Self {
        let (title, alone) = (name.clone(), self.alone);
        self.trials.push(Trial::ignorable_test(name, move || {
            // Waiting for the others takes none of the test's own time.
            let (_shared, _own);
            if alone {
                _own = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
            } else {
                _shared = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
            }
            run_limited(&title, body)
        }));
        self
    }

    /// Adds the tests of a module.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.trials.extend(other.trials);
        self
    }

    /// Runs the tests as the command line says, and prints the table of what was skipped at the end.
    #[must_use]
    pub fn run(mut self) -> ExitCode {
        let mut words: Vec<OsString> = env::args_os().collect();
        if words.iter().any(|word| word == "--help" || word == "-h") {
            say(&format!(
                "USAGE: {QUICK} [OPTIONS] [FILTER]\n\nAll tests but those of {}.\n",
                NOT_QUICK.join(", ")
            ));
        }
        let quick = words.get(1).is_some_and(|word| word == QUICK);
        if quick {
            words.remove(1);
            for name in NOT_QUICK {
                let has_tests = self.trials.iter().any(|trial| module(trial.name()) == name);
                assert!(has_tests, "NOT_QUICK lists {name}, a module without tests");
            }
            self.trials.retain(|trial| !NOT_QUICK.contains(&module(trial.name())));
        }
        let mut arguments = Arguments::from_iter(words);
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        arguments.test_threads.get_or_insert(cpus * TESTS_PER_CPU);
        if !arguments.list {
            binaries::prepare();
            if !quick {
                foreign::prepare();
            }
        }
        let conclusion = libtest_mimic::run(&arguments, self.trials);
        if let Some(table) = tools::table() {
            say(&table);
        }
        let ran = conclusion.num_passed + conclusion.num_failed + conclusion.num_ignored;
        if quick && !arguments.list && ran == 0 {
            say("error: no quick test has such a name; without 'quick' all tests are searched");
            return ExitCode::FAILURE;
        }
        conclusion.exit_code()
    }
}

fn say(text: &str) {
    // Standard output may be closed.
    let _ = writeln!(io::stdout(), "{text}");
}

/// The outermost module of a test.
fn module(name: &str) -> &str {
    name.split_once("::").map_or(name, |(module, _)| module)
}

/// Whether tests that move much move all of it, because `FULL` is set.
#[must_use]
pub fn is_full() -> bool {
    env::var_os("FULL").is_some_and(|value| !value.is_empty())
}

/// Runs an async body as the tests do.
///
/// # Panics
/// When the body does, or when the system has no resources for a runtime.
pub fn block_on<T>(body: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_all().build().expect("a runtime starts").block_on(body)
}

/// `it::http::heads_have_no_body` is listed as `http::heads_have_no_body`.
fn name_of<F>() -> &'static str {
    let path = type_name::<F>();
    path.split_once("::").map_or(path, |(_, rest)| rest)
}

fn run_limited(name: &str, body: impl FnOnce() + Send + 'static) -> Result<Completion, Failed> {
    let (done, ended) = mpsc::sync_channel(1);
    let runner = move || {
        let outcome = panic::catch_unwind(panic::AssertUnwindSafe(body));
        // The receiver is gone when the time limit has passed, and has reported that.
        let _ = done.send(outcome);
    };
    thread::Builder::new().name(name.to_owned()).spawn(runner)?;
    let limit = if is_full() { FULL_TIME_LIMIT } else { TIME_LIMIT };
    match ended.recv_timeout(limit) {
        Ok(Ok(())) => Ok(match tools::skipped(name) {
            Some(reason) => Completion::ignored_with(reason),
            None => Completion::Completed,
        }),
        Ok(Err(panic)) => panic::resume_unwind(panic),
        Err(_) => Err(Failed::from(format!("took longer than {} s", limit.as_secs()))),
    }
}
