//! `fuzz <target>`: mutates the corpus until the time is up or something is wrong; then the input is saved.

#![expect(clippy::print_stdout, reason = "it is a program for people")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Parser;
use fuzz::{TARGETS, Target, mutate::Fuzzer};

/// Mutates the corpus of a target until the time is up or an input fails, which is saved.
#[derive(Debug, Parser)]
struct Args {
    /// What is fuzzed
    #[arg(value_parser = TARGETS.iter().map(|target| target.name).collect::<Vec<_>>())]
    target: String,
    /// How long, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Another seed makes other inputs
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where inputs that fail are saved
    #[arg(long, default_value = "target/fuzz-failures")]
    failures: PathBuf,
    /// Save inputs that met something new in this folder, those of the corpus, too
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// An input that takes more of a CPU than this has failed. On a busy machine that may be much more of the clock.
const LONGEST: Duration = Duration::from_secs(10);

/// What runs now, and how much CPU time the process had used when it began.
static CURRENT: Mutex<Option<(Duration, Vec<u8>)>> = Mutex::new(None);

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let target = fuzz::target(&args.target).context("no such target")?;
    fs::create_dir_all(&args.failures)?;
    save_what_fails(target, &args.failures);
    let mut fuzzer = Fuzzer::new(target, args.seed, Vec::new());
    for input in corpus(target)? {
        if run(&mut fuzzer, &input)
            && let Some(folder) = &args.keep
        {
            save(folder, &input)?;
        }
    }
    println!("{}: the corpus meets {} different things", target.name, fuzzer.met());
    let (began, mut said) = (Instant::now(), Instant::now());
    let mut inputs = 0_u64;
    while began.elapsed() < Duration::from_secs(args.seconds) {
        for _ in 0..100 {
            let input = fuzzer.next_input();
            if run(&mut fuzzer, &input)
                && let Some(folder) = &args.keep
            {
                save(folder, &input)?;
            }
            inputs += 1;
        }
        if said.elapsed() > Duration::from_secs(60) {
            said = Instant::now();
            println!("{}: {inputs} inputs, {} different things", target.name, fuzzer.met());
        }
    }
    println!("{}: {inputs} inputs, {} different things, no failure", target.name, fuzzer.met());
    Ok(())
}

fn run(fuzzer: &mut Fuzzer, input: &[u8]) -> bool {
    set_current(Some((cpu_time(), input.to_vec())));
    let new = fuzzer.run(input);
    set_current(None);
    new
}

/// Of this process, nearly all of which the target uses.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

fn set_current(current: Option<(Duration, Vec<u8>)>) {
    *CURRENT.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = current;
}

/// Saves the input when the target panics, and when it does not come to an end.
fn save_what_fails(target: &'static Target, folder: &Path) {
    let save_current = {
        let folder = folder.to_owned();
        move || {
            let current = CURRENT.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
            if let Some((_, input)) = current {
                let saved = save(&folder, &input);
                println!("{}: this input fails: {saved:?}", target.name);
            }
        }
    };
    let usual = std::panic::take_hook();
    let on_panic = save_current.clone();
    std::panic::set_hook(Box::new(move |panic| {
        usual(panic);
        on_panic();
    }));
    thread::spawn(move || {
        loop {
            thread::sleep(Duration::from_secs(1));
            let late = |current: &Option<(Duration, _)>| {
                current.as_ref().is_some_and(|(since, _)| cpu_time().saturating_sub(*since) > LONGEST)
            };
            if late(&CURRENT.lock().unwrap_or_else(std::sync::PoisonError::into_inner)) {
                save_current();
                std::process::abort();
            }
        }
    });
}

/// Saves an input under a name that follows from it.
fn save(folder: &Path, input: &[u8]) -> anyhow::Result<PathBuf> {
    let name = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    fs::create_dir_all(folder)?;
    let path = folder.join(format!("{name:016x}"));
    fs::write(&path, input)?;
    Ok(path)
}

fn corpus(target: &Target) -> anyhow::Result<Vec<Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let mut paths = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("no corpus in {}", folder.display()))? {
        paths.push(entry?.path());
    }
    paths.sort();
    paths.into_iter().map(|path| Ok(fs::read(path)?)).collect()
}
