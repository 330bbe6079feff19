//! The CPU time of a contender's processes, and what of the machine's went elsewhere: read from the system.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use contract::quantity;

/// The maximum number of processes that are named of a contender.
pub(super) const MAX_PIDS: usize = 64;

/// What /proc counts CPU time in (USER_HZ), whatever the kernel's own clock does.
const TICKS_PER_SECOND: f64 = 100.0;

/// Fields of a line of /proc/PID/stat, counted from the state, which follows the name in parentheses.
const PARENT: usize = 1;
const FIRST_TIME: usize = 11;
const TIMES: usize = 4;

/// The place of steal among the times of a CPU in /proc/stat, and how many of them there are without those of guests, which are in
/// the others already.
const STEAL: usize = 7;
const ALL_TIMES: usize = 8;

/// Whose CPU time is counted as a contender's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CpuOf {
    /// These processes, and all that they have started.
    Processes(Vec<u32>),
    /// All processes of a cgroup, version 2, by its folder.
    Cgroup(PathBuf),
}

impl CpuOf {
    /// Microseconds that they have used until now.
    pub(super) fn used(&self) -> io::Result<f64> {
        match self {
            Self::Cgroup(folder) => of_cgroup(folder),
            Self::Processes(pids) => Ok(ticks_of(pids)? as f64 * 1e6 / TICKS_PER_SECOND),
        }
    }
}

fn of_cgroup(folder: &Path) -> io::Result<f64> {
    let text = fs::read_to_string(folder.join("cpu.stat"))?;
    let found = text.lines().find_map(|line| quantity::count(line.strip_prefix("usage_usec ")?));
    found.map(|used| used as f64).ok_or_else(|| io::Error::other("cpu.stat has no usage_usec"))
}

/// Ticks of processes and of all below them, those that have ended among them.
fn ticks_of(pids: &[u32]) -> io::Result<u64> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // It may have ended meanwhile.
        if let Some(process) =
            fs::read_to_string(format!("/proc/{pid}/stat")).ok().as_deref().and_then(Process::read)
        {
            all.insert(pid, process);
        }
    }
    match pids.iter().find(|pid| !all.contains_key(pid)) {
        Some(gone) => Err(io::Error::other(format!("there is no process {gone}"))),
        None => Ok(with_descendants(pids, &all)),
    }
}

/// A process, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    parent: u32,
    /// Of its own, and of its children that have ended.
    ticks: u64,
}

impl Process {
    /// Reads a line of /proc/PID/stat, whose second field may have any character in it.
    fn read(line: &str) -> Option<Self> {
        let (_, behind_name) = line.rsplit_once(") ")?;
        let fields: Vec<&str> = behind_name.split(' ').collect();
        let times = fields.get(FIRST_TIME..FIRST_TIME + TIMES)?;
        // Those of children are signed.
        let times =
            times.iter().map(|time| time.parse::<i64>().ok().and_then(|time| u64::try_from(time).ok()));
        let ticks = times.collect::<Option<Vec<u64>>>()?.into_iter().fold(0, u64::saturating_add);
        Some(Self { parent: fields.get(PARENT)?.parse().ok()?, ticks })
    }
}

fn with_descendants(pids: &[u32], all: &BTreeMap<u32, Process>) -> u64 {
    let is_below = |mut pid: u32| {
        // No chain of parents is longer than there are processes.
        for _ in 0..=all.len() {
            if pids.contains(&pid) {
                return true;
            }
            let Some(process) = all.get(&pid) else { return false };
            pid = process.parent;
        }
        false
    };
    let below = all.iter().filter(|(pid, _)| is_below(**pid));
    below.fold(0, |sum, (_, process)| sum.saturating_add(process.ticks))
}

/// Times of all CPUs of the machine until now: what went to other machines, and all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stolen {
    steal: u64,
    all: u64,
}

impl Stolen {
    /// Until now; none where the system does not say.
    pub(super) fn now() -> Option<Self> {
        Self::read(&fs::read_to_string("/proc/stat").ok()?)
    }

