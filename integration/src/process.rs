//! A child process whose output is read as it comes, and which does not outlive the test.

use std::{
    fmt,
    io::Read,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::PATIENCE;

/// A running program; killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    output: Arc<Output>,
    /// Its standard output, when it is not read.
    unread: Option<ChildStdout>,
}

/// What a program did.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it printed beside its results.
    pub stderr: String,
}

/// What has been read so far; the condition variable signals more, and of the ends of both streams.
#[derive(Debug, Default)]
struct Output {
    text: Mutex<Text>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Text {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    ended: u8,
}

#[derive(Clone, Copy)]
enum Stream {
    Out,
    Err,
}

impl Process {
    /// Starts a program without input.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        Self::with_input(command, Stdio::null())
    }

    /// The same, with something to read.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn with_input(command: &mut Command, input: impl Into<Stdio>) -> Self {
        let mut process = Self::unread(command, input);
        let stdout = process.unread.take().expect("piped");
        Output::collect(&process.output, Stream::Out, stdout);
        process
    }

    /// The same, but its output is not read.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn unread(command: &mut Command, input: impl Into<Stdio>) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let spawned = command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let output = Arc::new(Output::default());
        let unread = child.stdout.take();
        let stderr = child.stderr.take().expect("piped");
        Output::collect(&output, Stream::Err, stderr);
        Self { name, child, output, unread }
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).unwrap_or_else(|error| panic!("cannot signal {}: {error}", self.name));
    }

    /// Waits until standard error holds what is sought.
    ///
    /// # Panics
    /// When the program ends or the patience does before; the message has its output.
    pub fn await_stderr<T>(&self, what: &str, seek: impl Fn(&str) -> Option<T>) -> T {
        let found = self.seek_stderr(PATIENCE, seek);
        found.unwrap_or_else(|| panic!("{}: no {what}; it said:\n{}", self.name, self.output.shown()))
    }

    /// The same, and `None` when it does not come.
    pub fn seek_stderr<T>(&self, patience: Duration, seek: impl Fn(&str) -> Option<T>) -> Option<T> {
        let find = |text: &Text| seek(&String::from_utf8_lossy(&text.stderr));
        self.output.wait(patience, |text| find(text).map(Some).or((text.ended == 2).then_some(None)))?
    }

    /// Waits until standard output holds what is sought.
    ///
    /// # Panics
    /// When the program ends or the patience does before; the message has its output.
    pub fn await_stdout<T>(&self, what: &str, seek: impl Fn(&str) -> Option<T>) -> T {
        let found = self.seek_stdout(PATIENCE, seek);
        found.unwrap_or_else(|| panic!("{}: no {what}; it said:\n{}", self.name, self.output.shown()))
    }

    /// The same, and `None` when it does not come.
    pub fn seek_stdout<T>(&self, patience: Duration, seek: impl Fn(&str) -> Option<T>) -> Option<T> {
        let find = |text: &Text| seek(&String::from_utf8_lossy(&text.stdout));
        self.output.wait(patience, |text| find(text).map(Some).or((text.ended == 2).then_some(None)))?
    }

    /// Whether the program has ended.
    ///
    /// # Panics
    /// When the system does not say.
    #[must_use]
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }

    /// Waits for the end of the program's output, and no longer than so.
    pub fn wait_for_end(&self, most: Duration) {
        let streams = self.streams();
        let _ = self.output.wait(most, |text| (text.ended == streams).then_some(()));
    }

    /// How many of its streams are read.
    fn streams(&self) -> u8 {
        if self.unread.is_some() { 1 } else { 2 }
    }

    /// Waits for the end of the program.
    ///
    /// # Panics
    /// When it does not end within `patience`.
    #[must_use]
    pub fn finish(mut self, patience: Duration) -> Finished {
        let streams = self.streams();
        let ended = self.output.wait(patience, |text| (text.ended == streams).then_some(()));
        assert!(ended.is_some(), "{} still runs after {patience:?}:\n{}", self.name, self.output.shown());
        let code = self.child.wait().expect("a child can be waited for").code();
        let text = self.output.lock();
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Finished { code, stdout: lossy(&text.stdout), stderr: lossy(&text.stderr) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit {:?}\nstdout:\n{}\nstderr:\n{}", self.code, self.stdout, self.stderr)
    }
}

impl Output {
    fn collect(output: &Arc<Self>, stream: Stream, mut from: impl Read + Send + 'static) {
        let output = Arc::clone(output);
        thread::spawn(move || {
            let mut buffer = [0; 8192];
            loop {
                let read = from.read(&mut buffer).unwrap_or(0);
                let mut text = output.lock();
                match stream {
                    Stream::Out => text.stdout.extend_from_slice(&buffer[..read]),
                    Stream::Err => text.stderr.extend_from_slice(&buffer[..read]),
                }
                text.ended += u8::from(read == 0);
                drop(text);
                output.changed.notify_all();
                if read == 0 {
                    break;
                }
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, Text> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<T>(&self, patience: Duration, mut seek: impl FnMut(&Text) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + patience;
        let mut text = self.lock();
        loop {
            if let Some(found) = seek(&text) {
                return Some(found);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            text = self.changed.wait_timeout(text, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn shown(&self) -> String {
        let text = self.lock();
        format!("{}{}", String::from_utf8_lossy(&text.stdout), String::from_utf8_lossy(&text.stderr))
    }
}
