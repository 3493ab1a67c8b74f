//! Draws visible units into the log, a line for each row of the picture.

use bitboltz_core::image::Geometry;

/// Pixels of the widest picture that is drawn.
pub const WIDEST: u16 = 64;

/// Whether a unit is on in packed bits; units that do not exist are off.
#[must_use]
pub fn is_on(bits: &[u8], unit: usize) -> bool {
    bits.get(unit / 8).is_some_and(|byte| byte >> (unit % 8) & 1 == 1)
}

/// Draws a picture: `#` for a pixel whose most significant bit is on, `.` for one where it is off, `?` where it is not
/// `known`. Of several channels the first is drawn.
///
/// Draws nothing of data that is no picture, and says so of a picture wider than [`WIDEST`].
pub fn draw(geometry: Geometry, visible: &[u8], known: Option<&[u8]>) {
    let (width, of_pixel) = (usize::from(geometry.width), units_of_pixel(geometry));
    if geometry.units() == 0 {
        return;
    }
    if geometry.width > WIDEST {
        defmt::info!("a picture of {=u16} pixels a row is too wide to be drawn", geometry.width);
        return;
    }
    for y in 0..usize::from(geometry.height) {
        let mut row = [0; WIDEST as usize];
        for (x, cell) in row.iter_mut().enumerate().take(width) {
            let unit = (y * width + x) * of_pixel + usize::from(geometry.bits) - 1;
            *cell = match known {
                Some(known) if !is_on(known, unit) => b'?',
                _ if is_on(visible, unit) => b'#',
                _ => b'.',
            };
        }
        defmt::println!("{=str}", row.get(..width).and_then(|row| core::str::from_utf8(row).ok()).unwrap_or_default());
    }
}

/// Whether a visible unit lies in the left half of the picture, the part that `inpaint` hides. Of an odd width the middle
/// column does not; of data that is no picture, the first half does.
#[must_use]
pub fn in_left_half(geometry: Geometry, visible_units: usize, unit: usize) -> bool {
    if geometry.units() == 0 {
        return unit < visible_units / 2;
    }
    let width = usize::from(geometry.width);
    // Units beyond the picture, such as labels, stay known.
    unit < geometry.units() && unit / units_of_pixel(geometry) % width < width / 2
}

fn units_of_pixel(geometry: Geometry) -> usize {
    usize::from(geometry.channels) * usize::from(geometry.bits)
}
