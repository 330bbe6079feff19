//! Types from files: `.proto` sources, compiled without protoc, or sets of descriptors that protoc has written.

use std::{
    fs,
    path::{Path, PathBuf},
};

use prost::Message as _;
use prost_reflect::DescriptorPool;
use prost_types::{
    FileDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};

use super::{
    PlanError,
    accepted::{self, refused_because},
};

/// Extensions of sets of descriptors.
const SETS: [&str; 4] = ["protoset", "binpb", "pb", "bin"];

/// The largest set of descriptors, in bytes.
const MAX_SET: u64 = 64 << 20;

/// All that the files define, and what they import, which is looked for in `paths`: without any in the working directory,
/// and beside each file.
pub(super) fn compile(files: &[PathBuf], paths: &[PathBuf]) -> Result<DescriptorPool, PlanError> {
    let is_set = |file: &&PathBuf| {
        file.extension().and_then(|extension| extension.to_str()).is_some_and(|text| SETS.contains(&text))
    };
    let (sets, sources): (Vec<_>, Vec<_>) = files.iter().partition(is_set);
    let mut pool = DescriptorPool::new();
    for file in sets {
        let added = read_set(file).and_then(|set| add(&mut pool, set.file));
        added.map_err(|why| refused_because(&accepted::PROTO, file.display(), why))?;
    }
    if let Some(first) = sources.first() {
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

fn read_set(file: &Path) -> Result<FileDescriptorSet, String> {
    let length = fs::metadata(file).map_err(|error| error.to_string())?.len();
    if length > MAX_SET {
        return Err("it has more than 64M".to_owned());
    }
    let bytes = fs::read(file).map_err(|error| error.to_string())?;
    FileDescriptorSet::decode(bytes.as_slice()).map_err(|error| format!("no set of descriptors: {error}"))
}

fn compile_sources(sources: &[&PathBuf], paths: &[PathBuf]) -> Result<FileDescriptorSet, String> {
    // A file that can't be read is told as such, not as one that is in no folder of imports.
    for file in sources {
        fs::File::open(file).map_err(|error| format!("{}: {error}", file.display()))?;
    }
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
    let mut compiler = protox::Compiler::new(&folders).map_err(why)?;
    compiler.include_imports(true).open_files(sources).map_err(why)?;
    Ok(compiler.file_descriptor_set())
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_mistake_is_told_with_its_place() {
        let said = refused("x.proto", "syntax = 'proto3';\nmessage M {\n  Missing m = 1;\n}\n");
        assert!(
            said.contains("for --proto: ") && said.contains("x.proto:3:") && said.contains("Missing"),
            "{said}"
        );
        assert!(refused("x.proto", "message {").contains("x.proto:1:9"));
        assert!(refused("x.pb", "nonsense").contains("no set of descriptors"));
        let missing = compile(&[PathBuf::from("/no/such.proto")], &[]).unwrap_err().to_string();
        assert!(missing.contains("No such file") && missing.lines().count() == 1, "{missing}");
    }
}
