//! Requests in, answers out: the core's session over the serial line.

use crate::model::log_refusal;
use crate::uart::Uart;
use bitboltz_core::{
    image::{Image, ImageError, Stored},
    session::Session,
    weights::WeightKind,
    with_connection,
};

/// Answers requests over the serial line, without end.
///
/// The greeting is a single zero: the line is open. To the session of the other side it is an empty frame, which counts for
/// nothing. Without a usable image every request is answered with the reason.
pub fn serve(image: Result<Image<'static>, ImageError>, arena: &'static mut [u32]) -> ! {
    // Any type does for a session without a model.
    let kind = image.as_ref().map_or(WeightKind::I8, Image::kind);
    with_connection!(kind, C => run(Session::<C<'static>>::new(image, arena)))
}

fn run<C: Stored<'static>>(mut session: Session<'static, C>) -> ! {
    if let Some(refusal) = session.refusal() {
        log_refusal(refusal);
    }
    let mut uart = Uart::open();
    defmt::info!("listening");
    uart.write(0);
    loop {
        let byte = uart.read();
        if let Some(frame) = session.receive(byte) {
            uart.write_all(frame);
        }
    }
}
