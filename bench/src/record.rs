//! The folder a run leaves behind: table, samples, raw output, and how each peer was set up.
//!
//! No path of the machine goes into it: configurations are kept with their placeholders.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::{
    args::Mode,
    load::Protocol,
    machine::Machine,
    rows::{Contender, Row},
    sample::Standing,
};

/// A folder of one mode's run.
#[derive(Clone, Debug)]
pub struct Record {
    folder: PathBuf,
    mode: Mode,
}

#[derive(Serialize)]
struct Kept<'a> {
    date: &'a str,
    machine: &'a Machine,
    programs: &'a [(String, String)],
    rows: Vec<KeptRow<'a>>,
}

#[derive(Serialize)]
struct KeptRow<'a> {
    id: &'a str,
    title: &'a str,
    contenders: Vec<KeptContender<'a>>,
}

#[derive(Serialize)]
struct KeptContender<'a> {
    name: &'a str,
    standing: &'a Standing,
}

impl Record {
    /// A record in `folder`, which is created.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn create(folder: &Path, mode: Mode) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("{} cannot be created", folder.display()))?;
        Ok(Self { folder: folder.to_path_buf(), mode })
    }

    /// Removes what an earlier run left for this row, and keeps its servers' configurations.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn begin(&self, row: &Row) -> Result<()> {
        match fs::remove_dir_all(self.raw_folder(row)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        fs::create_dir_all(self.raw_folder(row))?;
        let peers = self.folder.join("peers");
        fs::create_dir_all(&peers)?;
        let protocol = match row.load.protocol {
            Protocol::Http1 => "http1",
            Protocol::H2c => "h2c",
            Protocol::WebSocket => "websocket",
            Protocol::Tls => "tls",
            Protocol::TlsH2 => "tls-h2",
        };
        for one in &row.contenders {
            let text = one.server.configuration(row.load.protocol);
            if !text.is_empty() {
                fs::write(peers.join(format!("{}-{protocol}.conf", one.server.name())), text)?;
            }
        }
        Ok(())
    }

    /// Keeps what a client was called with and printed.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn raw(
        &self,
        row: &Row,
        one: &Contender,
        port: u16,
        (round, position): (u32, usize),
        printed: &str,
    ) -> Result<()> {
        let client = one.client.tool().map_or("bench itself", |tool| tool.name());
        let call = format!("$ {client} {}", one.client.arguments(&row.load, port).join(" "));
        let file = format!("{round:02}-{position}-{}.txt", file_name(one.name));
        Ok(fs::write(self.raw_folder(row).join(file), format!("{}\n{printed}", call.trim_end()))?)
    }

    /// Writes the table and the samples.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn finish(
        &self,
        date: &str,
        machine: &Machine,
        programs: &[(String, String)],
        rows: &[(Row, Vec<Standing>)],
        table: &str,
    ) -> Result<()> {
        let rows = rows.iter().map(|(row, standings)| KeptRow {
            id: row.id,
            title: row.title,
            contenders: row
                .contenders
                .iter()
                .zip(standings)
                .map(|(one, standing)| KeptContender { name: one.name, standing })
                .collect(),
        });
        let kept = Kept { date, machine, programs, rows: rows.collect() };
        let json = serde_json::to_string_pretty(&kept)? + "\n";
        fs::write(self.folder.join(format!("{}.json", self.mode.name())), json)?;
        Ok(fs::write(self.folder.join(format!("{}.md", self.mode.name())), table)?)
    }

    fn raw_folder(&self, row: &Row) -> PathBuf {
        self.folder.join("raw").join(self.mode.name()).join(row.id)
    }
}

fn file_name(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows;

    #[test]
    fn a_row_keeps_its_raw_output_and_configurations_and_nothing_older() {
        let folder = tempfile::tempdir().unwrap();
        let record = Record::create(folder.path(), Mode::Server).unwrap();
        let row = &rows::of(Mode::Server, 1.0, true, &["h1-1k".to_owned()]).unwrap()[0];
        let raw = folder.path().join("raw/server/h1-1k");
        fs::create_dir_all(&raw).unwrap();
        fs::write(raw.join("09-1-old.txt"), "").unwrap();

        record.begin(row).unwrap();
        record.raw(row, &row.contenders[1], 80, (1, 2), "printed\n").unwrap();

        let names: Vec<_> = fs::read_dir(&raw).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["01-2-nginx-file.txt"]);
        let text = fs::read_to_string(raw.join("01-2-nginx-file.txt")).unwrap();
        assert_eq!(text, "$ wrk -t1 -c50 -d1s http://127.0.0.1:80/bin/1K\nprinted\n");
        let kept = fs::read_to_string(folder.path().join("peers/nginx-file-http1.conf")).unwrap();
        assert!(kept.contains("root {dir}/www;"), "{kept}");
    }
}
