//! The layers of both programs and of the bench: a file uses only what lies below it, and files that use each other lie in one folder.
//!
//! Paths are read from the sources themselves, those in `use` lines and those inside functions, types and macros. What
//! only tests contain does not count.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Attribute, ImplItem, Item, ItemMod, ItemUse, Macro, Meta, Stmt, UseTree,
    visit::{self, Visit},
};

tests!();

/// The layers of dummy-server, from the top down. Modules in one line are side by side: they use each other, or not. A
/// name stands for all that is below it in folders.
const DUMMY_SERVER: &[&[&str]] = &[
    &["fuzzing"],
    &["config"],
    &["args"],
    &["admin"],
    &["process"],
    &["listener", "accept", "signals"],
    &["worker", "ended"],
    &["fleet"],
    &["connection"],
    &["exchange"],
    // What of a connection lies below this line is all that endpoints and behaviours see of one.
    &["lifecycle"],
    &["endpoints", "grpc_services", "cors"],
    &["behaviour"],
    &["router"],
    &["access_log"],
    &["message"],
    &["lifecycle::orders", "context"],
    &["budget", "turn", "buffers"],
    &["stats", "ledger"],
    &["handshakes", "protocol", "cut", "counter", "clock", "drain", "peer"],
    &["settings"],
    &["tls", "secret", "shown", "boolean", "named"],
];

fn files_of_dummy_server_use_only_what_lies_below_them() {
    assert_layered("dummy-server", DUMMY_SERVER);
}

/// The layers of loadgen.
const LOADGEN: &[&[&str]] = &[
    &["planted"],
    &["cli"],
    &["embedded", "fuzzing"],
    &["run"],
    &["worker"],
    &["control"],
    &["report"],
    &["verdict"],
    &["summary"],
    &["verify"],
    &["recorder"],
    &["probe"],
    &["resolve"],
    &["plan"],
    &["schedule", "pacer", "search", "compare"],
    &["outcome"],
    &["numbers", "comparison"],
    &["clock"],
];

fn files_of_loadgen_use_only_what_lies_below_them() {
    assert_layered("loadgen", LOADGEN);
}

/// The layers of the bench.
const BENCH: &[&[&str]] = &[
    &["bin"],
    &["measure", "crowd", "growth", "proxies", "split"],
    &["record", "report"],
    &["sample"],
    &["rows"],
    &["client", "server"],
    &["probe", "process", "responder", "machine", "tools"],
    &["args", "load", "cpu", "memory", "interrupt", "certificate", "ratio", "arrivals"],
];

fn files_of_the_bench_use_only_what_lies_below_them() {
    assert_layered("bench", BENCH);
}

fn assert_layered(package: &str, layers: &[&[&str]]) {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(package).join("src");
    let program = Program::read(&sources);
    assert!(
        program.files.len() > 20 && program.uses.values().any(|used| used.len() > 5),
        "the search is real"
    );
    let faults = program.faults(layers);
    assert!(faults.is_empty(), "{package}:\n{}", faults.join("\n"));
}

fn a_file_above_another_and_a_wide_cycle_are_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |file: &str, text: &str| {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    };
    write("lib.rs", "mod top; mod middle; mod low; pub use low::Low;");
    write("top.rs", "use crate::{middle::{self, one}, low::Low as Renamed}; fn f() { middle::two::go() }");
    write("middle/mod.rs", "pub mod one; pub mod two;");
    write("middle/one.rs", "pub fn go() { super::two::go() } #[cfg(test)] mod tests { use crate::top::f; }");
    write("middle/two.rs", "pub fn go() { println!(\"{}\", crate::middle::one::go as usize) }");
    write("low.rs", "pub struct Low(crate::top::Top); use crate::Low as Exported;");
    let program = Program::read(folder.path());
    let layers: &[&[&str]] = &[&["top"], &["middle"], &["low"]];
    assert_eq!(
        program.faults(layers),
        [
            "low uses the root's re-export crate::Low",
            "low uses top, which lies above it",
            "a cycle of files in several folders: low, top",
        ]
    );
    let missing: &[&[&str]] = &[&["top"], &["low"]];
    assert!(program.faults(missing).contains(&"middle::one lies in no layer".to_owned()));
    // Within its folder, a cycle is allowed.
    assert!(program.cycles().contains(&vec!["middle::one".to_owned(), "middle::two".to_owned()]));
}

