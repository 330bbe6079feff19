//! As one page of HTML that loads nothing: a matrix, and behind each of its cells the transcript of each round.

use std::io::{self, Write};

use super::{super::escape::html as escaped, label, sentence};
use crate::probe::{
    CASES, Matrix,
    found::{Cell, Role, State},
};

const HEAD: &str = "<!doctype html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<title>loadgen probe</title>
<style>
body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem; color: #222; background: #fff }
table { border-collapse: collapse } th, td { border: 1px solid #ccc; padding: .3rem .6rem; text-align: left; vertical-align: top }
td details { max-width: 60rem } pre { overflow-x: auto; font-size: 12px } summary { cursor: pointer }
.kept { background: #e6f4e6 } .changed, .answered_itself, .refused { background: #fdf3d8 } .unstable { background: #fde4c8 }
.broken { background: #f8d0d0 } .unasked { background: #e0e0ee } .not_applicable { color: #777 }
</style>
</head>
<body>
<h1>loadgen probe</h1>
";

/// One page.
///
/// # Errors
/// Those of the writer.
pub fn html(matrix: &Matrix, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(HEAD.as_bytes())?;
    let role = match matrix.role {
        Role::Gateway => "gateways",
        Role::Proxy => "proxies",
    };
    writeln!(
        out,
        "<p>Asked {} by loadgen {}, judged as {role}: broken is what is against a MUST on that role. Proxies are not scored.</p>",
        if matrix.rounds == 1 { "once".to_owned() } else { format!("{} times", matrix.rounds) },
        escaped(matrix.loadgen)
    )?;
    write!(out, "<table>\n<tr><th>Case</th>")?;
    for column in &matrix.columns {
        let behind = column.upstream.join(", ");
        write!(
            out,
            "<th>{}<details><summary>what it is</summary><p>{}</p><p>{}</p><p>{}; behind it {}</p></details></th>",
            escaped(&column.name),
            escaped(column.note.as_deref().unwrap_or("without a note on version and configuration (--note)")),
            escaped(&column.url),
            escaped(&column.protocols.join(" and ")),
            escaped(if behind.is_empty() { "what the server did not say" } else { &behind })
        )?;
    }
    writeln!(out, "</tr>")?;
    for row in &matrix.rows {
        let asks = CASES.iter().find(|case| case.number == row.case).map_or("", |case| case.asks);
        write!(out, "<tr><th title=\"{}\">{}</th>", escaped(asks), escaped(label(row).trim_start()))?;
        for cell in &row.cells {
            write_cell(cell, out)?;
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</table>\n</body>\n</html>")
}

fn write_cell(cell: &Cell, out: &mut dyn Write) -> io::Result<()> {
    let state = cell.state;
    let class = match state {
        _ if cell.breaks_a_must => "broken",
        State::Kept => "kept",
        State::Changed => "changed",
        State::AnsweredItself => "answered_itself",
        State::Refused => "refused",
        State::Broken => "broken",
        State::Unstable => "unstable",
        State::Described => "described",
        State::NotApplicable | State::NotAsked => "not_applicable",
        State::Unasked => "unasked",
    };
    write!(
        out,
        "<td class=\"{class}\"><details><summary>{}{}</summary><p>{}</p>",
        state.name(),
        if cell.disputed.is_some() { " (disputed)" } else { "" },
        escaped(&sentence(cell))
    )?;
    if let Some(curl) = &cell.curl {
        write!(out, "<pre>{}</pre>", escaped(curl))?;
    }
    for (round, number) in cell.rounds.iter().zip(1..) {
        if cell.rounds.len() > 1 {
            write!(out, "<p>Round {number}: {}: {}</p>", round.state.name(), escaped(&round.what))?;
        }
        write!(out, "<pre>")?;
        for line in &round.transcript {
            writeln!(out, "{:>10} us  {:<8}  {}", line.at_us, line.side.name(), escaped(&line.text))?;
        }
        write!(out, "</pre>")?;
    }
    write!(out, "</details></td>")
}
