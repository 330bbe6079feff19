//! Files: how many may be open, which is the limit of connections, and reading those that a user names.

use std::{
    fs::File,
    io::{self, Cursor, Read},
    path::Path,
};

/// The process's limit of open files; `u64::MAX` is unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLimit {
    /// What held when the process started.
    pub before: u64,
    /// What holds now.
    pub now: u64,
}

/// Raises the soft limit of open files to the hard limit.
///
/// # Errors
/// The system refuses.
#[cfg(unix)]
pub fn raise_limit() -> io::Result<FileLimit> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let before = limit.current.unwrap_or(u64::MAX);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(FileLimit { before, now: limit.maximum.unwrap_or(u64::MAX) })
}

/// Raises the soft limit of open files to the hard limit.
///
/// # Errors
/// Always: this system has no such limit.
#[cfg(not(unix))]
pub fn raise_limit() -> io::Result<FileLimit> {
    Err(io::ErrorKind::Unsupported.into())
}

/// How many files the process may have open; `u64::MAX` is unlimited. File numbers are below it.
#[must_use]
pub fn limit() -> u64 {
    #[cfg(unix)]
    return rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    #[cfg(not(unix))]
    return u64::MAX;
}

/// All of a file of at most `most` bytes.
///
/// # Errors
/// It can't be read, or has more.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let too_long = || {
        let most = if most.is_multiple_of(1024) { format!("{}K", most / 1024) } else { most.to_string() };
        io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {most}"))
    };
    let file = open(path)?;
    // What says its length need not be read to know that it is too long.
    let known = file.get_ref().1.metadata()?;
    if known.is_file() && known.len() > most {
        return Err(too_long());
    }
    let mut content = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > most { Err(too_long()) } else { Ok(content) }
}

/// A file that is read from its beginning. A named pipe that nothing writes to is not waited for: that may take for ever.
///
/// # Errors
/// It can't be opened, or is such a pipe.
#[cfg(unix)]
pub fn open(path: &Path) -> io::Result<io::Chain<Cursor<Vec<u8>>, File>> {
    use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};

    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let no_wait = OFlags::NONBLOCK.bits().cast_signed();
    let mut file = File::options().read(true).custom_flags(no_wait).open(path)?;
    let mut first = Vec::new();
    if file.metadata()?.file_type().is_fifo() {
        first.resize(4096, 0);
        let count = match file.read(&mut first) {
            Ok(0) => {
                return Err(io::Error::new(io::ErrorKind::BrokenPipe, "it is a pipe that nothing writes to"));
            }
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        first.truncate(count);
    }
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(Cursor::new(first).chain(file))
}

/// A file that is read from its beginning.
///
/// # Errors
/// It can't be opened.
#[cfg(not(unix))]
pub fn open(path: &Path) -> io::Result<io::Chain<Cursor<Vec<u8>>, File>> {
    Ok(Cursor::new(Vec::new()).chain(File::open(path)?))
}

/// A file to write into, from its beginning, and whether it was made for that. A named pipe that nothing reads is not waited for.
///
/// # Errors
/// It can't be opened, or is such a pipe.
pub fn to_write(path: &Path) -> io::Result<(File, bool)> {
    match File::options().write(true).create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok((that_is_there(path)?, false)),
        made => Ok((made?, true)),
    }
}

#[cfg(unix)]
fn that_is_there(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};

    use rustix::{
        fs::{OFlags, fcntl_getfl, fcntl_setfl},
        io::Errno,
    };
    let no_wait = OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().write(true).create(true).truncate(false).custom_flags(no_wait).open(path);
    let is_fifo = || path.metadata().is_ok_and(|about| about.file_type().is_fifo());
    let file = file.map_err(|error| match error.raw_os_error() {
        Some(code) if code == Errno::NXIO.raw_os_error() && is_fifo() => {
            io::Error::new(io::ErrorKind::BrokenPipe, "it is a pipe that nothing reads")
        }
        _ => error,
    })?;
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file)
}

#[cfg(not(unix))]
fn that_is_there(path: &Path) -> io::Result<File> {
    File::options().write(true).create(true).truncate(false).open(path)
}

#[cfg(all(test, unix))]
mod tests {
    use std::{io::Write as _, thread};

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn files_are_read_up_to_a_limit_whatever_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let said = |path: &Path, most| read(path, most).unwrap_err().to_string();
        let file = folder.path().join("file");
        std::fs::write(&file, [7; 2048]).unwrap();
        assert_eq!(read(&file, 2048).unwrap(), [7; 2048]);
        assert_eq!(said(&file, 2047), "it has more than 2047");
        assert_eq!(said(&file, 1024), "it has more than 1K");
        assert_eq!(said(Path::new("/dev/zero"), 1 << 20), "it has more than 1024K");
        assert_eq!(read(Path::new("/dev/null"), 1).unwrap(), []);
        assert!(said(folder.path(), 1).contains("directory"), "{}", said(folder.path(), 1));
    }

    #[test]
    fn a_pipe_is_written_to_if_something_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        assert_eq!(to_write(&pipe).unwrap_err().to_string(), "it is a pipe that nothing reads");
        let mut reader = File::options().read(true).write(true).open(&pipe).unwrap();
        let (mut file, is_new) = to_write(&pipe).unwrap();
        file.write_all(b"report").unwrap();
        let mut read = [0; 6];
        reader.read_exact(&mut read).unwrap();
        assert_eq!((&read, is_new), (b"report", false));
        assert!(to_write(&folder.path().join("new")).unwrap().1);
        assert!(to_write(folder.path()).is_err());
    }

    #[test]
    fn a_pipe_is_read_if_something_writes_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        assert_eq!(read(&pipe, 10).unwrap_err().to_string(), "it is a pipe that nothing writes to");
        // Both ends are open before anything is written, as the shell has it in <(command).
        let holder = File::options().read(true).write(true).open(&pipe).unwrap();
        let (from, open_end) = (pipe.clone(), File::options().write(true).open(&pipe).unwrap());
        let reading = thread::spawn(move || read(&from, 300_000));
        let mut writer = open_end;
        // More than a pipe holds: it is being read when this is done.
        writer.write_all(&[1; 200_000]).unwrap();
        drop((writer, holder));
        assert_eq!(reading.join().unwrap().unwrap().len(), 200_000);
    }

    #[test]
    fn raising_the_file_limit_twice_is_idempotent() {
        let first = raise_limit().unwrap();
        let second = raise_limit().unwrap();
        assert_eq!(second, FileLimit { before: first.now, now: first.now });
        assert_eq!(limit(), first.now);
    }
}
