//! The section `coverage`: what generated images reach of the real ones, whether they are copies, and of which classes
//! they are.

use std::io::{self, Write};

use serde::Serialize;

use super::{Subject, generated::Generated};
use crate::{
    bits::BitMatrix,
    dataset::labels::narrowed,
    eval::{
        judge::Quality,
        nearest::{self, Nearest},
        neighbours::Coverage,
    },
};

/// Of all that was compared.
#[derive(Serialize)]
pub(super) struct Section {
    modes: Row,
    samples: Row,
    floor: Row,
    ceiling: Row,
    /// Test images beside training images: what is no copy.
    test_nearest: Nearest,
    /// By the network, as the other shares are.
    test_classes: Option<Vec<f64>>,
}

/// One kind of pictures.
#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    coverage: Coverage,
    /// How many pictures are different from each other.
    distinct: usize,
    /// To the nearest training images; of what was generated only.
    #[serde(skip_serializing_if = "Option::is_none")]
    nearest: Option<Nearest>,
    /// The share of each class.
    #[serde(skip_serializing_if = "Option::is_none")]
    classes: Option<Vec<f64>>,
}

impl Section {
    pub(super) fn new(subject: &Subject, all: &Generated) -> Self {
        let without_labels = |rows| narrowed(rows, subject.file.geometry().units());
        let (train, test) = (without_labels(&subject.train), without_labels(&subject.test));
        let nearest = |bits: &BitMatrix| Nearest::new(&nearest::distances(bits, &train));
        let row = |quality: &Quality, bits: Option<&BitMatrix>| Row {
            coverage: quality.coverage,
            distinct: quality.distinct,
            nearest: bits.map(nearest),
            classes: quality.classes.clone(),
        };
        Self {
            modes: row(&all.modes.1, Some(&all.modes.0)),
            samples: row(&all.samples.1, Some(&all.samples.0)),
            floor: row(&all.judge.floor, None),
            ceiling: row(&all.judge.ceiling, None),
            test_nearest: nearest(&test),
            test_classes: all.judge.test_classes.clone(),
        }
    }
}

impl super::Section for Section {
    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let rows =
            [("modes", &self.modes), ("samples", &self.samples), ("floor", &self.floor), ("ceiling", &self.ceiling)];
        writeln!(out, "coverage")?;
        writeln!(out, "{:<10}{:>10}{:>10}{:>10}{:>10}", "", "precision", "recall", "coverage", "distinct")?;
        for (name, Row { coverage: Coverage { precision, recall, coverage }, distinct, .. }) in rows {
            writeln!(out, "{name:<10}{precision:>10.3}{recall:>10.3}{coverage:>10.3}{distinct:>10}")?;
        }
        writeln!(out, "precision counts the smaller half of the balls around real images: read it beside the floor's")?;
        writeln!(out)?;
        writeln!(out, "bits that differ from the nearest training image")?;
        writeln!(
            out,
            "{:<10}{:>8}{:>6}{:>6}{:>6}{:>8}{:>6}{:>6}{:>6}{:>10}",
            "", "mean", "least", "5 %", "25 %", "median", "75 %", "95 %", "most", "copies %"
        )?;
        let nearest = rows.into_iter().filter_map(|(name, row)| Some((name, row.nearest.as_ref()?)));
        for (name, Nearest { mean, quantiles, copies, .. }) in nearest.chain([("test", &self.test_nearest)]) {
            let [least, q5, q25, median, q75, q95, most] = quantiles;
            writeln!(
                out,
                "{name:<10}{mean:>8.1}{least:>6}{q5:>6}{q25:>6}{median:>8}{q75:>6}{q95:>6}{most:>6}{:>10.2}",
                100.0 * copies
            )?;
        }
        if self.test_classes.is_some() {
            writeln!(out)?;
            writeln!(out, "classes that the network sees, %")?;
            let classes = rows.into_iter().map(|(name, row)| (name, &row.classes));
            for (name, shares) in classes.chain([("test", &self.test_classes)]) {
                write!(out, "{name:<10}")?;
                shares.iter().flatten().try_for_each(|share| write!(out, "{:>6.1}", 100.0 * share))?;
                writeln!(out)?;
            }
        }
        Ok(())
    }
}
