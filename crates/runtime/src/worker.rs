//! One thread with one current-thread runtime: what both programs run per core.

use std::{io, thread};

use tokio::{runtime::Builder, task::LocalSet};

use crate::{affinity, polls};

/// Runs `main` to its end on a new thread with its own current-thread runtime and `LocalSet`.
///
/// `cpu` pins the thread; a refusal is logged and the thread runs unpinned. The runtime is built before the
/// thread starts, so that running out of files is an error here.
///
/// # Errors
/// The runtime or the thread can't be made.
pub fn spawn<T, F>(
    name: &str,
    cpu: Option<usize>,
    main: impl FnOnce() -> F + Send + 'static,
) -> io::Result<thread::JoinHandle<T>>
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    spawn_on(&mut Builder::new_current_thread(), name, cpu, main)
}

/// The same, on a thread of which [`polls`] knows when it last asked the system what is ready.
///
/// # Errors
/// The runtime or the thread can't be made.
pub fn spawn_observed<T, F>(
    name: &str,
    cpu: Option<usize>,
    main: impl FnOnce() -> F + Send + 'static,
) -> io::Result<thread::JoinHandle<T>>
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let mut builder = Builder::new_current_thread();
    spawn_on(builder.on_thread_park(polls::asking).on_thread_unpark(polls::answered), name, cpu, main)
}

fn spawn_on<T, F>(
    builder: &mut Builder,
    name: &str,
    cpu: Option<usize>,
    main: impl FnOnce() -> F + Send + 'static,
) -> io::Result<thread::JoinHandle<T>>
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let runtime = builder.enable_all().build()?;
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        if let Some(cpu) = cpu
            && let Err(error) = affinity::pin(cpu)
        {
            tracing::warn!(cpu, %error, "can't pin a worker, it runs unpinned");
        }
        LocalSet::new().block_on(&runtime, async move { main().await })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_runs_local_tasks_and_returns_its_result() {
        let worker = spawn("test-worker", None, || async {
            let task = tokio::task::spawn_local(async { std::rc::Rc::new(41) });
            *task.await.unwrap() + 1
        });
        assert_eq!(worker.unwrap().join().unwrap(), 42);
    }
}
