//! Where a device is: a serial port, or a TCP address (QEMU's serial line).

use std::{
    fmt,
    io::{self, Read, Write},
    net::TcpStream,
    str::FromStr,
    time::Duration,
};

use thiserror::Error;

/// A device's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// A serial port by its system name, such as `/dev/ttyACM0` or `COM3`.
    Serial(String),
    /// `tcp:HOST:PORT`.
    Tcp(String),
}

/// A port could not be opened, or its name is none.
#[derive(Debug, Error)]
pub enum PortError {
    /// Not a name.
    #[error("port `{0}`: expected tcp:HOST:PORT, or the name of a serial port")]
    Name(String),
    /// The connection failed.
    #[error("port {port}: {source}")]
    Open {
        /// Which port.
        port: Port,
        /// Why.
        source: io::Error,
    },
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial(name) => f.write_str(name),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
        }
    }
}

impl FromStr for Port {
    type Err = PortError;

    fn from_str(name: &str) -> Result<Self, PortError> {
        match name.strip_prefix("tcp:") {
            Some(address)
                if address
                    .rsplit_once(':')
                    .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) =>
            {
                Ok(Self::Tcp(address.to_owned()))
            }
            None if !name.is_empty() => Ok(Self::Serial(name.to_owned())),
            _ => Err(PortError::Name(name.to_owned())),
        }
    }
}

/// A byte stream whose reads give up after a while.
pub(super) trait Link: Read + Write + Send {}
impl<T: Read + Write + Send> Link for T {}

impl Port {
    /// Opens the port. A read that sees no byte within `patience` fails with `TimedOut` or `WouldBlock`.
    pub(super) fn open(&self, baud: u32, patience: Duration) -> Result<Box<dyn Link>, PortError> {
        let failed = |source: io::Error| PortError::Open { port: self.clone(), source };
        match self {
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address).map_err(failed)?;
                stream.set_read_timeout(Some(patience)).map_err(failed)?;
                stream.set_write_timeout(Some(patience)).map_err(failed)?;
                // Requests are small and each waits for its answer.
                stream.set_nodelay(true).map_err(failed)?;
                Ok(Box::new(stream))
            }
            Self::Serial(name) => {
                let port = serialport::new(name, baud).timeout(patience).open();
                Ok(Box::new(port.map_err(|error| failed(error.into()))?))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!("tcp:127.0.0.1:5555".parse::<Port>().unwrap(), Port::Tcp("127.0.0.1:5555".into()));
        assert_eq!("/dev/ttyACM0".parse::<Port>().unwrap(), Port::Serial("/dev/ttyACM0".into()));
        for bad in ["", "tcp:", "tcp:localhost", "tcp::1", "tcp:localhost:99999"] {
            assert!(bad.parse::<Port>().is_err(), "{bad}");
        }
    }
}