    fn read(text: &str) -> Option<Self> {
        let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let times: Vec<u64> = line.split_ascii_whitespace().map_while(quantity::count).collect();
        let all = times.iter().take(ALL_TIMES).copied().fold(0, u64::saturating_add);
        Some(Self { steal: *times.get(STEAL)?, all })
    }

    /// The share of the time since then that went to other machines, from 0 to 1.
    pub(super) fn since(self, before: Self) -> f64 {
        let all = self.all.saturating_sub(before.all);
        if all == 0 { 0.0 } else { self.steal.saturating_sub(before.steal) as f64 / all as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name_is() {
        let line = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 100 20 3 4 20 0 9 0 1";
        assert_eq!(Process::read(line), Some(Process { parent: 7, ticks: 127 }));
        for line in [
            "",
            "42 (a",
            "42 (a) S",
            "42 (a) S x 1 1 1 1 1 1 1 1 1 1 2 3 4",
            "1 (a) S 1 1 1 1 1 1 1 1 1 1 1 -2 3 4",
        ] {
            assert_eq!(Process::read(line), None, "{line}");
        }
        let most = format!("1 (a) S 1 1 1 1 1 1 1 1 1 1 {0} {0} {0} {0}", i64::MAX);
        assert_eq!(Process::read(&most).map(|process| process.ticks), Some(u64::MAX));
    }

    #[test]
    fn processes_count_with_all_that_they_have_started_and_each_once() {
        let process = |parent, ticks| Process { parent, ticks };
        // 3 and 4 are below 2; 6 and 7 have each other as parents.
        let all = BTreeMap::from([
            (1, process(0, 1000)),
            (2, process(1, 1)),
            (3, process(2, 10)),
            (4, process(3, 100)),
            (6, process(7, 5)),
            (7, process(6, 5)),
        ]);
        assert_eq!(with_descendants(&[2], &all), 111);
        assert_eq!(with_descendants(&[2, 4], &all), 111);
        assert_eq!(with_descendants(&[4], &all), 100);
        assert_eq!(with_descendants(&[1], &all), 1111);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_used_a_cpu_and_one_that_is_not_there_is_named() {
        let own = CpuOf::Processes(vec![std::process::id()]);
        let before = own.used().unwrap();
        assert!(own.used().unwrap() >= before);
        let gone = CpuOf::Processes(vec![u32::MAX]).used().unwrap_err();
        assert_eq!(gone.to_string(), "there is no process 4294967295");
        let stolen = Stolen::now().unwrap();
        assert!((0.0..=1.0).contains(&Stolen::now().unwrap().since(stolen)));
    }

    #[test]
    fn a_cgroup_says_what_it_has_used() {
        let folder = tempfile::tempdir().unwrap();
        let cpu = CpuOf::Cgroup(folder.path().to_owned());
        assert!(cpu.used().is_err());
        fs::write(folder.path().join("cpu.stat"), "usage_usec 1234567\nuser_usec 1\n").unwrap();
        assert_eq!(cpu.used().unwrap().to_string(), "1234567");
        fs::write(folder.path().join("cpu.stat"), "user_usec 1\n").unwrap();
        assert!(cpu.used().unwrap_err().to_string().contains("usage_usec"));
    }

    #[test]
    fn steal_is_a_share_of_all_time_in_which_that_of_guests_counts_once() {
        let read = |line: &str| Stolen::read(line).unwrap();
        let before = read("cpu  100 0 0 800 0 0 0 0 50 0\ncpu0 1 2 3\n");
        let after = read("cpu  150 0 0 840 0 0 0 10 99 0\n");
        assert!((after.since(before) - 0.1).abs() < 1e-9);
        assert!(before.since(before).abs() < 1e-9);
        for text in ["", "cpu0 1 2 3 4 5 6 7 8", "cpu  1 2 3", "cpu  a b"] {
            assert_eq!(Stolen::read(text), None, "{text}");
        }
    }
}
