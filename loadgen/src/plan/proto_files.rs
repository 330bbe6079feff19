//! Types from files: `.proto` sources, compiled without protoc, or sets of descriptors that protoc has written.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
};

use prost::Message as _;
use prost_reflect::DescriptorPool;
use prost_types::{
    FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet, MessageOptions,
    field_descriptor_proto::{Label, Type},
};
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver};

use super::{
    PlanError,
    accepted::{self, refused_because},
    request_options::read_file,
};

/// Extensions of sets of descriptors.
const SETS: [&str; 4] = ["protoset", "binpb", "pb", "bin"];

/// The largest set of descriptors, in bytes.
const MAX_SET: u64 = 64 << 20;

/// The maximum number of sources that are compiled together.
const MAX_SOURCES: usize = 10_000;

/// The stack of the thread that compiles sources, in bytes: enough for as many as each import the next.
const STACK: usize = 256 << 20;

/// The largest source that is compiled, in bytes.
const MAX_SOURCE: u64 = 16 << 20;

/// All that the files define, and what they import, which is looked for in `paths`: without any in the working directory,
/// and beside each file.
pub(super) fn compile(files: &[PathBuf], paths: &[PathBuf]) -> Result<DescriptorPool, PlanError> {
    let is_set = |file: &&PathBuf| {
        file.extension().and_then(|extension| extension.to_str()).is_some_and(|text| SETS.contains(&text))
    };
    let (sets, sources): (Vec<_>, Vec<_>) = files.iter().partition(is_set);
    let mut pool = DescriptorPool::new();
    for file in sets {
        add(&mut pool, read_set(file)?.file)
            .map_err(|why| refused_because(&accepted::PROTO, file.display(), why))?;
    }
    if let Some(first) = sources.first() {
        // A file that can't be read is reported as such, not as one that is in no folder of imports; and an endless one is not
        // compiled.
        sources.iter().try_for_each(|file| read_file(file, MAX_SOURCE, &accepted::PROTO).map(drop))?;
        let compiled = compile_sources(&sources, paths)
            .map_err(|why| refused_because(&accepted::PROTO, first.display(), why))?;
        add(&mut pool, compiled.file)
            .map_err(|why| refused_because(&accepted::PROTO, first.display(), why))?;
    }
    Ok(pool)
}

/// Adds files, those of editions as well.
///
/// # Errors
/// They are invalid.
pub(crate) fn add(
    pool: &mut DescriptorPool,
    files: impl IntoIterator<Item = FileDescriptorProto>,
) -> Result<(), String> {
    let known: Result<Vec<_>, _> = files.into_iter().map(in_known_syntax).collect();
    let known = known.and_then(|files| files.iter().try_for_each(check_map_entries).map(|()| files));
    pool.add_file_descriptor_protos(known?).map_err(|error| error.to_string())
}

