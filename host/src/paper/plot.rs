//! Plots for a paper: axes with units, error bars, logarithmic scales, colours that colour-blind readers can tell apart.
//!
//! The font comes with the program (`font/`), so that a machine without fonts draws the same pictures.

use std::{io, sync::OnceLock};

use plotters::{
    coord::{
        ranged1d::{Ranged, ValueFormatter},
        types::RangedCoordf64,
    },
    prelude::*,
    style::{
        FontStyle, register_font,
        text_anchor::{HPos, Pos, VPos},
    },
};

/// Width and height in pixels.
const SIZE: (u32, u32) = (1000, 680);
const FONT: &str = "DejaVu Sans";
/// Okabe and Ito's colours, with a brown for the yellow that white paper swallows.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(0, 0, 0),
    RGBColor(140, 86, 75),
];

/// Of lines that everything is compared with.
const LEVEL: RGBColor = RGBColor(110, 110, 110);

/// An axis.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What is shown, with its unit.
    pub label: String,
    /// A logarithmic scale; numbers that are not positive are then left out.
    pub log: bool,
    /// First and last number; found from the points if `None`.
    pub range: Option<(f64, f64)>,
}

impl Axis {
    /// A linear axis.
    pub fn linear(label: &str) -> Self {
        Self { label: label.to_owned(), log: false, range: None }
    }

    /// A logarithmic axis.
    pub fn log(label: &str) -> Self {
        Self { log: true, ..Self::linear(label) }
    }
}

/// A point with an error bar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Where on the horizontal axis.
    pub x: f64,
    /// The figure.
    pub y: f64,
    /// The error bar's ends; both `y` for none.
    pub bar: (f64, f64),
}

/// Points that belong together.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// The points, from left to right.
    pub points: Vec<Point>,
    /// A line of a model, such as a fit: dashed, without marks, in the colour of the series before it.
    pub fit: bool,
}

/// A plot.
#[derive(Clone, Debug)]
pub struct Plot {
    /// The file's name without extension.
    pub name: String,
    /// What stands above it.
    pub title: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// What it shows. A series without points takes its colour and is not in the legend.
    pub series: Vec<Series>,
    /// Named numbers of the vertical axis that everything is compared with: dashed lines across the plot.
    pub levels: Vec<(String, f64)>,
}

impl Plot {
    /// The plot as SVG.
    ///
    /// # Errors
    /// Nothing to draw, or a failure of the library.
    pub fn svg(&self) -> io::Result<String> {
        let mut text = String::new();
        self.draw(SVGBackend::with_string(&mut text, SIZE))?;
        Ok(text)
    }

