//! The command line.

use std::path::PathBuf;
use std::time::Duration;

const USAGE: &str = "\
peers: Oneport beside other servers, on one core

  --seconds N    of each measurement (default 1)
  --rounds N     in which the servers take turns (default 3)
  --chart FILE   the chart (default peers.svg)
  --table FILE   the table, as Markdown, in a file too";

pub struct Options {
    pub seconds: Duration,
    pub rounds: usize,
    pub chart: PathBuf,
    pub table: Option<PathBuf>,
}

impl Options {
    /// # Errors
    /// What to print instead.
    pub fn parse(args: &[String]) -> Result<Self, String> {
        let mut options = Self {
            seconds: Duration::from_secs(1),
            rounds: 3,
            chart: "peers.svg".into(),
            table: None,
        };
        let mut args = args.iter();
        while let Some(name) = args.next() {
            let value = args.next().ok_or(USAGE)?;
            let wrong = || format!("{name} cannot be {value}\n\n{USAGE}");
            match name.as_str() {
                "--seconds" => {
                    let seconds: f64 = value.parse().map_err(|_| wrong())?;
                    if !(0.1..=60.0).contains(&seconds) {
                        return Err(wrong());
                    }
                    options.seconds = Duration::from_secs_f64(seconds);
                }
                "--rounds" => {
                    options.rounds = value.parse().map_err(|_| wrong())?;
                    if options.rounds == 0 {
                        return Err(wrong());
                    }
                }
                "--chart" => options.chart = value.into(),
                "--table" => options.table = Some(value.into()),
                _ => return Err(USAGE.to_string()),
            }
        }
        Ok(options)
    }
}
