//! Optional programs: where they are, and which tests were skipped because one is missing.
//!
//! With `REQUIRE_TOOLS=all` a missing program fails the test instead.

use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    fs::File,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
    thread,
};

/// Finds an optional program: on `PATH`, in the system's directories or where Go installs.
///
/// When it is missing, the running test is recorded as skipped and must return immediately.
///
/// # Panics
/// When it is missing and `REQUIRE_TOOLS=all` is set.
#[must_use]
pub fn require(tool: &str) -> Option<PathBuf> {
    let found = find(tool);
    if found.is_none() {
        lack(tool, "not installed");
    }
    found
}

/// Records that the running test is skipped because it can't use an optional program. The test must return
/// immediately.
///
/// # Panics
/// When `REQUIRE_TOOLS=all` is set.
pub fn lack(tool: &str, why: &str) {
    let required = env::var_os("REQUIRE_TOOLS").is_some_and(|value| value == "all");
    assert!(!required, "REQUIRE_TOOLS=all is set and {tool}: {why}");
    skip(tool, why);
}

/// Records that the running test is skipped for want of something that `REQUIRE_TOOLS=all` does not demand,
/// such as a container engine. The test must return immediately.
pub fn skip(tool: &str, why: &str) {
    let test = current_test();
    let skip = Skip { tool: tool.to_owned(), why: why.to_owned() };
    SKIPS.lock().unwrap_or_else(PoisonError::into_inner).insert(test, skip);
}

/// Why a test was skipped, if it was.
pub(crate) fn skipped(test: &str) -> Option<String> {
    let skips = SKIPS.lock().unwrap_or_else(PoisonError::into_inner);
    skips.get(test).map(|skip| format!("{}: {}", skip.tool, skip.why))
}

/// The table of everything that was skipped; `None` when nothing was.
pub(crate) fn table() -> Option<String> {
    let skips = SKIPS.lock().unwrap_or_else(PoisonError::into_inner);
    let width = skips.keys().map(String::len).max()?;
    let mut table = format!(
        "skipped tests: {} (REQUIRE_TOOLS=all makes them fail, but for docker-engine)\n",
        skips.len()
    );
    for (test, skip) in skips.iter() {
        // Writing to a string does not fail.
        let _ = writeln!(table, "  {test:width$}  {}: {}", skip.tool, skip.why);
    }
    Some(table)
}

struct Skip {
    tool: String,
    why: String,
}

/// By test, so that a test which asks twice has one row.
static SKIPS: Mutex<BTreeMap<String, Skip>> = Mutex::new(BTreeMap::new());

/// Each test runs on a thread that carries its name.
fn current_test() -> String {
    thread::current().name().unwrap_or("a test").to_owned()
}

/// Where a program is.
pub(crate) fn find(tool: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let elsewhere = [
        PathBuf::from("/usr/sbin"),
        PathBuf::from("/usr/local/sbin"),
        PathBuf::from("/usr/local/go/bin"),
        home.join("go/bin"),
        home.join(".local/bin"),
    ];
    let found = env::split_paths(&path).chain(elsewhere).map(|dir| dir.join(tool)).find(|p| is_executable(p));
    if tool == "envoy" && !found.as_deref().is_some_and(is_elf) { envoy_of_python().or(found) } else { found }
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn is_elf(path: &Path) -> bool {
    let mut magic = [0; 4];
    File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *b"\x7fELF"
}

/// The PyPI package carries the binary inside; what it puts on `PATH` is a slow script.
fn envoy_of_python() -> Option<PathBuf> {
    let script = "import envoy, os; print(os.path.join(os.path.dirname(envoy.__file__), '_bin', 'envoy'))";
    let output = Command::new("python3").args(["-c", script]).output().ok()?;
    let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    is_executable(&path).then_some(path)
}
