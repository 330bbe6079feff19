//! Threads for both ends: how many, where, and how many files they may open.
//!
//! [`cpus`] and [`memory`] report what the cgroup grants, [`affinity`] pins a thread to one, [`files`] raises the
//! open-file limit, [`worker`] starts one current-thread runtime per core, [`polls`] reports how late such a thread may
//! see what is ready, [`ready`] polls many with one task. Nothing here knows a protocol.

pub mod affinity;
mod cgroup;
pub mod cpus;
pub mod files;
pub mod memory;
pub mod polls;
pub mod ready;
pub mod worker;
