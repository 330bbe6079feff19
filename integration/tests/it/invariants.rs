//! The invariants of ARCHITECTURE.md that the dependency graph and the manifests can prove.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use cargo_metadata::{CargoOpt, DependencyKind, Metadata, MetadataCommand, Node, Package, PackageId};

tests!();

/// Crates that open sockets, files or threads, or drive crates that do.
const IO: [&str; 12] = [
    "async-std",
    "axum",
    "h2",
    "hyper",
    "hyper-util",
    "mio",
    "rustix",
    "smol",
    "socket2",
    "tokio",
    "tonic",
    "tower",
];

fn the_server_never_depends_on_the_generator() {
    let below = closure(
        "dummy-server",
        &[DependencyKind::Normal, DependencyKind::Build, DependencyKind::Development],
    );
    assert!(below.contains("contract"), "the closure is real: {below:?}");
    assert!(!below.contains("loadgen"));
}

fn loadgen_depends_on_the_server_only_by_an_optional_default_feature() {
    let loadgen = package("loadgen");
    let edges: Vec<_> = loadgen.dependencies.iter().filter(|d| d.name == "dummy-server").collect();
    let [edge] = edges.as_slice() else { panic!("one edge, not {edges:?}") };
    assert!(edge.optional, "the dependency is optional");
    assert_eq!(edge.kind, DependencyKind::Normal);
    let default = &loadgen.features["default"];
    assert!(default.iter().any(|feature| feature == "embedded"), "{default:?}");
    let enabling: Vec<_> =
        loadgen.features.iter().filter(|(_, on)| on.iter().any(|f| f == "dep:dummy-server")).collect();
    assert_eq!(enabling.len(), 1, "{enabling:?}");
    assert_eq!(enabling[0].0, "embedded");
}

fn contract_and_protocol_crates_depend_on_no_io() {
    for (name, known) in [
        ("contract", "prost"),
        ("wire", "bytes"),
        ("http1", "wire"),
        ("http2", "wire"),
        ("grpc", "wire"),
        ("websocket", "base64"),
    ] {
        let below = closure(name, &[DependencyKind::Normal]);
        assert!(below.contains(known), "the closure of {name} is real: {below:?}");
        let found: Vec<_> = IO.iter().filter(|io| below.contains(**io)).collect();
        assert!(found.is_empty(), "{name}: {found:?}");
    }
}

/// hyper and h2 come with axum, which serves the admin port, and with tonic, whose services are called through an
/// engine of ours. Nothing else that the programs name leads to them; loadgen has its embedded server alone.
fn the_programs_use_their_own_http_engines() {
    const FOREIGN: [&str; 3] = ["h2", "hyper", "hyper-util"];
    let tonic = ["axum", "tonic", "tonic-health", "tonic-prost", "tonic-reflection", "tonic-types"];
    for (program, ways) in [("dummy-server", &tonic[..]), ("loadgen", &["dummy-server"])] {
        let direct = direct_dependencies(program);
        for engine in ["http1", "http2"] {
            assert!(direct.contains(engine), "{program} speaks by {engine}: {direct:?}");
        }
        for dependency in direct.iter().filter(|name| !ways.contains(&name.as_str())) {
            let below = linked_below(dependency);
            let found: Vec<_> =
                FOREIGN.iter().filter(|name| *name == dependency || below.contains(**name)).collect();
            assert!(found.is_empty(), "{program} comes by {dependency} to {found:?}");
        }
    }
    assert!(linked_below("axum").contains("hyper"), "the search is real");
}

/// transport makes two system calls that have no safe binding: it repeats all lints but one.
const UNSAFE: &str = "transport";

fn images_are_built_from_every_package() {
    let root = metadata().workspace_root.as_std_path();
    let kept = fs::read_to_string(root.join(".dockerignore")).expect("the file is there");
    for package in workspace() {
        let folder =
            package.manifest_path.strip_prefix(&metadata().workspace_root).expect("a package of ours");
        let line = format!("!{}", folder.iter().next().expect("a package has a folder"));
        assert!(kept.lines().any(|kept| kept == line), ".dockerignore has no {line}");
    }
}

fn every_package_inherits_the_lints() {
    for package in workspace() {
        if package.name == UNSAFE {
            continue;
        }
        let lints = manifest(package).lines().skip_while(|line| *line != "[lints]").nth(1).map(str::to_owned);
        assert_eq!(lints.as_deref(), Some("workspace = true"), "{}", package.name);
    }
}

fn the_package_that_needs_unsafe_code_repeats_all_other_lints() {
    let workspace = fs::read_to_string(root_manifest()).expect("the workspace's manifest is readable");
    let own = manifest(package(UNSAFE));
    for tool in ["rust", "clippy"] {
        let (inherited, own) = (
            table(&workspace, &format!("[workspace.lints.{tool}]")),
            table(&own, &format!("[lints.{tool}]")),
        );
        assert!(inherited.len() > 3, "the table is real: {inherited:?}");
        let differing: Vec<_> = inherited.symmetric_difference(&own).collect();
        let expected: &[&str] =
            if tool == "rust" { &["unsafe_code = \"deny\"", "unsafe_code = \"forbid\""] } else { &[] };
        assert_eq!(differing, expected.iter().collect::<Vec<_>>());
    }
}

