//! The output of a session: `table.md`, `plot.svg`, `scaling.svg`, and every single value in
//! `rounds.csv`.

use std::{fmt::Write as _, fs, io, path::Path};

use crate::session::{CaseResults, Results};

mod growth;
mod plot;
mod spread;
mod style;
mod table;

/// Writes all files to `out`, and the table to the standard output.
pub fn write(results: &Results, out: &Path) -> io::Result<()> {
    let table = table::markdown(results);
    fs::write(out.join("table.md"), &table)?;
    fs::write(out.join("plot.svg"), plot::svg(results))?;
    if let Some(svg) = growth::svg(results) {
        fs::write(out.join("scaling.svg"), svg)?;
    }
    fs::write(out.join("rounds.csv"), values(results))?;
    println!("{table}");
    Ok(())
}

fn values(results: &Results) -> String {
    let mut csv = String::from("row,width,contender,round,column,unit,value\n");
    for CaseResults { case, entries, .. } in &results.cases {
        for entry in entries {
            for (round, values) in entry.rounds.iter().enumerate() {
                for (column, value) in case.row.columns.iter().zip(values) {
                    let (row, width, who) = (case.row.name, case.width, entry.contender.name);
                    let (name, unit, round) = (column.name, column.unit, round + 1);
                    // Writing to a string cannot fail.
                    let _ = writeln!(csv, "{row},{width},{who},{round},\"{name}\",{unit},{value}");
                }
            }
        }
    }
    csv
}
