//! Why a server cannot run: what happened, and what to do.

use std::io;

/// Why a server could not start or go on. One line that says what happened and what to do, also
/// where it is printed by `fn main() -> Result<(), ServerError>`.
#[non_exhaustive]
pub enum ServerError {
    /// The address could not be listened on.
    Bind {
        /// As given.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// A setting cannot be used; which one, and why.
    Config(String),
    /// The lifespan handler failed at startup.
    Startup(String),
    /// The lifespan handler failed at shutdown.
    Shutdown(String),
    /// Something else of the system failed.
    Io {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl std::fmt::Debug for ServerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // `main` prints errors with Debug: the reader there is a person, too.
        std::fmt::Display::fmt(self, f)
    }
}

impl std::fmt::Display for ServerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ServerError::Bind { address, source } => {
                write!(f, "cannot listen on {address}: {source}")?;
                match source.kind() {
                    io::ErrorKind::AddrInUse => f.write_str(
                        "; another program has this port: end it, or choose another port",
                    ),
                    io::ErrorKind::PermissionDenied => f.write_str(
                        "; ports below 1024 need a privilege: choose a higher port, or grant CAP_NET_BIND_SERVICE",
                    ),
                    io::ErrorKind::AddrNotAvailable => f.write_str(
                        "; this machine has no such address: use 127.0.0.1, or 0.0.0.0 for all",
                    ),
                    io::ErrorKind::InvalidInput | io::ErrorKind::NotFound => f.write_str(
                        "; the form is HOST:PORT, as in 127.0.0.1:8000, or 0.0.0.0:8000 for all addresses",
                    ),
                    _ => Ok(()),
                }
            }
            ServerError::Config(message) => write!(f, "a setting cannot be used: {message}"),
            ServerError::Startup(message) => {
                write!(f, "the application's startup failed: {message}")
            }
            ServerError::Shutdown(message) => {
                write!(f, "the application's shutdown failed: {message}")
            }
            ServerError::Io { what, source } => {
                write!(f, "{what}: {source}")?;
                if super::listener::is_out_of_descriptors(source) {
                    f.write_str("; too few file descriptors: raise the limit with `ulimit -n`")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ServerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ServerError::Bind { source, .. } | ServerError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_cause_and_remedy_in_one_line() {
        let bind = |kind: io::ErrorKind| ServerError::Bind {
            address: "127.0.0.1:80".into(),
            source: kind.into(),
        };
        for (error, remedy) in [
            (bind(io::ErrorKind::AddrInUse), "choose another port"),
            (bind(io::ErrorKind::PermissionDenied), "choose a higher port"),
            (bind(io::ErrorKind::AddrNotAvailable), "no such address"),
            (bind(io::ErrorKind::InvalidInput), "HOST:PORT, as in"),
            (
                ServerError::Io {
                    what: "cannot watch the listener",
                    source: io::Error::from_raw_os_error(24),
                },
                "ulimit -n",
            ),
        ] {
            let line = error.to_string();
            assert!(line.contains(remedy) && !line.contains('\n'), "{line}");
        }
    }

    #[test]
    fn an_address_of_another_form_is_told_the_form() {
        for address in
            [":8000", "127.0.0.1", "localhost", "", "localhost:", "localhost:http", "h:65536"]
        {
            let error = super::super::listener::bind(address, 1).unwrap_err();
            let line = error.to_string();
            assert!(line.contains("HOST:PORT, as in 127.0.0.1:8000"), "{line}");
            assert!(line.starts_with(&format!("cannot listen on {address}: ")), "{line}");
        }
        super::super::listener::bind("[::1]:0", 1)
            .map(|_| ())
            .or_else(|error| match error {
                // A machine without IPv6.
                ServerError::Bind { source, .. }
                    if source.kind() != io::ErrorKind::InvalidInput =>
                {
                    Ok(())
                }
                other => Err(other),
            })
            .unwrap();
    }
}
