//! A target of several, with what it has of TLS that is its own.

use std::path::Path;

use transport::tls::Version;

use super::{
    keys::{Keys, Plain},
    tree::{Node, Value},
};
use crate::plan::{PlanError, TlsOptions, known_keys::TARGET};

/// Its URL, and what of TLS is its own. Files are in `folder`.
pub(super) fn read(
    node: &Node,
    name: &str,
    folder: &Path,
) -> Result<(String, Option<TlsOptions>), PlanError> {
    let Value::Map(_) = &node.value else { return Ok((Plain::of(node, name).text("targets")?, None)) };
    let keys = Keys::of(node, TARGET, name)?;
    keys.at_most_one(&["cacert", "insecure"])?;
    let Some(url) = keys.text("url")? else {
        let example = "- url: https://localhost:8443";
        return Err(keys.refused(
            node,
            "a target without a url",
            "a url, and options of TLS beside it",
            example,
        ));
    };
    let file = |key: &str| Ok::<_, PlanError>(keys.text(key)?.map(|file| folder.join(file)));
    let options = TlsOptions {
        cacert: file("cacert")?,
        insecure: keys.flag("insecure")?,
        cert: file("cert")?,
        key: file("key")?,
        sni: keys.text("sni")?,
        min_version: keys.read("tls_min_version", "1.2 or 1.3", "1.3", |text| match text {
            "1.2" => Some(Version::Tls12),
            "1.3" => Some(Version::Tls13),
            _ => None,
        })?,
    };
    Ok((url, Some(options).filter(|options| *options != TlsOptions::default())))
}
