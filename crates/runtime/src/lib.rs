//! Threads for both ends: how many, where, and how many files they may open.
//!
//! [`cpus`] and [`memory`] report what the cgroup grants, [`affinity`] pins a thread to one, [`files`] raises the
//! open-file limit, [`monotonic`] reads the clock that all processes of a host share, [`worker`] starts one current-thread
//! runtime per core, [`polls`] reports how late such a thread may see what is ready, [`ready`] polls many with one task, [`mutex`] locks,
//! [`signals`] calls a function for each signal, [`host`] has the name of the machine,
//! [`round_trip`] is how far two CPUs are from each other. Nothing here knows a protocol.
//!
//! A worker for each CPU, which runs tasks that never leave its thread:
//!
//! ```
//! use std::rc::Rc;
//!
//! use runtime::{cpus, worker};
//!
//! let count = cpus::available().get();
//! let workers = (0..count).map(|index| {
//!     worker::spawn(&format!("worker-{index}"), None, move || async move {
//!         let task = tokio::task::spawn_local(async move { Rc::new(index) });
//!         *task.await.expect("the task does not panic")
//!     })
//! });
//! let workers = workers.collect::<Result<Vec<_>, _>>()?;
//! let indices: Vec<_> = workers.into_iter().map(|worker| worker.join().expect("no panic")).collect();
//! assert_eq!(indices, (0..count).collect::<Vec<_>>());
//! # Ok::<(), std::io::Error>(())
//! ```

pub mod affinity;
mod cgroup;
pub mod cpus;
pub mod files;
pub mod host;
pub mod memory;
pub mod monotonic;
pub mod mutex;
pub mod polls;
pub mod ready;
pub mod round_trip;
pub mod signals;
pub mod worker;
