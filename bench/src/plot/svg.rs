//! The little of SVG that the plots are made of.
//!
//! Owns the markup and its escaping. It must not know what a picture shows.

use std::fmt::{Display, Write};

/// Any font that the reader's machine has.
const FONTS: &str = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif";

pub(super) const INK: &str = "#1f2328";
pub(super) const PALE: &str = "#57606a";
pub(super) const GRID: &str = "#e4e7eb";
pub(super) const FRAME: &str = "#8c959f";

/// A picture that is being drawn.
pub(super) struct Svg {
    width: f64,
    height: f64,
    text: String,
}

/// The anchor of a text.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// The style of a text.
#[derive(Clone, Copy)]
pub(super) struct Style {
    pub(super) size: f64,
    pub(super) bold: bool,
    pub(super) colour: &'static str,
}

pub(super) const LABEL: Style = Style {
    size: 13.0,
    bold: false,
    colour: PALE,
};

impl Svg {
    /// White, with a title, and a line under it that says what is shown.
    pub(super) fn new(width: f64, height: f64, title: &str, subtitle: &str) -> Self {
        let mut svg = Self {
            width,
            height,
            text: format!("<title>{}</title>\n", escaped(title)),
        };
        svg.add(format_args!(
            "<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>"
        ));
        let heading = Style {
            size: 19.0,
            bold: true,
            colour: INK,
        };
        svg.text((28.0, 34.0), Anchor::Start, heading, title);
        svg.text((28.0, 56.0), Anchor::Start, LABEL, subtitle);
        svg
    }

    fn add(&mut self, element: impl Display) {
        // Writing into a text does not fail.
        let _ = writeln!(self.text, "{element}");
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, width: f64) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.add(format_args!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" \
             stroke=\"{colour}\" stroke-width=\"{width}\"/>"
        ));
    }

    /// A line through all points.
    pub(super) fn path(&mut self, points: &[(f64, f64)], colour: &str, dashed: bool) {
        let mut list = String::new();
        for (x, y) in points {
            let _ = write!(list, "{x:.1},{y:.1} ");
        }
        let pattern = if dashed {
            " stroke-dasharray=\"5 4\""
        } else {
            ""
        };
        self.add(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.2\" \
             stroke-linejoin=\"round\" stroke-linecap=\"round\"{pattern}/>",
            list.trim_end()
        ));
    }

    /// A point, filled or hollow.
    pub(super) fn dot(&mut self, (x, y): (f64, f64), colour: &str, filled: bool) {
        let fill = if filled { colour } else { "#ffffff" };
        self.add(format_args!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{fill}\" stroke=\"{colour}\" \
             stroke-width=\"2\"/>"
        ));
    }

    pub(super) fn bar(&mut self, (x, y): (f64, f64), width: f64, height: f64, colour: &str) {
        self.add(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"2\" \
             fill=\"{colour}\"/>"
        ));
    }

    pub(super) fn text(&mut self, at: (f64, f64), anchor: Anchor, style: Style, text: &str) {
        let (x, y) = at;
        self.add(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\"{}>{}</text>",
            attributes(anchor, style),
            escaped(text)
        ));
    }

    /// A text that reads from the bottom to the top.
    pub(super) fn upright_text(&mut self, (x, y): (f64, f64), style: Style, text: &str) {
        self.add(format_args!(
            "<text transform=\"translate({x:.1} {y:.1}) rotate(-90)\"{}>{}</text>",
            attributes(Anchor::Middle, style),
            escaped(text)
        ));
    }

    /// The whole picture.
    pub(super) fn finish(self) -> String {
        let Self {
            width,
            height,
            text,
        } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" role=\"img\" font-family=\"{FONTS}\">\n{text}</svg>\n"
        )
    }
}

fn attributes(anchor: Anchor, style: Style) -> String {
    let anchor = match anchor {
        Anchor::Start => "",
        Anchor::Middle => " text-anchor=\"middle\"",
        Anchor::End => " text-anchor=\"end\"",
    };
    let weight = if style.bold {
        " font-weight=\"600\""
    } else {
        ""
    };
    format!(
        "{anchor} font-size=\"{}\"{weight} fill=\"{}\"",
        style.size, style.colour
    )
}

/// A text as it stands in markup; what XML has no way to say is left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for symbol in text.chars() {
        match symbol {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            symbol if symbol.is_control() => {}
            symbol => escaped.push(symbol),
        }
    }
    escaped
}

/// About as wide as a text will be, in a font that nobody knows.
pub(super) fn width_of(text: &str, style: Style) -> f64 {
    let symbols = text.chars().map(|symbol| match symbol {
        'i' | 'j' | 'l' | '.' | ',' | ' ' | '/' | '|' | '\'' | ':' => 0.32,
        'm' | 'w' | 'M' | 'W' | '%' => 0.9,
        'A'..='Z' => 0.68,
        _ => 0.57,
    });
    symbols.sum::<f64>() * style.size
}
