//! The programs: found on PATH, or built from this workspace, with their versions.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    ffi::OsStr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use crate::args::{Args, Mode};

/// A program that is measured or measures.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Tool {
    /// Our server.
    DummyServer,
    /// Our server before a change.
    DummyServerBefore,
    /// Our client.
    Loadgen,
    /// Our client before a change.
    LoadgenBefore,
    /// nginx.
    Nginx,
    /// h2o.
    H2o,
    /// nghttpd, of nghttp2.
    Nghttpd,
    /// The gRPC server of this package.
    Tonic,
    /// The WebSocket server of this package.
    Tungstenite,
    /// The WebSocket client of this package.
    TungsteniteClient,
    /// The client of the crowd, of this package.
    CrowdClient,
    /// A client that is not ours, by its name, and the flag that prints its version if it has one.
    Client(&'static str, Option<&'static str>),
}

impl Tool {
    /// Name of the program.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DummyServer => "dummy-server",
            Self::DummyServerBefore => "dummy-server before",
            Self::Loadgen => "loadgen",
            Self::LoadgenBefore => "loadgen before",
            Self::Nginx => "nginx",
            Self::H2o => "h2o",
            Self::Nghttpd => "nghttpd",
            Self::Tonic => "tonic-server",
            Self::Tungstenite => "tungstenite-server",
            Self::TungsteniteClient => "tungstenite-client",
            Self::CrowdClient => "crowd-client",
            Self::Client(name, _) => name,
        }
    }

    const fn version_flag(self) -> Option<&'static str> {
        match self {
            Self::Nginx => Some("-V"),
            Self::CrowdClient => None,
            Self::Client(_, flag) => flag,
            _ => Some("--version"),
        }
    }
}

/// The programs that are there.
#[derive(Clone, Debug)]
pub struct Tools {
    paths: BTreeMap<Tool, PathBuf>,
}

impl Tools {
    /// Builds ours, unless paths are given, and looks on PATH for the others that are wanted.
    ///
    /// # Errors
    /// Ours cannot be built or found.
    pub fn find(args: &Args, wanted: &BTreeSet<Tool>) -> Result<Self> {
        let mut paths = ours(args)?;
        let path = env::var_os("PATH").unwrap_or_default();
        for &tool in wanted {
            if !paths.contains_key(&tool)
                && let Some(found) = on_path(tool.name(), &path)
            {
                paths.insert(tool, found);
            }
        }
        Ok(Self { paths })
    }

    /// Where a program is; none if it is not installed.
    #[must_use]
    pub fn path(&self, tool: Tool) -> Option<&Path> {
        self.paths.get(&tool).map(PathBuf::as_path)
    }

    /// A command that runs a program, without what the environment says to ours.
    ///
    /// # Errors
    /// It is not installed.
    pub fn command(&self, tool: Tool) -> Result<Command> {
        let path = self.path(tool).with_context(|| format!("{} is not installed", tool.name()))?;
        let mut command = Command::new(path);
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("DUMMY_SERVER_") || text.starts_with("LOADGEN_") {
                command.env_remove(&name);
            }
        }
        Ok(command)
    }

    /// What a program says about its version and what it does TLS with, in one line.
    #[must_use]
    pub fn version(&self, tool: Tool) -> String {
        let unknown = || "installed, version unknown".to_owned();
        let (Some(path), Some(flag)) = (self.path(tool), tool.version_flag()) else { return unknown() };
        let Ok(output) = Command::new(path).arg(flag).output() else { return unknown() };
        // nginx prints it as an error, and wrk ends with one.
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let text = text.split(" Copyright").next().unwrap_or_default();
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let Some(version) = lines.next() else { return unknown() };
        let library = lines.find(|line| line.starts_with("built with "));
        library.map_or_else(|| version.to_owned(), |library| format!("{version}, {library}"))
    }
}

