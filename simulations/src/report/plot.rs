//! Plots as SVG that a page can hold without asking anybody else: axes, lines, bands, marks.

use std::fmt::Write;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 44.0;

/// One line of a plot.
pub(super) struct Line {
    /// What it shows; an empty label is not in the legend.
    pub label: String,
    /// The CSS class that colours it.
    pub class: &'static str,
    /// Its points, by ascending x.
    pub points: Vec<(f64, f64)>,
    /// Whether the value stays until the next point (a count) or moves evenly (a measure).
    pub steps: bool,
}

/// Something that happened at an x.
pub(super) struct Mark {
    /// Where.
    pub x: f64,
    /// What.
    pub label: String,
}

/// One plot.
pub(super) struct Plot {
    /// What is plotted to the right, with its unit.
    pub x_label: String,
    /// What is plotted upwards, with its unit.
    pub y_label: String,
    /// The lines, the first on top.
    pub lines: Vec<Line>,
    /// An area between two lines: points of (x, low, high).
    pub band: Vec<(f64, f64, f64)>,
    /// Vertical marks.
    pub marks: Vec<Mark>,
    /// The least height of the y axis.
    pub y_at_least: f64,
    /// The end of the x axis if it is fixed; otherwise the data decide.
    pub x_to: Option<f64>,
}

struct Scale {
    from: f64,
    to: f64,
    low: f64,
    high: f64,
}

impl Scale {
    fn at(&self, value: f64) -> f64 {
        self.low + (value - self.from) / (self.to - self.from) * (self.high - self.low)
    }
}

impl Plot {
    /// The plot as an SVG element.
    pub(super) fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| line.points.iter());
        let finite = |value: &f64| value.is_finite();
        let x_data = points().map(|point| point.0).chain(self.marks.iter().map(|mark| mark.x)).filter(finite);
        let x_most = self.x_to.unwrap_or_else(|| x_data.fold(0.0, f64::max));
        let y_data = points().map(|point| point.1).chain(self.band.iter().map(|band| band.2)).filter(finite);
        let y_most = y_data.fold(self.y_at_least, f64::max);
        let (x_step, y_step) = (nice_step(x_most, 7.0), nice_step(y_most, 5.0));
        let y_top = if y_most <= 1.0 { 1.0 } else { (y_most / y_step).ceil() * y_step };
        let x = Scale { from: 0.0, to: x_most.max(1e-9), low: LEFT, high: WIDTH - RIGHT };
        // Room for the marks' labels above whatever is drawn.
        let room = room_of(&self.marks);
        let y = Scale { from: 0.0, to: y_top.max(1e-9) * room, low: HEIGHT - BOTTOM, high: TOP };
        let mut svg =
            format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">", escape(&self.y_label));
        self.draw_axes(&mut svg, &x, &y, x_step, y_step);
        self.draw_marks(&mut svg, &x);
        if !self.band.is_empty() {
            let upper = self.band.iter().map(|(at, _, high)| (*at, *high));
            let lower = self.band.iter().rev().map(|(at, low, _)| (*at, *low));
            let outline: Vec<String> =
                upper.chain(lower).map(|(at, value)| format!("{:.1},{:.1}", x.at(at), y.at(value))).collect();
            let _ = write!(svg, "<polygon class=\"band\" points=\"{}\"/>", outline.join(" "));
        }
        for line in self.lines.iter().rev() {
            let _ = write!(svg, "<path class=\"line {}\" d=\"{}\"/>", line.class, path(line, &x, &y));
        }
        svg.push_str("</svg>");
        svg.push_str(&self.legend());
        svg
    }

    fn draw_axes(&self, svg: &mut String, x: &Scale, y: &Scale, x_step: f64, y_step: f64) {
        let mut value = 0.0;
        while value <= y.to / room_of(&self.marks) * 1.0001 {
            let at = y.at(value);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 7.0,
                at + 4.0,
                number(value)
            );
            value += y_step;
        }
        value = 0.0;
        while value <= x.to * 1.0001 {
            let at = x.at(value);
            let _ = write!(
                svg,
                "<text class=\"tick\" x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                HEIGHT - BOTTOM + 17.0,
                number(value)
            );
            value += x_step;
        }
        let _ = write!(
            svg,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/>\
             <text class=\"name\" x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>\
             <text class=\"name\" x=\"{LEFT}\" y=\"12\">{}</text>",
            WIDTH - RIGHT,
            HEIGHT - BOTTOM,
            HEIGHT - BOTTOM,
            (LEFT + WIDTH - RIGHT) / 2.0,
            HEIGHT - 8.0,
            escape(&self.x_label),
            escape(&self.y_label)
        );
    }

    fn draw_marks(&self, svg: &mut String, x: &Scale) {
        // Labels that would lie on each other are left to the tooltip.
        let mut free_from = f64::MIN;
        for mark in &self.marks {
            let at = x.at(mark.x);
            let _ = write!(
                svg,
                "<line class=\"mark\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{}\"><title>{}</title></line>",
                HEIGHT - BOTTOM,
                escape(&mark.label)
            );
            #[expect(clippy::cast_precision_loss, reason = "the length of a label")]
            let wide = mark.label.chars().count() as f64 * 5.6 + 8.0;
            if at >= free_from {
                let (anchor, dx) = if at + wide > WIDTH - RIGHT { ("end", -4.0) } else { ("start", 4.0) };
                let _ = write!(
                    svg,
                    "<text class=\"note\" x=\"{:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
                    at + dx,
                    TOP + 10.0,
                    escape(&mark.label)
                );
                free_from = at + wide;
            }
        }
    }

    fn legend(&self) -> String {
        let shown: Vec<String> = self
            .lines
            .iter()
            .filter(|line| !line.label.is_empty())
            .map(|line| format!("<span><i class=\"key {}\"></i>{}</span>", line.class, escape(&line.label)))
            .collect();
        if shown.is_empty() { String::new() } else { format!("<div class=\"legend\">{}</div>", shown.concat()) }
    }
}

/// How much higher than its data a plot is.
fn room_of(marks: &[Mark]) -> f64 {
    if marks.is_empty() { 1.0 } else { 1.12 }
}

fn path(line: &Line, x: &Scale, y: &Scale) -> String {
    let mut d = String::new();
    for (i, (at, value)) in line.points.iter().filter(|point| point.0.is_finite() && point.1.is_finite()).enumerate() {
        let (px, py) = (x.at(at.min(x.to)), y.at(*value));
        let _ = match (i, line.steps) {
            (0, _) => write!(d, "M{px:.1} {py:.1}"),
            (_, true) => write!(d, "H{px:.1}V{py:.1}"),
            (_, false) => write!(d, "L{px:.1} {py:.1}"),
        };
    }
    d
}

/// A round step that cuts `most` into about `parts`.
fn nice_step(most: f64, parts: f64) -> f64 {
    let raw = (most / parts).max(1e-6);
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|step| step * power >= raw).unwrap_or(10.0);
    step * power
}

/// A number as short as it can be.
pub(super) fn number(value: f64) -> String {
    if value >= 10_000.0 {
        return format!("{}k", number(value / 1_000.0));
    }
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A text for HTML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_numbers_short() {
        assert!((nice_step(100.0, 5.0) - 20.0).abs() < 1e-9);
        assert!((nice_step(0.9, 5.0) - 0.2).abs() < 1e-9);
        assert_eq!(number(0.5), "0.5");
        assert_eq!(number(20_000.0), "20k");
        assert_eq!(number(7.0), "7");
    }
}
