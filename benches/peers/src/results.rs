//! What was measured, as tables.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::SCENARIOS;
use crate::servers::SERVERS;

/// One measurement, in seconds and per second.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// CPU time of the server for each answer.
    pub cpu: f64,
    pub rate: f64,
    pub p99: f64,
}

/// Rounds, by scenario and server.
#[derive(Default)]
pub struct Results(BTreeMap<(usize, usize), Vec<Measured>>);

/// How one server compares with Oneport.
#[derive(Debug, Clone, Copy)]
pub struct Ratio {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

impl Results {
    pub fn add(&mut self, scenario: usize, server: usize, measured: Measured) {
        self.0.entry((scenario, server)).or_default().push(measured);
    }

    fn median(&self, scenario: usize, server: usize, of: fn(&Measured) -> f64) -> Option<f64> {
        Some(median(self.0.get(&(scenario, server))?.iter().map(of).collect()))
    }

    /// CPU time for each answer, in terms of Oneport's in the same round.
    pub fn ratio(&self, scenario: usize, server: usize) -> Option<Ratio> {
        let ours = self.0.get(&(scenario, 0))?;
        let theirs = self.0.get(&(scenario, server))?;
        let ratios: Vec<f64> =
            ours.iter().zip(theirs).map(|(ours, theirs)| theirs.cpu / ours.cpu).collect();
        Some(Ratio {
            least: ratios.iter().copied().fold(f64::INFINITY, f64::min),
            most: ratios.iter().copied().fold(0.0, f64::max),
            median: median(ratios),
        })
    }

    /// Everything, in figures of this machine.
    pub fn figures(&self) -> String {
        let mut out = format!(
            "{:30} {:18} {:>12} {:>14} {:>10}\n",
            "scenario", "server", "CPU us each", "per second", "p99 us"
        );
        for (number, scenario) in SCENARIOS.iter().enumerate() {
            for (index, server) in SERVERS.iter().enumerate() {
                let Some(cpu) = self.median(number, index, |measured| measured.cpu) else {
                    continue;
                };
                let rate = self.median(number, index, |measured| measured.rate).unwrap_or(0.0);
                let p99 = self.median(number, index, |measured| measured.p99).unwrap_or(0.0);
                let (cpu, p99) = (cpu * 1e6, p99 * 1e6);
                let (scenario, server) = (scenario.name, server.name);
                writeln!(out, "{scenario:30} {server:18} {cpu:12.3} {rate:14.0} {p99:10.0}")
                    .expect("a string takes everything");
            }
        }
        out
    }

    /// CPU time in terms of Oneport's, as Markdown: the median of the rounds, and from where to
    /// where they lie.
    pub fn table(&self) -> String {
        let mut out = String::from("| CPU time of the server, each; Oneport = 1 |");
        for server in &SERVERS {
            write!(out, " {} |", server.name).expect("a string takes everything");
        }
        out.push_str("\n|---|");
        out.push_str(&"---:|".repeat(SERVERS.len()));
        for (number, scenario) in SCENARIOS.iter().enumerate() {
            write!(out, "\n| {} |", scenario.name).expect("a string takes everything");
            for index in 0..SERVERS.len() {
                match self.ratio(number, index) {
                    Some(_) if index == 0 => out.push_str(" 1.00 |"),
                    Some(Ratio { median, least, most }) => {
                        write!(out, " **{median:.2}** ({least:.2} to {most:.2}) |")
                            .expect("a string takes everything");
                    }
                    None => out.push_str(" |"),
                }
            }
        }
        out.push('\n');
        out
    }
}