/// The library knows proto2 and proto3, and has a fault where it meets anything else. A file of an edition is on the wire what it
/// would be in proto2, with numbers packed.
fn in_known_syntax(mut file: FileDescriptorProto) -> Result<FileDescriptorProto, String> {
    match file.syntax() {
        "" | "proto2" | "proto3" => return Ok(file),
        "editions" => {}
        other => return Err(format!("{} has an unknown syntax '{}'", file.name(), other.escape_debug())),
    }
    file.syntax = Some("proto2".to_owned());
    let mut messages: Vec<_> = file.message_type.iter_mut().collect();
    while let Some(message) = messages.pop() {
        for field in &mut message.field {
            let is_number =
                !matches!(field.r#type(), Type::String | Type::Bytes | Type::Message | Type::Group);
            if field.label() == Label::Repeated && is_number {
                field.options.get_or_insert_default().packed.get_or_insert(true);
            }
        }
        messages.extend(&mut message.nested_type);
    }
    Ok(file)
}

/// The library takes for granted that the entries of maps are what protoc makes of them.
fn check_map_entries(file: &FileDescriptorProto) -> Result<(), String> {
    let is_field = |field: &FieldDescriptorProto, number: i32, name: &str| {
        field.number() == number && field.name() == name && field.label() != Label::Repeated
    };
    let is_key = |kind: Type| {
        !matches!(kind, Type::Float | Type::Double | Type::Bytes | Type::Message | Type::Group | Type::Enum)
    };
    let mut messages: Vec<_> = file.message_type.iter().collect();
    while let Some(message) = messages.pop() {
        messages.extend(&message.nested_type);
        if !message.options.as_ref().is_some_and(MessageOptions::map_entry) {
            continue;
        }
        let is_entry = match message.field.as_slice() {
            [a, b] => {
                let (key, value) = if a.number() == 1 { (a, b) } else { (b, a) };
                is_field(key, 1, "key")
                    && is_field(value, 2, "value")
                    && key.r#type.is_some()
                    && is_key(key.r#type())
            }
            _ => false,
        };
        if !is_entry {
            return Err(format!(
                "{} has an invalid map entry '{}'",
                file.name(),
                message.name().escape_debug()
            ));
        }
    }
    Ok(())
}

fn read_set(file: &Path) -> Result<FileDescriptorSet, PlanError> {
    let bytes = read_file(file, MAX_SET, &accepted::PROTO)?;
    FileDescriptorSet::decode(bytes).map_err(|error| {
        refused_because(&accepted::PROTO, file.display(), format!("no set of descriptors: {error}"))
    })
}

fn compile_sources(sources: &[&PathBuf], paths: &[PathBuf]) -> Result<FileDescriptorSet, String> {
    let mut folders = paths.to_vec();
    if folders.is_empty() {
        for file in sources {
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new(".")).to_owned();
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
    }
    // Its display has no place in the file, and this has.
    let why = |error: protox::Error| format!("{error:?}");
    thread::scope(move |scope| {
        // What imports what is followed as deep as it goes.
        let compile = move || {
            let files = ProtoSources { folders, left: AtomicUsize::new(MAX_SOURCES) };
            let mut resolver = ChainFileResolver::new();
            resolver.add(files);
            resolver.add(GoogleFileResolver::new());
            let mut compiler = protox::Compiler::with_file_resolver(resolver);
            compiler.include_imports(true).open_files(sources).map_err(why)?;
            Ok(compiler.file_descriptor_set())
        };
        let thread = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, compile);
        thread
            .map_err(|error| error.to_string())?
            .join()
            .unwrap_or_else(|_| Err("it can't be compiled".to_owned()))
    })
}

/// Sources in folders, as far as they are neither too many nor too large.
struct ProtoSources {
    folders: Vec<PathBuf>,
    left: AtomicUsize,
}

impl FileResolver for ProtoSources {
    fn resolve_path(&self, path: &Path) -> Option<String> {
        self.folders.iter().find_map(|folder| IncludeFileResolver::new(folder.clone()).resolve_path(path))
    }

    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        for folder in &self.folders {
            let path = folder.join(name);
            if !path.is_file() {
                continue;
            }
            let left = self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
            left.map_err(|_| protox::Error::new(format!("more than {MAX_SOURCES} files are imported")))?;
            read_file(&path, MAX_SOURCE, &accepted::PROTO).map_err(protox::Error::new)?;
            return IncludeFileResolver::new(folder.clone()).open_file(name);
        }
        Err(protox::Error::file_not_found(name))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// An endless file under the name's last part.
    fn folder_with_zero(name: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name.trim_start_matches("/dev/"));
        std::os::unix::fs::symlink("/dev/zero", &file).unwrap();
        (folder, file)
    }

    fn refused(name: &str, text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        compile(&[file], &[]).unwrap_err().to_string()
    }

    #[test]
    fn imports_are_found_beside_the_file_and_in_other_folders() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, text).unwrap();
            file
        };
        write("common.proto", "syntax = 'proto3'; package c; message M { int32 n = 1; }");
        let file = write(
            "sub/s.proto",
            "syntax = 'proto3'; import 'common.proto'; service S { rpc Do(c.M) returns (c.M); }",
        );
        assert!(compile(std::slice::from_ref(&file), &[]).is_err(), "the import is not beside it");
        let pool = compile(&[file], &[folder.path().to_owned()]).unwrap();
        assert!(pool.get_service_by_name("S").is_some() && pool.get_message_by_name("c.M").is_some());
        let beside = write("d.proto", "syntax = 'proto3'; import 'common.proto'; message D { c.M m = 1; }");
        let set = folder.path().join("all.protoset");
        let pool = compile(&[beside], &[]).unwrap();
        fs::write(&set, pool.encode_to_vec()).unwrap();
        assert!(compile(&[set], &[]).unwrap().get_message_by_name("D").is_some());
    }

    #[test]
    fn files_of_editions_are_taken_and_unknown_syntaxes_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("x.proto");
        let text = "syntax = 'proto3'; message M { message N { repeated int32 n = 1; } N n = 1; repeated string s = 2; }";
        fs::write(&source, text).unwrap();
        let mut file = compile(&[source], &[]).unwrap().file_descriptor_protos().next().unwrap().clone();
        file.syntax = Some("editions".to_owned());
        let mut pool = DescriptorPool::new();
        add(&mut pool, [file.clone()]).unwrap();
        let field =
            |message, name| pool.get_message_by_name(message).unwrap().get_field_by_name(name).unwrap();
        assert!(field("M.N", "n").is_packed() && !field("M", "s").is_packed());
        file.syntax = Some("proto9".to_owned());
        let error = add(&mut DescriptorPool::new(), [file]).unwrap_err();
        assert_eq!(error, "x.proto has an unknown syntax 'proto9'");
    }

    #[test]
    fn a_chain_of_imports_is_followed_as_far_as_there_may_be_files() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..=MAX_SOURCES {
            let text = format!("syntax = 'proto3'; package p{number}; import 'c{}.proto';", number + 1);
            fs::write(folder.path().join(format!("c{number}.proto")), text).unwrap();
        }
        let chain = |first: usize| {
            compile(&[folder.path().join(format!("c{first}.proto"))], &[]).unwrap_err().to_string()
        };
        assert!(chain(0).contains("more than 10000 files are imported"), "{}", chain(0));
        let last = MAX_SOURCES + 1;
        fs::write(folder.path().join(format!("c{last}.proto")), "syntax = 'proto3'; message M {}").unwrap();
        assert!(compile(&[folder.path().join("c2.proto")], &[]).unwrap().get_message_by_name("M").is_some());
    }

    #[test]
    fn entries_of_maps_are_what_the_library_takes_for_granted() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("x.proto");
        fs::write(&source, "syntax = 'proto3'; message M { map<string, int32> k = 1; }").unwrap();
        let file = compile(&[source], &[]).unwrap().file_descriptor_protos().next().unwrap().clone();
        let changed = |change: &dyn Fn(&mut Vec<FieldDescriptorProto>)| {
            let mut file = file.clone();
            change(&mut file.message_type[0].nested_type[0].field);
            add(&mut DescriptorPool::new(), [file])
        };
        assert_eq!(changed(&|_| {}), Ok(()));
        assert_eq!(changed(&|fields| fields.reverse()), Ok(()));
        let changes: [fn(&mut Vec<FieldDescriptorProto>); 9] = [
            |fields| fields[1].number = Some(3),
            |fields| fields[0].number = Some(2),
            |fields| fields[0].name = Some("k".to_owned()),
            |fields| drop(fields.pop()),
            Vec::clear,
            |fields| fields[0].set_type(Type::Double),
            |fields| fields[0].set_type(Type::Bytes),
            |fields| fields[0].r#type = None,
            |fields| fields[1].set_label(Label::Repeated),
        ];
        for change in changes {
            assert_eq!(changed(&change).unwrap_err(), "x.proto has an invalid map entry 'KEntry'");
        }
    }

    #[test]
    fn a_mistake_is_reported_with_its_place() {
        let said = refused("x.proto", "syntax = 'proto3';\nmessage M {\n  Missing m = 1;\n}\n");
        assert!(
            said.contains("for --proto: ") && said.contains("x.proto:3:") && said.contains("Missing"),
            "{said}"
        );
        assert!(refused("x.proto", "message {").contains("x.proto:1:9"));
        assert!(refused("x.pb", "nonsense").contains("no set of descriptors"));
        for endless in ["/dev/zero", "/dev/zero.pb"] {
            let file = folder_with_zero(endless);
            assert!(compile(&[file.1], &[]).unwrap_err().to_string().contains("more than"), "{endless}");
        }
        let missing = compile(&[PathBuf::from("/no/such.proto")], &[]).unwrap_err().to_string();
        assert!(missing.contains("No such file") && missing.lines().count() == 1, "{missing}");
    }
}
