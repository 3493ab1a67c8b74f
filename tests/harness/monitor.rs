//! QEMU's monitor: what a probe does to a board, and a reset.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
};

use serde_json::{Value, json};
use xtask::board::Board;

use crate::firmware::TIMEOUT;

/// Has a QEMU that runs `board` call this process. The result waits for it.
///
/// # Panics
/// If the board has no QEMU, or this machine no port; the result, if QEMU does not speak its protocol.
pub fn called_by(board: &mut Board) -> impl FnOnce() -> Monitor + use<> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("tcp:{}", listener.local_addr().expect("its address"));
    board.qemu.as_mut().expect("QEMU runs it").arguments.extend(["-qmp".into(), address]);
    move || Monitor::new(listener.accept().expect("QEMU calls").0)
}

/// A monitor.
pub struct Monitor {
    line: BufReader<TcpStream>,
    folder: tempfile::TempDir,
}

impl Monitor {
    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(TIMEOUT)).expect("an option");
        let mut monitor = Self { line: BufReader::new(stream), folder: tempfile::tempdir().expect("a folder") };
        monitor.ask(&json!({ "execute": "qmp_capabilities" }), None);
        monitor
    }

    /// Gives a command and waits until it is answered, and until such an event, if there is one to come: in either order.
    fn ask(&mut self, command: &Value, event: Option<&str>) {
        writeln!(self.line.get_mut(), "{command}").expect("QEMU hears");
        let (mut answered, mut happened) = (false, event.is_none());
        while !(answered && happened) {
            let mut line = String::new();
            assert!(self.line.read_line(&mut line).expect("a line in time") > 0, "QEMU has ended");
            let line: Value = serde_json::from_str(&line).expect("JSON");
            assert!(line.get("error").is_none(), "{line}");
            // A greeting and other events come in between.
            answered |= line.get("return").is_some();
            happened |= event.is_some_and(|event| line["event"] == event);
        }
    }

    /// Bytes of the board's memory, while it runs.
    ///
    /// # Panics
    /// If QEMU does not tell.
    pub fn memory(&mut self, address: u64, bytes: u64) -> Vec<u8> {
        let path = self.folder.path().join("memory");
        let arguments = json!({ "val": address, "size": bytes, "filename": path });
        self.ask(&json!({ "execute": "memsave", "arguments": arguments }), None);
        fs::read(path).expect("QEMU has written it")
    }

    /// Resets the board.
    ///
    /// # Panics
    /// If QEMU does not.
    pub fn reset(&mut self) {
        self.ask(&json!({ "execute": "system_reset" }), Some("RESET"));
    }
}
