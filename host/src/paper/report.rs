//! Markdown made of what was measured.

use std::fmt::{Display, Write as _};

/// A text that grows by headings, paragraphs, tables and pictures.
#[derive(Clone, Debug, Default)]
pub struct Report {
    text: String,
}

impl Report {
    /// Begins with a title.
    pub fn new(title: &str) -> Self {
        Self { text: format!("# {title}\n") }
    }

    /// A section's heading.
    pub fn section(&mut self, heading: &str) {
        self.add(format_args!("## {heading}"));
    }

    /// A paragraph, or anything else that stands between empty lines.
    pub fn add(&mut self, paragraph: impl Display) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "\n{paragraph}");
    }

    /// The plot of a name, with what it shows.
    pub fn plot(&mut self, name: &str, caption: &str) {
        self.add(format_args!("![{caption}]({name}.png)\n\n*{caption}* ([SVG]({name}.svg))"));
    }

    /// The picture of a file, with what it shows.
    pub fn picture(&mut self, name: &str, caption: &str) {
        self.add(format_args!("![{caption}]({name}.png)\n\n*{caption}*"));
    }

    /// A table. Numbers are on the right, the first column is on the left.
    pub fn table<C: AsRef<str>>(&mut self, head: &[C], rows: &[Vec<String>]) {
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            cells.fold("|".to_owned(), |line, cell| format!("{line} {} |", cell.replace('|', "\\|")))
        };
        let mut table = line(&mut head.iter().map(AsRef::as_ref));
        table += "\n|---|";
        table += &"---:|".repeat(head.len().saturating_sub(1));
        for row in rows {
            table += "\n";
            table += &line(&mut row.iter().map(String::as_str));
        }
        self.add(table);
    }

    /// What was not run, if there is such a thing.
    pub fn not_run(&mut self, names: &[String]) {
        if !names.is_empty() {
            self.add(format_args!(
                "**Not run, since this experiment, or the one that it replays, was stopped: {}.**",
                names.join(", ")
            ));
        }
    }

    /// All of it.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// A number with three significant digits, for people.
pub fn number(x: f64) -> String {
    let magnitude = x.abs();
    match () {
        () if !x.is_finite() => "–".to_owned(),
        () if magnitude == 0.0 => "0".to_owned(),
        () if !(1e-3..1e5).contains(&magnitude) => format!("{x:.2e}").replace('-', "−"),
        () => {
            let digits = (2 - magnitude.log10().floor() as i32).max(0) as usize;
            format!("{x:.digits$}").replace('-', "−")
        }
    }
}

/// [`number`], or a dash for none.
pub fn maybe(x: Option<f64>) -> String {
    x.map_or("–".to_owned(), number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_is_made() {
        let mut report = Report::new("Title");
        report.section("Part");
        report.table(&["a", "b|c"], &[vec!["1".into(), "2".into()]]);
        report.plot("p", "what");
        let expected =
            "# Title\n\n## Part\n\n| a | b\\|c |\n|---|---:|\n| 1 | 2 |\n\n![what](p.png)\n\n*what* ([SVG](p.svg))\n";
        assert_eq!(report.text(), expected);
    }

    #[test]
    fn numbers_have_three_digits() {
        let found = [0.0, 0.5, -12.345, 123.4, 1234.5, 123456.0, 0.000123, f64::NAN].map(number);
        assert_eq!(found, ["0", "0.500", "−12.3", "123", "1234", "1.23e5", "1.23e−4", "–"]);
        assert_eq!(maybe(None), "–");
    }
}
