//! The names of each program and crate: no two types that more than one file sees share one, and no module at the root
//! has that of a crate of the workspace. So a name means one thing wherever it stands in a program.
//!
//! Names are read from the sources. Types inside functions and modules in line don't count, nor does what only tests
//! contain.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use syn::{Item, Visibility};

use crate::layers::{attributes, is_for_tests, is_root, modules};

tests!();

/// The folders whose `src` is looked at, the programs first.
const FOLDERS: &[&str] = &[
    "dummy-server",
    "loadgen",
    "bench",
    "integration",
    "crates/command_line",
    "crates/contract",
    "crates/grpc",
    "crates/http1",
    "crates/http2",
    "crates/runtime",
    "crates/transport",
    "crates/websocket",
    "crates/wire",
];

fn each_name_means_one_thing_within_a_program() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let crates = crate::invariants::crate_names();
    let mut faults = Vec::new();
    for folder in FOLDERS {
        let sources = root.join(folder).join("src");
        let types = visible_types(&sources);
        assert!(!types.is_empty(), "{folder}: the search is real");
        let shared = shared_types(&types).into_iter().chain(shadowed_crates(&sources, &crates));
        faults.extend(shared.map(|fault| format!("{folder}: {fault}")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn every_crate_of_the_workspace_is_looked_at() {
    let folders = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates")).expect("a folder");
    for folder in folders {
        let name = format!("crates/{}", folder.expect("an entry").file_name().to_string_lossy());
        assert!(FOLDERS.contains(&name.as_str()), "{name} is not in the list");
    }
}

fn names_that_mean_two_things_are_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |file: &str, text: &str| {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    };
    write("lib.rs", "mod wire; mod low; pub enum Shared { A }");
    write(
        "wire.rs",
        "pub(crate) struct Shared; struct Own; pub trait Once {} #[cfg(test)] pub struct Tested;",
    );
    write(
        "low/mod.rs",
        "struct Own; pub type Tested = u8; #[cfg(unix)] pub struct Twice; #[cfg(not(unix))] pub struct Twice;",
    );
    write("low/http1.rs", "pub(super) union Once { a: u8 }");
    write("low/tests.rs", "pub struct Once;");
    assert_eq!(
        shared_types(&visible_types(folder.path())),
        ["Once names types of low/http1.rs and wire.rs", "Shared names types of lib.rs and wire.rs"]
    );
    let crates = ["wire", "http1"].map(str::to_owned).into();
    assert_eq!(shadowed_crates(folder.path(), &crates), ["wire.rs has the name of the crate wire"]);
}

/// The files of each name of a type that is visible outside its own file.
type Types = BTreeMap<String, BTreeSet<String>>;

fn visible_types(sources: &Path) -> Types {
    let mut types = Types::new();
    for path in modules(sources).into_values().chain(["lib.rs", "main.rs"].map(|root| sources.join(root))) {
        // A program has one of the two roots, or both.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if parsed.attrs.iter().any(is_for_tests) {
            continue;
        }
        let items = parsed.items.iter().filter(|item| !attributes(item).iter().any(is_for_tests));
        for name in items.filter_map(visible_type) {
            types.entry(name).or_default().insert(shown(sources, &path));
        }
    }
    types
}

fn visible_type(item: &Item) -> Option<String> {
    let (visibility, name) = match item {
        Item::Enum(item) => (&item.vis, &item.ident),
        Item::Struct(item) => (&item.vis, &item.ident),
        Item::Trait(item) => (&item.vis, &item.ident),
        Item::Type(item) => (&item.vis, &item.ident),
        Item::Union(item) => (&item.vis, &item.ident),
        _ => return None,
    };
    (!matches!(visibility, Visibility::Inherited)).then(|| name.to_string())
}

/// Which names are of types in several files, as sentences.
fn shared_types(types: &Types) -> Vec<String> {
    let shared = types.iter().filter(|(_, files)| files.len() > 1);
    shared
        .map(|(name, files)| {
            let files: Vec<_> = files.iter().map(String::as_str).collect();
            format!("{name} names types of {}", files.join(" and "))
        })
        .collect()
}

/// Which modules at the root have the name of a crate, as sentences.
fn shadowed_crates(sources: &Path, crates: &BTreeSet<String>) -> Vec<String> {
    let modules = modules(sources);
    let shadowing = modules.iter().filter(|(module, _)| is_root(module) && crates.contains(*module));
    shadowing
        .map(|(module, path)| format!("{} has the name of the crate {module}", shown(sources, path)))
        .collect()
}

/// A file as it is named in a message.
fn shown(sources: &Path, path: &Path) -> String {
    path.strip_prefix(sources).expect("a file of the sources").to_string_lossy().into_owned()
}
