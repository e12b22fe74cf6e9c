//! Draws scores as SVG: one row a scenario, one dot a contender, or one line a contender over time; never chooses what.

use std::fmt::Write as _;

/// Colours of contenders, in their order; told apart also by those who see few colours (Okabe and Ito).
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#000000", "#cc79a7", "#e69f00", "#56b4e9"];

const WIDTH: f64 = 760.0;
const LEFT: f64 = 130.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 56.0;
const ROW: f64 = 18.0;

/// What is drawn: a name for each row, or for each line, and numbers from 0 to `most`.
#[derive(Debug)]
pub(crate) struct Chart<'a> {
    pub(crate) title: &'a str,
    /// Names of contenders.
    pub(crate) contenders: Vec<&'a str>,
    /// The right end of the scale.
    pub(crate) most: f64,
}

impl Chart<'_> {
    /// A row for each name, with a dot for each contender's share.
    pub(crate) fn dots(&self, rows: &[(&str, Vec<f64>)]) -> String {
        let height = TOP + ROW * (rows.len() as f64 + 1.5);
        let mut svg = self.head(height);
        let x = |share: f64| LEFT + (WIDTH - LEFT - RIGHT) * (share / self.most).clamp(0.0, 1.0);
        let bottom = height - ROW * 1.2;
        for tenth in 0..=5_u32 {
            let share = self.most * f64::from(tenth) / 5.0;
            line(&mut svg, [x(share), TOP - 8.0, x(share), bottom], "#dddddd");
            text(&mut svg, [x(share), bottom + 14.0], "middle", &format!("{:.0} %", share * 100.0));
        }
        for (number, (name, shares)) in rows.iter().enumerate() {
            let y = TOP + ROW * (number as f64 + 0.5);
            text(&mut svg, [LEFT - 8.0, y + 4.0], "end", name);
            line(&mut svg, [LEFT, y, WIDTH - RIGHT, y], "#eeeeee");
            // The first contender is drawn last, over the others.
            for (share, colour) in shares.iter().zip(COLOURS).rev() {
                let _ =
                    writeln!(svg, r#"<circle cx="{:.1}" cy="{y:.1}" r="4.5" fill="{colour}"/>"#, x(*share));
            }
        }
        svg + "</svg>\n"
    }

    /// A line for each contender: a number for each minute.
    pub(crate) fn lines(&self, series: &[Vec<u32>]) -> String {
        const HEIGHT: f64 = 300.0;
        let mut svg = self.head(HEIGHT);
        let minutes = series.iter().map(Vec::len).max().unwrap_or(1).max(2);
        let bottom = HEIGHT - 34.0;
        let x = |minute: usize| LEFT + (WIDTH - LEFT - RIGHT) * minute as f64 / (minutes - 1) as f64;
        let y = |count: f64| bottom - (bottom - TOP) * (count / self.most).min(1.0);
        for quarter in 0..=4_u32 {
            let count = self.most * f64::from(quarter) / 4.0;
            line(&mut svg, [LEFT, y(count), WIDTH - RIGHT, y(count)], "#dddddd");
            text(&mut svg, [LEFT - 8.0, y(count) + 4.0], "end", &format!("{count:.0}"));
        }
        for minute in (0..minutes).step_by(5) {
            text(&mut svg, [x(minute), bottom + 16.0], "middle", &format!("{minute} min"));
        }
        for (counts, colour) in series.iter().zip(COLOURS).rev() {
            let points = counts.iter().enumerate();
            let points: Vec<String> = points
                .map(|(minute, count)| format!("{:.1},{:.1}", x(minute), y(f64::from(*count))))
                .collect();
            let points = points.join(" ");
            let _ = writeln!(
                svg,
                r#"<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>"#
            );
        }
        svg + "</svg>\n"
    }

    fn head(&self, height: f64) -> String {
        let mut svg = format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0} {height:.0}" font-family="sans-serif" font-size="12">"#
        );
        let _ = writeln!(svg, "\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>");
        text(&mut svg, [10.0, 18.0], "start", self.title);
        let mut x = LEFT;
        for (name, colour) in self.contenders.iter().zip(COLOURS) {
            let _ = writeln!(svg, r#"<circle cx="{x:.1}" cy="34" r="4.5" fill="{colour}"/>"#);
            text(&mut svg, [x + 8.0, 38.0], "start", name);
            x += 30.0 + 7.0 * name.len() as f64;
        }
        svg
    }
}

fn line(svg: &mut String, [x1, y1, x2, y2]: [f64; 4], colour: &str) {
    let _ = writeln!(svg, r#"<path d="M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}" stroke="{colour}"/>"#);
}

fn text(svg: &mut String, [x, y]: [f64; 2], anchor: &str, words: &str) {
    let _ = writeln!(
        svg,
        r##"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" fill="#222222">{words}</text>"##
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_and_lines_lie_within_the_picture() {
        let chart = Chart { title: "t", contenders: vec!["one", "two"], most: 0.5 };
        let dots = chart.dots(&[("row", vec![0.25, 2.0])]);
        assert!(dots.contains(r#"cx="435.0" cy="65.0""#), "half the scale: {dots}");
        assert!(
            dots.contains(r#"cx="740.0" cy="65.0""#),
            "what is beyond the scale stays at its end: {dots}"
        );
        let chart = Chart { most: 100.0, ..chart };
        let lines = chart.lines(&[vec![0, 50, 100], vec![]]);
        assert!(lines.contains(r#"points="130.0,266.0 435.0,161.0 740.0,56.0""#), "{lines}");
        assert!(dots.ends_with("</svg>\n") && lines.ends_with("</svg>\n"));
    }
}
