//! Lists the tests: for each module of `tests/it`, writes the function `tests()` that `tests!()` includes there.
//!
//! A function is a test by its signature, see [`method`]. One that was meant as a test and has another signature is an
//! unused function, which the compiler reports.

use std::{env, error::Error, fmt::Write as _, fs, path::Path};

use syn::{FnArg, Item, ReturnType, Signature, Type};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=tests/it");
    let out = env::var("OUT_DIR")?;
    list("it", Path::new("tests/it/main.rs"), Path::new("tests/it"), Path::new(&out))?;
    Ok(())
}

/// Writes the lists of a module and of those that it declares, which are in `folder`; false if they have no test.
fn list(module: &str, file: &Path, folder: &Path, out: &Path) -> Result<bool, Box<dyn Error>> {
    let (mut kind, mut calls) = ("new", String::new());
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    for item in syn::parse_file(&text)?.items {
        match item {
            Item::Macro(call) if call.mac.path.is_ident("tests") && !call.mac.tokens.is_empty() => {
                kind = "alone"
            }
            Item::Fn(function) => match method(&function.sig) {
                Some("and") => write!(calls, ".and({}())", function.sig.ident)?,
                Some(method) => write!(calls, ".{method}({})", function.sig.ident)?,
                None => {}
            },
            Item::Mod(inner) if inner.content.is_none() => {
                let name = inner.ident.to_string();
                let (below, file) = (folder.join(&name), folder.join(&name).with_extension("rs"));
                let file = if file.exists() { file } else { below.join("mod.rs") };
                if list(&format!("{module}::{name}"), &file, &below, out)? {
                    write!(calls, ".and({name}::tests())")?;
                }
            }
            _ => {}
        }
    }
    let cases = "::integration::cases::Cases";
    let list = format!("pub(crate) fn tests() -> {cases} {{ {cases}::{kind}(){calls} }}");
    fs::write(out.join(format!("{module}.rs")), list)?;
    Ok(!calls.is_empty())
}

/// The method of `Cases` that adds a function, if it is a test or returns more tests.
fn method(signature: &Signature) -> Option<&'static str> {
    let parameters: Option<Vec<String>> = signature.inputs.iter().map(parameter).collect();
    let parameters = parameters?;
    let parameters: Vec<&str> = parameters.iter().map(String::as_str).collect();
    let returned = match &signature.output {
        ReturnType::Default => None,
        ReturnType::Type(_, of) => Some(name(of)?),
    };
    match (signature.asyncness.is_some(), &parameters[..], returned.as_deref()) {
        (false, [], None) if signature.ident != "main" => Some("test"),
        (true, [], None) => Some("test_async"),
        (true, ["AndTls"], None) => Some("test_async_and_tls"),
        (true, ["Protocol"], None) => Some("over_each_protocol"),
        (true, ["Protocol", "AndTls"], None) => Some("over_each_protocol_and_tls"),
        (false, [], Some("Cases")) => Some("and"),
        _ => None,
    }
}

fn parameter(parameter: &FnArg) -> Option<String> {
    match parameter {
        FnArg::Typed(parameter) => name(&parameter.ty),
        FnArg::Receiver(_) => None,
    }
}

/// The name of a type that is nothing but a name.
fn name(of: &Type) -> Option<String> {
    match of {
        Type::Path(path) => path.path.get_ident().map(ToString::to_string),
        _ => None,
    }
}
