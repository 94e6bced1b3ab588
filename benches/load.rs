//! The load generator as a program, for the scripts of this directory:
//!
//! `cargo bench --bench load -- ADDRESS get|post|echo|broadcast [--connections 64] [--depth 1]
//! [--size 20] [--seconds 2] [--warm-up 0.5] [--answers COUNT] [--process PID]`
//!
//! Prints one line of JSON. With a process it tells the CPU time of that, while it measures.

mod closed_loop;

use std::process::ExitCode;
use std::time::Duration;

use closed_loop::{Plan, Until, Work};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The value behind a name, as what is wanted.
fn value<T: std::str::FromStr>(args: &[String], name: &str, otherwise: T) -> T {
    let Some(at) = args.iter().position(|arg| arg == name) else { return otherwise };
    let value = args.get(at + 1).and_then(|value| value.parse().ok());
    value.unwrap_or_else(|| panic!("{name} wants a number"))
}

fn measure(address: &str, work: &str, args: &[String]) -> std::io::Result<String> {
    let size = value(args, "--size", 20);
    let seconds = |name, otherwise| Duration::from_secs_f64(value(args, name, otherwise));
    let plan = Plan {
        address: address.parse().expect("an address and port"),
        work: match work {
            "get" => Work::Get,
            "post" => Work::Post(size),
            "echo" => Work::Echo(size),
            "broadcast" => Work::Broadcast(size),
            other => panic!("no work {other}"),
        },
        connections: value(args, "--connections", 64),
        depth: value(args, "--depth", 1),
        until: match value(args, "--answers", 0) {
            0 => Until::Time {
                warm_up: seconds("--warm-up", 0.5),
                measured: seconds("--seconds", 2.0),
            },
            count => Until::Answers(count),
        },
    };
    let process: u32 = value(args, "--process", 0);
    let mut marks = Vec::new();
    let report = closed_loop::run(&plan, || {
        marks.push(if process == 0 { Duration::ZERO } else { closed_loop::cpu_time(process)? });
        Ok(())
    })?;
    Ok(format!(
        "{{\"answers\": {}, \"seconds\": {:.4}, \"cpu\": {:.6}, \"p50\": {:.7}, \"p99\": {:.7}}}",
        report.answers,
        report.elapsed.as_secs_f64(),
        (marks[1] - marks[0]).as_secs_f64(),
        report.latency.percentile(0.5).as_secs_f64(),
        report.latency.percentile(0.99).as_secs_f64(),
    ))
}

fn main() -> ExitCode {
    // Cargo's own argument is not ours.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [address, work, rest @ ..] = &args[..] else {
        println!("load: cargo bench --bench load -- 127.0.0.1:8000 get; see benches/load.rs");
        return ExitCode::SUCCESS;
    };
    let most = getrlimit(Resource::Nofile).maximum;
    // What fails for want of descriptors says so itself.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most });
    match measure(address, work, rest) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}
