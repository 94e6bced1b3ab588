//! The chart: for each scenario one bar a server, CPU time in terms of Oneport's.
//!
//! It has no background of its own and colours that can be told apart on white and on black. What
//! does not fit is cut off with a gap, and its number says how long it would be.

use std::fmt::Write;

use crate::SCENARIOS;
use crate::results::Results;
use crate::servers::SERVERS;

const WIDTH: f64 = 760.0;
/// Where bars begin and end.
const LEFT: f64 = 250.0;
const RIGHT: f64 = 690.0;
const BAR: f64 = 15.0;
const GAP: f64 = 16.0;
const TOP: f64 = 64.0;
/// What the longest bar stands for.
const MOST: f64 = 4.0;

/// Middle tones, blue for us.
const COLOURS: [&str; 4] = ["#2f7fd8", "#c9772c", "#3c9a68", "#a463b8"];
/// On white and on black.
const TEXT: &str = "#7a828c";

fn x(ratio: f64) -> f64 {
    LEFT + (RIGHT - LEFT) * ratio.min(MOST) / MOST
}

pub fn draw(results: &Results) -> String {
    let mut body = String::new();
    let mut y = TOP;
    for (number, scenario) in SCENARIOS.iter().enumerate() {
        let rows: Vec<_> = (0..SERVERS.len())
            .filter_map(|server| results.ratio(number, server).map(|ratio| (server, ratio)))
            .collect();
        if rows.is_empty() {
            continue;
        }
        let middle = y + rows.len() as f64 * BAR / 2.0 + 4.0;
        let end = LEFT - 12.0;
        let name = scenario.name;
        writeln!(body, "<text x='{end}' y='{middle:.1}' text-anchor='end'>{name}</text>")
            .expect("a string takes everything");
        for (server, ratio) in rows {
            let (to, colour) = (x(ratio.median), COLOURS[server]);
            let (height, width) = (BAR - 2.0, to - LEFT);
            let title = format!(
                "{}, {name}: {:.2} ({:.2} to {:.2})",
                SERVERS[server].name, ratio.median, ratio.least, ratio.most
            );
            writeln!(
                body,
                "<rect x='{LEFT}' y='{y:.1}' width='{width:.1}' height='{height}' \
                 fill='{colour}'><title>{title}</title></rect>"
            )
            .expect("a string takes everything");
            let (label, base) = (to + 6.0, y + BAR - 4.0);
            if ratio.median > MOST {
                // The gap of a bar that goes on.
                let (from, bottom) = (to - 24.0, y + height);
                writeln!(
                    body,
                    "<path d='M{from:.1} {bottom:.1}l6 -{height}h5l-6 {height}z' class='cut'/>"
                )
                .expect("a string takes everything");
            }
            writeln!(body, "<text x='{label:.1}' y='{base:.1}'>{:.2}</text>", ratio.median)
                .expect("a string takes everything");
            y += BAR;
        }
        y += GAP;
    }
    let mut legend = String::new();
    let mut at = LEFT;
    for (server, colour) in SERVERS.iter().zip(COLOURS) {
        let (name, text) = (server.name, at + 16.0);
        writeln!(
            legend,
            "<rect x='{at}' y='34' width='11' height='11' fill='{colour}'/>\
             <text x='{text}' y='44'>{name}</text>"
        )
        .expect("a string takes everything");
        at += 38.0 + 6.5 * name.len() as f64;
    }
    let (one, bottom) = (x(1.0), y - GAP + 4.0);
    let (line, height) = (TOP - 6.0, y - GAP + 16.0);
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height:.0}' \
         width='{WIDTH}' height='{height:.0}' role='img' \
         aria-label='CPU time for each request, Oneport beside other servers'>\n\
         <style>text{{font:12px system-ui,sans-serif;fill:{TEXT}}}.cut{{fill:#fff}}\
         @media(prefers-color-scheme:dark){{.cut{{fill:#0d1117}}}}</style>\n\
         <text x='12' y='18' style='font-size:14px'>CPU time of the server for each request, \
         message or delivery; Oneport = 1, less is better</text>\n\
         {legend}{body}\
         <path d='M{one:.1} {line}V{bottom:.1}' stroke='{TEXT}' stroke-dasharray='3 3'/>\n\
         </svg>\n"
    )
}
