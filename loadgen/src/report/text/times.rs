//! The table of times, as text.

use std::io::{self, Write};

use super::{WIDTH, wrapped_within};
use crate::{
    numbers::count,
    report::times::{TimesRow, notes, rows},
    summary::Summary,
    verdict::QUANTILES,
};

/// The width of the names.
const NAME: usize = 13;

pub(super) fn write(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    let rows = rows(summary);
    if rows.is_empty() {
        return Ok(());
    }
    write!(out, "{:<NAME$}", "Time")?;
    for (name, _) in QUANTILES {
        write!(out, "{name:>9}")?;
    }
    writeln!(out, "{:>10}", "max")?;
    for row in rows {
        let cells: String = row.cells.iter().map(|cell| format!("{cell:>9}")).collect();
        let line = format!("{:<NAME$}{cells}{:>10}", name(&row), row.longest);
        writeln!(out, "{}", line.trim_end())?;
    }
    for note in notes(summary) {
        writeln!(out, "{}", wrapped_within(&note, 0, 0, WIDTH))?;
    }
    writeln!(out)
}

/// With how many there are, as far as there is room.
fn name(row: &TimesRow) -> String {
    let TimesRow { name, is_part, number, .. } = row;
    match (is_part, number) {
        (false, _) => name.clone(),
        (true, None) => format!("  {name}"),
        (true, Some(number)) => {
            let counted = format!("  {name} {}", count(*number));
            if counted.len() < NAME { counted } else { format!("  {name}") }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::planted::{Planted, run};

    #[test]
    fn times_of_a_closed_loop_say_at_how_many_outstanding_requests() {
        let text = |is_open: bool| {
            let mut summary = run("-r 100 -d 2s a:1", |_, _| Planted::default());
            summary.run.rate_per_second = summary.run.rate_per_second.filter(|_| is_open);
            let mut text = Vec::new();
            super::write(&summary, &mut text).unwrap();
            String::from_utf8(text).unwrap()
        };
        assert!(text(false).contains("\nat 100 outstanding: times at other numbers are not comparable.\n"));
        assert!(!text(true).contains("outstanding"));
    }
}