/// The files of a program, by their module paths (`a::b`), and which others each uses.
struct Program {
    files: BTreeMap<String, PathBuf>,
    uses: BTreeMap<String, BTreeSet<String>>,
    /// Names of the root that are not modules, by file.
    exports: BTreeMap<String, BTreeSet<String>>,
}

impl Program {
    fn read(sources: &Path) -> Self {
        let files = modules(sources);
        let (mut uses, mut exports) = (BTreeMap::new(), BTreeMap::new());
        for (module, path) in &files {
            let text = fs::read_to_string(path).expect("a source is readable");
            let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{module}: {error}"));
            let mut paths = Paths::default();
            if !parsed.attrs.iter().any(is_for_tests) {
                paths.visit_file(&parsed);
            }
            let (mut used, mut exported) = (BTreeSet::new(), BTreeSet::new());
            for path in paths.found {
                match resolve(module, &path, &files) {
                    Some(Target::File(file)) if file != *module => drop(used.insert(file)),
                    Some(Target::Root(name)) => drop(exported.insert(name)),
                    _ => {}
                }
            }
            uses.insert(module.clone(), used);
            exports.insert(module.clone(), exported);
        }
        Self { files, uses, exports }
    }

    /// What is wrong, as sentences.
    fn faults(&self, layers: &[&[&str]]) -> Vec<String> {
        let mut faults = Vec::new();
        for (module, names) in &self.exports {
            faults
                .extend(names.iter().map(|name| format!("{module} uses the root's re-export crate::{name}")));
        }
        for (module, used) in &self.uses {
            let Some(own) = layer(module, layers) else {
                faults.push(format!("{module} lies in no layer"));
                continue;
            };
            for other in used {
                if layer(other, layers).is_some_and(|theirs| theirs < own) {
                    faults.push(format!("{module} uses {other}, which lies above it"));
                }
            }
        }
        for cycle in self.cycles() {
            let folder = |module: &String| self.files[module].parent().map(Path::to_path_buf);
            let folders: BTreeSet<_> = cycle.iter().map(folder).collect();
            // The files of the root don't count as one folder.
            let at_the_root = cycle.iter().any(|module| is_root(module) && !self.is_folder(module));
            if folders.len() > 1 || at_the_root {
                faults.push(format!("a cycle of files in several folders: {}", cycle.join(", ")));
            }
        }
        faults
    }

    fn is_folder(&self, module: &str) -> bool {
        self.files[module].ends_with("mod.rs")
    }

    /// Files that use each other, directly or through others; each list is sorted.
    fn cycles(&self) -> Vec<Vec<String>> {
        let reached: BTreeMap<&String, BTreeSet<&String>> =
            self.uses.keys().map(|module| (module, self.reached(module))).collect();
        let mut cycles = BTreeSet::new();
        for (module, others) in &reached {
            let cycle: Vec<String> = others
                .iter()
                .filter(|other| reached[**other].contains(module))
                .map(|one| (*one).clone())
                .collect();
            if cycle.len() > 1 {
                cycles.insert(cycle);
            }
        }
        cycles.into_iter().collect()
    }

    fn reached(&self, module: &String) -> BTreeSet<&String> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&String> = self.uses[module].iter().collect();
        while let Some(next) = open.pop() {
            if found.insert(next) {
                open.extend(&self.uses[next]);
            }
        }
        found
    }
}

/// All sources by their module paths (`a::b`), but the roots of crates, and what only tests contain by its name.
pub(crate) fn modules(sources: &Path) -> BTreeMap<String, PathBuf> {
    let mut files = BTreeMap::new();
    collect(sources, sources, &mut files);
    files
}

/// Whether a module lies at the root of its crate.
pub(crate) fn is_root(module: &str) -> bool {
    !module.contains("::")
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder is readable") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(root, &path, files);
            continue;
        }
        let inside = path.strip_prefix(root).expect("below the root").with_extension("");
        let parts: Vec<_> = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        let module = parts.join("::");
        let module = module.strip_suffix("::mod").unwrap_or(&module);
        if path.extension().is_some_and(|extension| extension == "rs")
            && !["lib", "main", "tests"].contains(&module)
            && !module.ends_with("::tests")
        {
            files.insert(module.to_owned(), path);
        }
    }
}