/// The entries of a table of a manifest.
fn table<'a>(manifest: &'a str, header: &str) -> BTreeSet<&'a str> {
    let lines = manifest.lines().skip_while(|line| *line != header).skip(1);
    lines.take_while(|line| !line.starts_with('[')).filter(|line| line.contains('=')).collect()
}

fn every_package_inherits_the_workspace_metadata() {
    for package in workspace() {
        let manifest = manifest(package);
        for key in ["version", "edition", "rust-version", "license", "publish"] {
            let line = format!("{key}.workspace = true");
            assert!(manifest.lines().any(|l| l == line), "{} lacks {line}", package.name);
        }
    }
}

fn no_dependency_has_a_wildcard_version() {
    for package in workspace() {
        for dependency in &package.dependencies {
            let wildcard = dependency.path.is_none() && dependency.req.to_string().contains('*');
            assert!(!wildcard, "{} takes any {}", package.name, dependency.name);
        }
    }
}

fn versions_are_named_in_the_workspace_alone() {
    for package in workspace() {
        let manifest = manifest(package);
        let tables = manifest.split("\n[").filter(|table| table.contains("dependencies]"));
        for line in tables.flat_map(|table| table.lines().skip(1)) {
            let entry = !line.trim().is_empty() && !line.starts_with('#');
            assert!(!entry || line.contains("workspace = true"), "{}: {line}", package.name);
        }
    }
}

fn the_supported_version_of_rust_is_the_one_that_everything_is_built_with() {
    let root = metadata().workspace_root.as_std_path();
    let value = |file: &str, name: &str| {
        let text = fs::read_to_string(root.join(file)).expect("the file is there");
        let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
        line.unwrap_or_else(|| panic!("{file} has no {name}")).trim_matches('"').to_owned()
    };
    let pinned = value("rust-toolchain.toml", "channel = ");
    let (minor, _patch) = pinned.rsplit_once('.').expect("three numbers");
    assert_eq!(value("Dockerfile", "ARG RUST_VERSION="), minor, "the images");
    for package in workspace() {
        let supported = package.rust_version.as_ref().expect("a version");
        assert_eq!(format!("{}.{}", supported.major, supported.minor), minor, "{}", package.name);
    }
}

fn metadata() -> &'static Metadata {
    static METADATA: OnceLock<Metadata> = OnceLock::new();
    METADATA.get_or_init(|| {
        let mut command = MetadataCommand::new();
        command.manifest_path(root_manifest()).features(CargoOpt::AllFeatures);
        command.other_options(vec!["--locked".to_owned()]);
        command.exec().expect("cargo describes the workspace")
    })
}

fn root_manifest() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml")
}

fn workspace() -> Vec<&'static Package> {
    metadata().workspace_packages()
}

fn package(name: &str) -> &'static Package {
    let found = workspace().into_iter().find(|package| package.name == name);
    found.unwrap_or_else(|| panic!("the workspace has {name}"))
}

fn manifest(package: &Package) -> String {
    fs::read_to_string(&package.manifest_path).expect("a manifest is readable")
}

/// The names of all packages of the workspace, as crates have them.
pub(crate) fn crate_names() -> BTreeSet<String> {
    workspace().iter().map(|package| package.name.replace('-', "_")).collect()
}

/// The names of the packages that one of ours links and names itself.
fn direct_dependencies(name: &str) -> BTreeSet<String> {
    let normal = package(name).dependencies.iter().filter(|edge| edge.kind == DependencyKind::Normal);
    normal.map(|edge| edge.name.clone()).collect()
}

/// The names of all packages that a package of ours depends on by edges of these kinds, itself not included.
fn closure(name: &str, kinds: &[DependencyKind]) -> BTreeSet<String> {
    below(&package(name).id, kinds)
}

/// The names of all packages that are linked with any package of the graph, of each version there is of it.
fn linked_below(name: &str) -> BTreeSet<String> {
    let versions = metadata().packages.iter().filter(|package| package.name == name);
    versions.flat_map(|package| below(&package.id, &[DependencyKind::Normal])).collect()
}

/// Development and build edges count only for the root: below it they are not linked.
fn below(root: &PackageId, kinds: &[DependencyKind]) -> BTreeSet<String> {
    let graph = metadata().resolve.as_ref().expect("the graph is resolved");
    let nodes: BTreeMap<&PackageId, &Node> = graph.nodes.iter().map(|node| (&node.id, node)).collect();
    let mut found = BTreeSet::new();
    let mut open = vec![root];
    while let Some(id) = open.pop() {
        let wanted = if id == root { kinds } else { &[DependencyKind::Normal] };
        for edge in &nodes[id].deps {
            let linked = edge.dep_kinds.iter().any(|kind| wanted.contains(&kind.kind));
            if linked && found.insert(&edge.pkg) {
                open.push(&edge.pkg);
            }
        }
    }
    found.into_iter().map(|id| metadata()[id].name.to_string()).collect()
}
