//! The side-by-side harness: dummy-server and loadgen against their peers, on one machine, in one run.
//!
//! [`args`] says what to compare, [`rows`] what that means and under which [`load`], [`tools`] where the programs are, [`machine`]
//! where this runs. [`measure`] holds the control flow: it starts each [`server`], checks it with [`probe`],
//! runs each [`client`], one after the other, and reads [`cpu`] and the [`runtime::round_trip`] between both CPUs before and
//! after, its [`memory`] where connections lie idle, or the [`arrivals`] that a server noted. [`crowd`] is by itself: it
//! opens as many connections as go. So is [`growth`]: it compares loadgen's memory in a short and a long run. [`proxies`] keeps
//! what reverse proxies do, as `loadgen probe` and `loadgen compare` say it. [`split`] holds a planted proxy's clock against what
//! `loadgen --verify` says of the ways there and back.
//! [`report`] makes the tables of [`sample`]s by way of [`ratio`]; [`record`] keeps everything. Everything started is a [`process`]
//! and dies with its value.
//!
//! Everything here leans on /proc, epoll and CPU affinity as Linux has them; elsewhere this library is empty.
#![cfg(target_os = "linux")]

pub mod args;
pub mod arrivals;
pub mod certificate;
pub mod client;
pub mod cpu;
pub mod crowd;
pub mod growth;
pub mod interrupt;
pub mod load;
pub mod machine;
pub mod measure;
pub mod memory;
pub mod probe;
pub mod process;
pub mod proxies;
pub mod ratio;
pub mod record;
pub mod report;
pub mod responder;
pub mod rows;
pub mod sample;
pub mod server;
pub mod split;
pub mod tools;