    /// The plot as PNG.
    ///
    /// # Errors
    /// As [`svg`](Self::svg).
    pub fn png(&self) -> io::Result<Vec<u8>> {
        let mut pixels = vec![255; (SIZE.0 * SIZE.1 * 3) as usize];
        self.draw(BitMapBackend::with_buffer(&mut pixels, SIZE))?;
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, SIZE.0, SIZE.1);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::High);
        encoder.write_header()?.write_image_data(&pixels)?;
        Ok(bytes)
    }

    fn draw<B: DrawingBackend>(&self, backend: B) -> io::Result<()> {
        font()?;
        let (x, y) =
            (self.range(&self.x, |p| [p.x; 3], &[])?, self.range(&self.y, |p| [p.y, p.bar.0, p.bar.1], &self.levels)?);
        let root = backend.into_drawing_area();
        root.fill(&WHITE).map_err(other)?;
        let mut builder = ChartBuilder::on(&root);
        builder
            .caption(&self.title, (FONT, 22))
            .margin(14)
            .margin_right(30)
            .x_label_area_size(54)
            .y_label_area_size(84);
        match (self.x.log, self.y.log) {
            (true, true) => self.fill(
                builder.build_cartesian_2d((x.0..x.1).log_scale(), (y.0..y.1).log_scale()).map_err(other)?,
                x,
                y,
            ),
            (true, false) => {
                self.fill(builder.build_cartesian_2d((x.0..x.1).log_scale(), linear(y)).map_err(other)?, x, y)
            }
            (false, true) => {
                self.fill(builder.build_cartesian_2d(linear(x), (y.0..y.1).log_scale()).map_err(other)?, x, y)
            }
            (false, false) => self.fill(builder.build_cartesian_2d(linear(x), linear(y)).map_err(other)?, x, y),
        }?;
        root.present().map_err(other)
    }

    /// From the smallest to the largest number of an axis, with some room.
    fn range(
        &self,
        axis: &Axis,
        numbers: impl Fn(&Point) -> [f64; 3],
        levels: &[(String, f64)],
    ) -> io::Result<(f64, f64)> {
        if let Some(range) = axis.range {
            return Ok(range);
        }
        let shown = |&x: &f64| x.is_finite() && (!axis.log || x > 0.0);
        let points = || self.series.iter().flat_map(|series| &series.points).flat_map(&numbers);
        let all = || points().chain(levels.iter().map(|level| level.1)).filter(shown);
        let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
        if low > high {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("no number on the axis `{}`", axis.label)));
        }
        Ok(match axis.log {
            true => (low / 1.3, high * 1.3),
            false => {
                let room = if high > low { 0.05 * (high - low) } else { 1.0 };
                (low - room, high + room)
            }
        })
    }

    fn fill<'a, B, X, Y>(
        &self,
        mut chart: ChartContext<'a, B, Cartesian2d<X, Y>>,
        x: (f64, f64),
        y: (f64, f64),
    ) -> io::Result<()>
    where
        B: DrawingBackend + 'a,
        X: Ranged<ValueType = f64> + ValueFormatter<f64>,
        Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        chart
            .configure_mesh()
            .light_line_style(RGBColor(240, 240, 240))
            .bold_line_style(RGBColor(215, 215, 215))
            .x_desc(&self.x.label)
            .y_desc(&self.y.label)
            .axis_desc_style((FONT, 18))
            .label_style((FONT, 15))
            .x_labels(10)
            .y_labels(14)
            .x_label_formatter(&|&x| tick(x))
            .y_label_formatter(&|&y| tick(y))
            .draw()
            .map_err(other)?;
        let place = self.emptiest_corner(x, y);
        // Names of levels stand at the other end than the legend.
        let (end, anchor) = match place {
            SeriesLabelPosition::UpperLeft | SeriesLabelPosition::LowerLeft => (x.1, HPos::Right),
            _ => (x.0, HPos::Left),
        };
        for (name, level) in self.levels.iter().filter(|level| level.1.is_finite() && (!self.y.log || level.1 > 0.0)) {
            let line = [(x.0, *level), (x.1, *level)];
            chart.draw_series(DashedLineSeries::new(line, 7, 5, LEVEL.stroke_width(1))).map_err(other)?;
            let style = (FONT, 14).into_font().color(&LEVEL).pos(Pos::new(anchor, VPos::Bottom));
            chart.draw_series([Text::new(name.clone(), (end, *level), style)]).map_err(other)?;
        }
        let mut colour = 0;
        let shown = |p: &Point| {
            let fits = |axis: &Axis, x: f64| x.is_finite() && (!axis.log || x > 0.0);
            fits(&self.x, p.x) && fits(&self.y, p.y)
        };
        let mut first = true;
        for series in &self.series {
            if !first && !series.fit {
                colour += 1;
            }
            first = false;
            let style = COLOURS[colour % COLOURS.len()];
            let points: Vec<Point> = series.points.iter().copied().filter(shown).collect();
            if points.is_empty() {
                continue;
            }
            if series.fit {
                let line = points.iter().map(|p| (p.x, p.y));
                let dashed = DashedLineSeries::new(line, 7, 5, style.stroke_width(1));
                let drawn = chart.draw_series(dashed).map_err(other)?;
                drawn.label(&series.name).legend(move |at| {
                    let dash = |from: i32| PathElement::new(vec![(from, 0), (from + 10, 0)], style.stroke_width(1));
                    EmptyElement::at(at) + dash(0) + dash(16)
                });
                continue;
            }
            // No line leads past a point that is missing.
            for run in series.points.split(|p| !shown(p)) {
                let line = run.iter().map(|p| (p.x, p.y));
                chart.draw_series(LineSeries::new(line, style.stroke_width(2))).map_err(other)?;
            }
            let log = self.y.log;
            let low = move |p: &Point| if log && p.bar.0 <= 0.0 { p.y } else { p.bar.0 };
            let bars = points.iter().filter(|p| p.bar.0 < p.bar.1);
            let bars = bars.map(|p| ErrorBar::new_vertical(p.x, low(p), p.y, p.bar.1, style.filled(), 8));
            chart.draw_series(bars).map_err(other)?;
            let line = move || PathElement::new(vec![(0, 0), (26, 0)], style.stroke_width(2));
            // The second time that a colour comes, its marks are triangles.
            let drawn = if colour < COLOURS.len() {
                let marks = points.iter().map(|p| Circle::new((p.x, p.y), 4, fill(colour)));
                let drawn = chart.draw_series(marks).map_err(other)?;
                drawn.legend(move |at| EmptyElement::at(at) + line() + Circle::new((13, 0), 4, fill(colour)))
            } else {
                let marks = points.iter().map(|p| TriangleMarker::new((p.x, p.y), 7, style.filled()));
                let drawn = chart.draw_series(marks).map_err(other)?;
                drawn.legend(move |at| EmptyElement::at(at) + line() + TriangleMarker::new((13, 0), 7, style.filled()))
            };
            drawn.label(&series.name);
        }
        if self.series.len() > 1 {
            let labels = &mut chart.configure_series_labels();
            labels.position(place).margin(10).legend_area_size(36).label_font((FONT, 15));
            labels.background_style(WHITE.mix(0.85)).border_style(RGBColor(180, 180, 180)).draw().map_err(other)?;
        }
        Ok(())
    }
}