fn ours(args: &Args) -> Result<BTreeMap<Tool, PathBuf>> {
    let folder = env::current_exe()?.parent().context("this program lies in no folder")?.to_path_buf();
    // Cargo names the folder of a build after its profile, but for one.
    let profile = match folder.file_name().and_then(OsStr::to_str) {
        None | Some("debug") => "dev",
        Some(name) => name,
    };
    let mut paths = BTreeMap::new();
    let mut packages = Vec::new();
    for (tool, given) in [(Tool::DummyServer, &args.dummy_server), (Tool::Loadgen, &args.loadgen)] {
        // A bare name would be looked for on PATH when it is started.
        let path = given.as_deref().map(std::path::absolute).transpose()?;
        let path = path.unwrap_or_else(|| folder.join(tool.name()));
        if given.is_none() {
            packages.extend(["-p", tool.name(), "--bin", tool.name()]);
        }
        paths.insert(tool, path);
    }
    let before =
        [(Tool::DummyServerBefore, &args.dummy_server_before), (Tool::LoadgenBefore, &args.loadgen_before)];
    for (tool, given) in before {
        if let Some(path) = given {
            paths.insert(tool, std::path::absolute(path)?);
        }
    }
    let own: &[Tool] = match args.mode {
        Mode::Server if !args.is_beside_before() => &[Tool::Tonic, Tool::Tungstenite],
        Mode::Client if !args.is_beside_before() => &[Tool::TungsteniteClient],
        Mode::Crowd => &[Tool::CrowdClient],
        _ => &[],
    };
    let builds = !packages.is_empty() || !own.is_empty();
    ensure!(
        !builds || !cfg!(debug_assertions) || args.smoke,
        "a debug build measures nothing: use cargo run --release -p bench, or --smoke"
    );
    if !packages.is_empty() {
        build(&packages, profile, folder.parent().context("this program lies in no target folder")?)?;
    }
    if !own.is_empty() {
        // By itself: what it takes of tonic must not get into ours.
        let target = folder.parent().context("this program lies in no target folder")?;
        let bins = own.iter().flat_map(|one| ["--bin", one.name()]);
        build(&["-p", "bench"].into_iter().chain(bins).collect::<Vec<_>>(), profile, target)?;
        paths.extend(own.iter().map(|one| (*one, folder.join(one.name()))));
    }
    for (tool, path) in &paths {
        if !is_program(path) {
            bail!("{} is not a program: give the path of {}", path.display(), tool.name());
        }
    }
    Ok(paths)
}

/// Builds into the same target folder that this program was built into.
fn build(packages: &[&str], profile: &str, target: &Path) -> Result<()> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--locked", "--profile", profile]).args(packages);
    command.arg("--target-dir").arg(target);
    // Cargo finds the workspace from here, wherever it was called itself.
    if let Some(package) = env::var_os("CARGO_MANIFEST_DIR") {
        command.current_dir(package);
    }
    let status = command.status().context("cargo could not be started")?;
    ensure!(status.success(), "cargo build {} failed", packages.join(" "));
    Ok(())
}

/// The first program of this name in `path`, or where a system keeps servers.
fn on_path(name: &str, path: &OsStr) -> Option<PathBuf> {
    env::split_paths(path)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| is_program(file))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
impl Tools {
    /// Programs at known places.
    pub(crate) fn at<const N: usize>(paths: [(Tool, PathBuf); N]) -> Self {
        Self { paths: BTreeMap::from(paths) }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;

    use super::*;

    /// A program of this shell script.
    pub(crate) fn program(folder: &Path, name: &str, script: &str) -> PathBuf {
        let file = folder.join(name);
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    #[test]
    fn a_program_is_found_in_the_first_folder_that_has_it() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        // A folder and a file that may not be executed are not programs.
        fs::create_dir(first.path().join("peer-x")).unwrap();
        fs::write(first.path().join("peer-y"), "").unwrap();
        for name in ["peer-x", "peer-y"] {
            program(second.path(), name, "");
        }
        let path = env::join_paths([first.path(), second.path()]).unwrap();
        for name in ["peer-x", "peer-y"] {
            assert_eq!(on_path(name, &path), Some(second.path().join(name)));
        }
        assert_eq!(on_path("peer-z", &path), None);
    }

    #[test]
    fn a_version_is_the_first_line_a_program_prints() {
        let folder = tempfile::tempdir().unwrap();
        let script = "echo; echo peer 1.2.3 Copyright >&2; echo more >&2; exit 1";
        let peer = Tool::Client("peer", Some("-v"));
        let tools = Tools::at([(peer, program(folder.path(), "peer", script))]);
        assert_eq!(tools.version(peer), "peer 1.2.3");
    }

    #[test]
    fn a_version_names_the_library_that_does_tls() {
        let folder = tempfile::tempdir().unwrap();
        let script = "printf 'peer 1.2.3\\nbuilt by cc\\nbuilt with a library 3.2.1\\nconfigured\\n' >&2";
        let tools = Tools::at([(Tool::Nginx, program(folder.path(), "peer", script))]);
        assert_eq!(tools.version(Tool::Nginx), "peer 1.2.3, built with a library 3.2.1");
    }
}