use std::{
    collections::BTreeSet,
    env,
    fmt::Write as _,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;
use args::{Args, Mode};
use machine::Machine;
use measure::{Bench, DisturbanceLimits};
use record::Record;
use sample::Standing;
use tools::{Tool, Tools};

/// Seconds of a measurement that only shows that it works.
const SMOKE_SECONDS: f64 = 0.5;

/// Runs the comparisons, prints their tables to standard output and keeps the record; false if a contender
/// failed. A missed target and a peer that is not installed do not count as failures.
///
/// # Errors
/// The arguments name no row, our programs cannot be built, the record cannot be written, or the user
/// interrupted.
pub fn run(args: &Args) -> Result<bool> {
    match args.mode {
        Mode::Crowd => return crowd(args),
        Mode::Growth => return growth(args),
        Mode::Proxies => return proxies(args),
        Mode::Split => return split(args),
        _ => {}
    }
    let seconds = if args.smoke { SMOKE_SECONDS } else { args.seconds };
    let mut rows = rows::of(args.mode, seconds, args.smoke, &args.only)?;
    if args.is_beside_before() {
        rows::beside_before(&mut rows, args);
    }
    let machine = Machine::here(args)?;
    let contenders = rows.iter().flat_map(|row| &row.contenders);
    let wanted: BTreeSet<Tool> =
        contenders.flat_map(|one| [one.server.tool(), one.client.tool()]).flatten().collect();
    let tools = Tools::find(args, &wanted)?;
    interrupt::listen()?;
    if args.mode == Mode::Memory {
        // Before any server starts, which inherits it.
        client::idle::allow(rows.iter().map(|row| row.load.connections).max().unwrap_or_default())?;
    }

    let date = today();
    let record = match folder(args, &date, &machine) {
        Some(folder) => Some(Record::create(&folder, args.mode)?),
        None => None,
    };
    let programs = programs(&wanted, &tools);
    let mut table = head(args, seconds, &date, &machine, &programs);
    print(&table)?;

    let dir = tempfile::tempdir()?;
    server::write_site(dir.path())?;
    certificate::write(dir.path())?;
    let rounds = if args.smoke { 1 } else { args.rounds };
    let bench = Bench {
        tools: &tools,
        machine: &machine,
        dir: dir.path(),
        rounds,
        limits: if args.smoke {
            DisturbanceLimits::NONE
        } else {
            DisturbanceLimits { stolen: args.most_stolen / 100.0, round_trip: args.max_round_trip }
        },
        warm_up: !args.smoke,
        record: record.as_ref(),
    };
    let mut measured = Vec::new();
    for row in rows {
        let standings = bench.row(&row)?;
        let section = format!("\n{}", report::row(&row, &standings));
        print(&section)?;
        table.push_str(&section);
        measured.push((row, standings));
    }
    if let Some(record) = &record {
        record.finish(&date, &machine, &programs, &measured, &table)?;
    }
    let mut standings = measured.iter().flat_map(|(_, standings)| standings);
    Ok(!standings.any(|standing| matches!(standing, Standing::Failed(_))))
}

/// Opens the crowd's connections, prints the tables and keeps them.
fn crowd(args: &Args) -> Result<bool> {
    let rows = crowd::rows(&args.only)?;
    let machine = Machine::here(args)?;
    let tools = Tools::find(args, &BTreeSet::new())?;
    interrupt::listen()?;
    let date = today();
    let programs = vec![("dummy-server".to_owned(), tools.version(Tool::DummyServer))];
    let dir = tempfile::tempdir()?;
    // Before any process starts, which inherits it.
    let limits = crowd::limits::SystemLimits::here()?;
    let wanted = if args.smoke { args.connections.min(crowd::SMOKE) } else { args.connections };
    let crowd = crowd::Crowd { tools: &tools, machine: &machine, dir: dir.path(), wanted, limits };
    let mut table = about(args, &date, &machine) + &crowd.head() + &versions(&programs);
    print(&table)?;
    for row in rows {
        let section = format!("\n{}", crowd.row(row)?);
        print(&section)?;
        table.push_str(&section);
    }
    keep(args, &date, &machine, &table)?;
    Ok(true)
}

/// Compares the memory of a short and a long run, prints the table and keeps it; false if the long one took too much.
fn growth(args: &Args) -> Result<bool> {
    growth::check(&args.only)?;
    let machine = Machine::here(args)?;
    let tools = Tools::find(args, &BTreeSet::new())?;
    interrupt::listen()?;
    let date = today();
    let programs = [Tool::DummyServer, Tool::Loadgen].map(|one| (one.name().to_owned(), tools.version(one)));
    let dir = tempfile::tempdir()?;
    let short = if args.smoke { growth::SMOKE } else { growth::SHORT };
    let mut table = about(args, &date, &machine) + &versions(&programs);
    print(&table)?;
    let runs = growth::Growth { tools: &tools, machine: &machine, dir: dir.path(), short };
    let (section, met) = runs.row()?;
    let section = format!("\n{section}");
    print(&section)?;
    table.push_str(&section);
    keep(args, &date, &machine, &table)?;
    Ok(met)
}

/// Asks all proxies that are installed what they do and what they cost, prints what is kept of it, and keeps it.
fn proxies(args: &Args) -> Result<bool> {
    let wanted = proxies::wanted(&args.only)?;
    let machine = Machine::here(args)?;
    let tools = Tools::find(args, &BTreeSet::new())?;
    interrupt::listen()?;
    let date = today();
    let head = about(args, &date, &machine) + &versions(&[]);
    let kept = tempfile::tempdir()?;
    let folder = folder(args, &date, &machine).map(|folder| folder.join("proxies"));
    let folder = folder.unwrap_or_else(|| kept.path().to_path_buf());
    fs::create_dir_all(&folder)?;
    let record =
        proxies::Proxies { tools: &tools, folder: &folder, seconds: args.seconds, smoke: args.smoke };
    let table = record.keep(&wanted, &head)?;
    print(&table)?;
    Ok(true)
}

/// Measures whether what a proxy holds back is shown on its way, prints the table and keeps it; false if it is not.
fn split(args: &Args) -> Result<bool> {
    split::check(&args.only)?;
    let machine = Machine::here(args)?;
    let tools = Tools::find(args, &BTreeSet::new())?;
    interrupt::listen()?;
    let date = today();
    let programs = [Tool::DummyServer, Tool::Loadgen].map(|one| (one.name().to_owned(), tools.version(one)));
    let dir = tempfile::tempdir()?;
    let rounds = if args.smoke { 1 } else { args.rounds };
    let mut table = about(args, &date, &machine) + &versions(&programs);
    print(&table)?;
    let runs = split::Split { tools: &tools, machine: &machine, dir: dir.path(), rounds, smoke: args.smoke };
    let (section, met) = runs.row()?;
    let section = format!("\n{section}");
    print(&section)?;
    table.push_str(&section);
    keep(args, &date, &machine, &table)?;
    Ok(met)
}

fn today() -> String {
    jiff::Timestamp::now().to_string().chars().take(10).collect()
}

/// Writes the table of a mode that keeps nothing else, if a record is wanted.
fn keep(args: &Args, date: &str, machine: &Machine, table: &str) -> Result<()> {
    if let Some(folder) = folder(args, date, machine) {
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(format!("{}.md", args.mode.name())), table)?;
    }
    Ok(())
}