impl Plot {
    /// Where the legend covers the fewest points; the first of equals.
    fn emptiest_corner(&self, x: (f64, f64), y: (f64, f64)) -> SeriesLabelPosition {
        use SeriesLabelPosition as P;
        let upper_half = |axis: &Axis, (low, high): (f64, f64), at: f64| match axis.log {
            true => at * at > low * high,
            false => at + at > low + high,
        };
        let mut corners = [0_usize; 4];
        for p in self.series.iter().flat_map(|series| &series.points).filter(|p| p.x.is_finite() && p.y.is_finite()) {
            corners[usize::from(upper_half(&self.x, x, p.x)) + 2 * usize::from(!upper_half(&self.y, y, p.y))] += 1;
        }
        let places = [P::UpperLeft, P::UpperRight, P::LowerLeft, P::LowerRight];
        let emptiest = (0..4).min_by_key(|&corner| corners[corner]).unwrap_or(0);
        places.into_iter().nth(emptiest).unwrap_or(P::UpperLeft)
    }
}

/// Circles of every other series are hollow: a second difference beside the colour.
fn fill(series: usize) -> ShapeStyle {
    let colour = COLOURS[series % COLOURS.len()];
    if series.is_multiple_of(2) { colour.filled() } else { colour.stroke_width(2) }
}

fn linear(range: (f64, f64)) -> RangedCoordf64 {
    (range.0..range.1).into()
}

/// A number at an axis: powers of ten from 10,000 on, no zeros behind the point.
fn tick(x: f64) -> String {
    let magnitude = x.abs();
    if magnitude != 0.0 && !(1e-3..1e5).contains(&magnitude) {
        return format!("{x:.0e}").replace('-', "−");
    }
    let text = format!("{x:.4}");
    text.trim_end_matches('0').trim_end_matches('.').replace('-', "−")
}

