//! A server in a process of its own, and who runs on which core.

use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::servers::SERVERS;

/// A running server; it ends with this.
pub struct Running {
    child: Child,
    pub address: SocketAddr,
}

impl Running {
    /// Starts this program again, as that server, on the first core.
    pub fn start(name: &str, cores: &[usize]) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", name])
            .args(cores.first().map(usize::to_string))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line)?;
        match line.trim().parse() {
            Ok(address) => Ok(Self { child, address }),
            Err(_) => {
                let _ = child.kill();
                child.wait()?;
                Err(io::Error::other(format!("{name} did not start")))
            }
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The cores that may be used.
pub fn cores() -> Vec<usize> {
    let set = sched_getaffinity(None).unwrap_or_default();
    (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect()
}

/// This thread and those that it starts run on one core: the server on the first, the load on the
/// last. A machine with one core has no choice.
pub fn pin(core: Option<&usize>) {
    let mut set = CpuSet::new();
    if let Some(core) = core {
        set.set(*core);
        // What cannot be pinned runs anywhere.
        let _ = sched_setaffinity(None, &set);
    }
}

/// As many descriptors as may be had.
pub fn raise_descriptors() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// Serves until the process that started this one is gone.
pub fn serve(name: &str, core: Option<usize>) {
    pin(core.as_ref());
    raise_descriptors();
    std::thread::spawn(|| {
        let _ = io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let server = SERVERS.iter().find(|server| server.name == name).expect("there is such a server");
    (server.run)(|address| println!("{address}"));
}