/// Where the record goes, if one is wanted.
fn folder(args: &Args, date: &str, machine: &Machine) -> Option<PathBuf> {
    if args.out.is_some() || args.smoke {
        return args.out.clone();
    }
    // Cargo says where the package lies; without it, runs are kept where the program is started.
    let runs = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("bench"), PathBuf::from);
    Some(runs.join("runs").join(format!("{date}-{}", machine.label)))
}

/// Every program the rows take, with its version or that it is not there.
fn programs(wanted: &BTreeSet<Tool>, tools: &Tools) -> Vec<(String, String)> {
    let about = |tool: Tool| match tools.path(tool) {
        Some(_) => tools.version(tool),
        None => "not installed".to_owned(),
    };
    wanted.iter().map(|&tool| (tool.name().to_owned(), about(tool))).collect()
}

fn head(args: &Args, seconds: f64, date: &str, machine: &Machine, programs: &[(String, String)]) -> String {
    let mut text = about(args, date, machine);
    let rounds = if args.smoke { 1 } else { args.rounds };
    // A row says so where its measurements take as long as its aim is stated for.
    let of = if args.mode == Mode::Memory { String::new() } else { format!(" of {seconds} s") };
    let _ = writeln!(text, "- {rounds} rounds{of}, order reversed every round");
    if !args.smoke {
        let stolen = args.most_stolen;
        let far = if machine.server_cpu == machine.client_cpu {
            String::new()
        } else {
            format!(", or a cache line took more than {} ns from CPU to CPU and back,", args.max_round_trip)
        };
        let _ = writeln!(
            text,
            "- Rounds in which more than {stolen}% was stolen{far} are measured again where they can be"
        );
    }
    text + &versions(programs)
}

fn about(args: &Args, date: &str, machine: &Machine) -> String {
    let mut text = format!("# bench {}, {date}\n\n", args.mode.name());
    if args.smoke {
        text.push_str("A smoke run: it shows that the rows work, and its figures mean nothing.\n\n");
    }
    let Machine { cpu_model, cpus, kernel, server_cpu, client_cpu, .. } = machine;
    let _ = writeln!(text, "- Machine: {cpu_model}, {cpus} CPUs, Linux {kernel}");
    if args.mode == Mode::Proxies {
        text.push_str("- Everything on all CPUs\n");
        return text;
    }
    let _ = writeln!(text, "- Servers on CPU {server_cpu}, clients on CPU {client_cpu}");
    if server_cpu == client_cpu {
        text.push_str("- Both sides share one CPU: rates are halved, and there is no round trip between CPUs to measure\n");
    }
    text
}

fn versions(programs: &[(String, String)]) -> String {
    let mut text = String::new();
    if let Some(commit) = commit() {
        let _ = writeln!(text, "- Commit: {commit}");
    }
    for (name, version) in programs {
        let _ = writeln!(text, "- {name}: {version}");
    }
    text
}

/// The commit measured, if this is a working copy and git is there.
fn commit() -> Option<String> {
    let git = |words: &[&str]| {
        let folder = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| ".".into());
        let output = Command::new("git").current_dir(Path::new(&folder)).args(words).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let id = git(&["rev-parse", "--short", "HEAD"])?;
    let changed =
        git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|list| !list.is_empty());
    Some(if changed { format!("{id} with changes") } else { id })
}

fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
