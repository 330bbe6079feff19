//! What is known of the machine a run was made on: its kind, never its name.

use std::fs;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::args::Args;

/// A neutral description of a machine.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Short, fit for a folder name.
    pub label: String,
    /// Model of the CPU, as the system reports it.
    pub cpu_model: String,
    /// CPUs that this process may use.
    pub cpus: usize,
    /// Version of the kernel.
    pub kernel: String,
    /// CPU that servers run on.
    pub server_cpu: usize,
    /// CPU that clients run on.
    pub client_cpu: usize,
}

impl Machine {
    /// The machine this runs on, with the CPUs and the label that were asked for.
    ///
    /// # Errors
    /// No CPU may be used, which cannot be.
    pub fn here(args: &Args) -> Result<Self> {
        let allowed = runtime::affinity::allowed();
        let first = *allowed.first().context("this process may use no CPU")?;
        let second = allowed.get(1).copied().unwrap_or(first);
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu_model(&cpuinfo).unwrap_or(std::env::consts::ARCH).to_owned();
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let label = args.machine.clone().unwrap_or_else(|| format!("{model} {}cpu", allowed.len()));
        Ok(Self {
            label: slug(&label),
            cpu_model: model,
            cpus: allowed.len(),
            kernel: version(&release).to_owned(),
            server_cpu: args.server_cpu.unwrap_or(first),
            client_cpu: args.client_cpu.unwrap_or(second),
        })
    }
}

fn cpu_model(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

/// The numbers that a kernel release starts with; what follows may name a site.
fn version(release: &str) -> &str {
    let end = release.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(release.len());
    release[..end].trim_end_matches('.')
}

/// Lower case letters, digits and dots, with single dashes between.
fn slug(text: &str) -> String {
    let text = text.replace("(R)", "").replace("(TM)", "").to_ascii_lowercase();
    let words =
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '.').map(|word| word.trim_matches('.'));
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_becomes_a_safe_folder_name() {
        assert_eq!(slug("Intel(R) Xeon(R) Processor @ 2.50GHz 2cpu"), "intel-xeon-processor-2.50ghz-2cpu");
        assert_eq!(slug("../a b/"), "a-b");
    }

    #[test]
    fn the_kernel_is_reported_by_its_version_number() {
        assert_eq!(version("6.18.44-site-v5\n"), "6.18.44");
        assert_eq!(version("6.1.\n"), "6.1");
        assert_eq!(version(""), "");
    }

    #[test]
    fn the_model_is_the_first_one_named() {
        let text = "processor\t: 0\nmodel\t\t: 85\nmodel name\t: Some CPU @ 1GHz\nmodel name\t: Other\n";
        assert_eq!(cpu_model(text), Some("Some CPU @ 1GHz"));
        assert_eq!(cpu_model("processor : 0\n"), None);
    }
}
