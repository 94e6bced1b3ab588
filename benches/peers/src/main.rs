//! Oneport beside other servers, on one core:
//!
//! ```sh
//! cargo run --release --manifest-path benches/peers/Cargo.toml
//! ```
//!
//! Each server has one worker, in a process of its own on the first core; the load runs on the last
//! one. Servers take turns (A B C A B C), each measurement starts its server anew, and every answer
//! is compared byte by byte with what it has to be. What is told is CPU time for each request,
//! which the load does not change, in terms of Oneport's in the same round: the median of the rounds.
//! Linux: it reads `/proc`.

#[path = "../../closed_loop/mod.rs"]
mod closed_loop;

mod chart;
mod child;
mod options;
mod results;
mod servers;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use child::Running;
use closed_loop::{Plan, Until, Work};
use options::Options;
use results::{Measured, Results};
use servers::{SERVERS, Server};

/// What is measured.
pub struct Scenario {
    pub name: &'static str,
    pub work: Work,
    pub connections: usize,
    pub depth: usize,
}

pub const SCENARIOS: [Scenario; 5] = [
    Scenario { name: "GET", work: Work::Get, connections: 64, depth: 1 },
    Scenario { name: "GET, 16 pipelined", work: Work::Get, connections: 64, depth: 16 },
    Scenario { name: "WebSocket echo", work: Work::Echo(20), connections: 64, depth: 1 },
    Scenario {
        name: "WebSocket echo, 16 on the way",
        work: Work::Echo(20),
        connections: 64,
        depth: 16,
    },
    Scenario {
        name: "WebSocket broadcast to 200",
        work: Work::Broadcast(64),
        connections: 200,
        depth: 1,
    },
];

impl Scenario {
    fn fits(&self, server: &Server) -> bool {
        server.http || !matches!(self.work, Work::Get | Work::Post(_))
    }

    fn plan(&self, server: &Running, until: Until) -> Plan {
        let Self { work, connections, depth, .. } = *self;
        Plan { address: server.address, work, connections, depth, until }
    }
}

/// Does the server answer right? A thousand times.
fn verify(server: &Server, cores: &[usize]) -> io::Result<()> {
    let running = Running::start(server.name, cores)?;
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.fits(server)) {
        closed_loop::run(&scenario.plan(&running, Until::Answers(1000)), || Ok(()))
            .map_err(|error| io::Error::other(format!("{}: {error}", scenario.name)))?;
    }
    Ok(())
}

fn measure(
    scenario: &Scenario,
    server: &Server,
    cores: &[usize],
    measured: Duration,
) -> io::Result<Measured> {
    let running = Running::start(server.name, cores)?;
    let warm_up = measured.min(Duration::from_millis(300));
    let plan = scenario.plan(&running, Until::Time { warm_up, measured });
    let mut cpu = Vec::new();
    let report = closed_loop::run(&plan, || {
        cpu.push(closed_loop::cpu_time(running.id())?);
        Ok(())
    })?;
    let answers = report.answers as f64;
    Ok(Measured {
        cpu: (cpu[1] - cpu[0]).as_secs_f64() / answers,
        rate: answers / report.elapsed.as_secs_f64(),
        p99: report.latency.percentile(0.99).as_secs_f64(),
    })
}

fn compare(options: &Options) -> io::Result<()> {
    child::raise_descriptors();
    let cores = child::cores();
    child::pin(cores.last());
    println!(
        "{} rounds of {} s; one worker on core {}, the load on core {}",
        options.rounds,
        options.seconds.as_secs_f64(),
        cores.first().unwrap_or(&0),
        cores.last().unwrap_or(&0),
    );
    for server in &SERVERS {
        verify(server, &cores)
            .map_err(|error| io::Error::other(format!("{}: {error}", server.name)))?;
    }
    println!("all of them answer right");
    let mut results = Results::default();
    for round in 1..=options.rounds {
        for (number, scenario) in SCENARIOS.iter().enumerate() {
            let servers = SERVERS.iter().enumerate();
            for (index, server) in servers.filter(|(_, server)| scenario.fits(server)) {
                let measured =
                    measure(scenario, server, &cores, options.seconds).map_err(|error| {
                        io::Error::other(format!("{}, {}: {error}", server.name, scenario.name))
                    })?;
                results.add(number, index, measured);
            }
            eprint!("\rround {round}: {} of {}", number + 1, SCENARIOS.len());
        }
    }
    eprintln!();
    println!("\n{}", results.figures());
    println!("{}", results.table());
    std::fs::write(&options.chart, chart::draw(&results))?;
    println!("chart: {}", options.chart.display());
    if let Some(path) = &options.table {
        std::fs::write(path, results.table())?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [serve, name, core @ ..] = &args[..]
        && serve == "serve"
    {
        child::serve(name, core.first().and_then(|core| core.parse().ok()));
        return ExitCode::SUCCESS;
    }
    let options = match Options::parse(&args) {
        Ok(options) => options,
        Err(what) => {
            eprintln!("{what}");
            return ExitCode::from(2);
        }
    };
    match compare(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\npeers: {error}");
            ExitCode::FAILURE
        }
    }
}