/// Registers the font once.
fn font() -> io::Result<()> {
    static READ: OnceLock<bool> = OnceLock::new();
    let bytes = include_bytes!("font/DejaVuSans-subset.ttf");
    let read = READ.get_or_init(|| register_font(FONT, FontStyle::Normal, bytes).is_ok());
    if *read { Ok(()) } else { Err(io::Error::other("the font that comes with the program cannot be read")) }
}

fn other(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(x: Axis, y: Axis) -> Plot {
        // The last series is another curve: it would cover the first.
        let series = |name: &str, factor: f64, fit| {
            let point = |x: f64| {
                let y = factor * x.sqrt();
                Point { x, y, bar: (y - 0.5, 1.2 * y) }
            };
            Series { name: name.to_owned(), points: (0..5).map(|i| point(10f64.powi(i))).collect(), fit }
        };
        let (name, title) = ("p".to_owned(), "√n".to_owned());
        let series = vec![series("τ ≤ 1", 1.0, false), series("slope 0.5", 1.0, true), series("other", 0.5, false)];
        Plot { name, title, x, y, series, levels: vec![("a floor".to_owned(), 0.7)] }
    }

    #[test]
    fn plots_have_their_words_in_svg_and_ink_in_png() {
        for (x, y) in [
            (Axis::log("width n"), Axis::log("sweeps T")),
            (Axis::log("width n"), Axis::linear("sweeps T")),
            (Axis::linear("width n"), Axis::log("sweeps T")),
            (Axis::linear("width n"), Axis { range: Some((0.0, 200.0)), ..Axis::linear("sweeps T") }),
        ] {
            let plot = plot(x, y);
            let svg = plot.svg().unwrap();
            for word in ["width n", "sweeps T", "τ ≤ 1", "slope 0.5", "√n", "a floor"] {
                assert!(svg.contains(word), "{word}");
            }
            let png = plot.png().unwrap();
            let mut reader = png::Decoder::new(std::io::Cursor::new(&png)).read_info().unwrap();
            let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
            reader.next_frame(&mut pixels).unwrap();
            let coloured =
                |colour: RGBColor| pixels.chunks(3).filter(|p| **p == [colour.0, colour.1, colour.2]).count();
            assert!(coloured(COLOURS[0]) > 200 && coloured(COLOURS[1]) > 200 && coloured(BLACK) > 100);
            assert!(coloured(LEVEL) > 100);
            assert_eq!(plot.png().unwrap(), png);
        }
    }

    #[test]
    fn nothing_to_draw_is_an_error() {
        let mut plot = plot(Axis::log("n"), Axis::log("T"));
        plot.series.iter_mut().flat_map(|series| &mut series.points).for_each(|point| point.x = -1.0);
        assert!(plot.svg().unwrap_err().to_string().contains("no number on the axis `n`"));
    }

    /// √n lies in the lower left and the upper right corner of a plot with two logarithmic axes.
    #[test]
    fn the_legend_stands_where_there_is_room() {
        let ranges = ((1.0, 1e4), (1.0, 100.0));
        let corner = |plot: &Plot| plot.emptiest_corner(ranges.0, ranges.1);
        let mut plot = plot(Axis::log("n"), Axis::log("T"));
        assert!(matches!(corner(&plot), SeriesLabelPosition::UpperLeft));
        plot.series.iter_mut().flat_map(|series| &mut series.points).for_each(|point| point.y = 100.0 / point.y);
        assert!(matches!(corner(&plot), SeriesLabelPosition::UpperRight));
    }

    #[test]
    fn ticks_are_short() {
        assert_eq!(
            [0.0, 0.25, 1000.0, 20_000.0, 1e6, 2e-5, -3.0].map(tick),
            ["0", "0.25", "1000", "20000", "1e6", "2e−5", "−3"]
        );
    }
}