/// The layer of a module: that of the longest name in the table that it is, or is below.
fn layer(module: &str, layers: &[&[&str]]) -> Option<usize> {
    let is_in =
        |name: &str| module.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    let names = layers
        .iter()
        .zip(0..)
        .flat_map(|(names, index)| names.iter().map(move |name| (name.len(), index, *name)));
    names.filter(|(_, _, name)| is_in(name)).max().map(|(_, index, _)| index)
}

enum Target {
    File(String),
    Root(String),
}

/// Where a path leads, if it is one of the crate's.
fn resolve(module: &str, path: &[String], files: &BTreeMap<String, PathBuf>) -> Option<Target> {
    let own: Vec<&str> = module.split("::").collect();
    let supers = path.iter().take_while(|part| *part == "super").count();
    let (base, rest): (&[&str], &[String]) = match path.first().map(String::as_str) {
        Some("crate") => (&[], &path[1..]),
        Some("self") => (&own, &path[1..]),
        Some("super") => (&own[..own.len().checked_sub(supers)?], &path[supers..]),
        // A module of the file itself, or of the root where it is named before.
        Some(first) if files.contains_key(&[module, first].join("::")) => (&own, path),
        _ => return None,
    };
    let full: Vec<&str> = base.iter().copied().chain(rest.iter().map(String::as_str)).collect();
    let file =
        (1..=full.len()).rev().map(|length| full[..length].join("::")).find(|name| files.contains_key(name));
    match file {
        Some(file) => Some(Target::File(file)),
        None => full.first().map(|name| Target::Root((*name).to_owned())),
    }
}

/// The paths in a file.
#[derive(Default)]
struct Paths {
    found: Vec<Vec<String>>,
}

impl Paths {
    fn tree(&mut self, tree: &UseTree, before: &[String]) {
        let with = |name: &syn::Ident| before.iter().cloned().chain([name.to_string()]).collect::<Vec<_>>();
        match tree {
            UseTree::Path(path) => self.tree(&path.tree, &with(&path.ident)),
            UseTree::Name(name) if name.ident == "self" => self.found.push(before.to_vec()),
            UseTree::Name(name) => self.found.push(with(&name.ident)),
            UseTree::Rename(name) => self.found.push(with(&name.ident)),
            UseTree::Glob(_) => self.found.push(before.to_vec()),
            UseTree::Group(group) => group.items.iter().for_each(|item| self.tree(item, before)),
        }
    }

    /// Paths of the crate in what a macro is given: `crate::a::b`.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) if path.is_empty() && (name == "crate" || name == "super") => {
                    path.push(name.to_string());
                }
                TokenTree::Ident(name) if !path.is_empty() && colons == 2 => path.push(name.to_string()),
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                    colons += 1;
                    continue;
                }
                TokenTree::Group(group) => {
                    self.end(&mut path);
                    self.tokens(group.stream());
                }
                _ => self.end(&mut path),
            }
            colons = 0;
        }
        self.end(&mut path);
    }

    fn end(&mut self, path: &mut Vec<String>) {
        if path.len() > 1 {
            self.found.push(std::mem::take(path));
        }
        path.clear();
    }
}

pub(crate) fn is_for_tests(attribute: &Attribute) -> bool {
    matches!(&attribute.meta, Meta::List(list) if list.path.is_ident("cfg") && list.tokens.to_string() == "test")
}

pub(crate) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item(&mut self, item: &'ast Item) {
        if !attributes(item).iter().any(is_for_tests) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        if !matches!(item, ImplItem::Fn(function) if function.attrs.iter().any(is_for_tests)) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        let attributes = match statement {
            Stmt::Expr(syn::Expr::Call(call), _) => &call.attrs[..],
            _ => &[],
        };
        if !attributes.iter().any(is_for_tests) {
            visit::visit_stmt(self, statement);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        // A module in line is a part of its file.
        visit::visit_item_mod(self, module);
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.tree(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            self.found.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }
}
