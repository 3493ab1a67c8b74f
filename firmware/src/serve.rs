//! Requests in, answers out: the core's session over the serial line.

use crate::board;
use crate::model::{log_image, log_refusal};
use bitboltz_core::{
    image::Image,
    session::{Server, message::Refusal, store::Store},
};

/// Answers requests from the weights region over the serial line, without end, and takes new weights where the region can be
/// written.
///
/// The greeting is a single zero: the line is open. To the session of the other side it is an empty frame, which counts for
/// nothing. Without a usable image every question is answered with the reason.
pub fn serve(store: impl Store, arena: &'static mut [u32]) -> ! {
    let mut server = Server::new(store, arena);
    let mut running = log(server.image());
    let mut uart = board::uart();
    defmt::info!("listening");
    uart.write(0);
    loop {
        let byte = uart.read();
        server.receive(byte, &mut |bytes| bytes.iter().for_each(|&byte| uart.write(byte)));
        // Only a frame's end changes anything.
        if byte == 0 && server.image().map(|image| image.crc()).ok() != running {
            running = log(server.image());
        }
    }
}

/// Logs what answers, or why nothing does, and returns its CRC.
fn log(image: Result<Image<'_>, Refusal>) -> Option<u32> {
    match image {
        Ok(image) => {
            log_image(&image);
            Some(image.crc())
        }
        Err(refusal) => {
            log_refusal(&refusal);
            None
        }
    }
}
