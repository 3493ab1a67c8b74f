//! Every access to memory that Rust did not allocate: the weights region, the arena, and the registers of the board.
//!
//! The regions' addresses are linker symbols of the board's `memory.x`; a symbol's address is the value, and nothing is ever
//! read from where the address symbols themselves would lie.
#![allow(unsafe_code)]

use core::ptr::{addr_of, addr_of_mut, with_exposed_provenance, with_exposed_provenance_mut};
use core::sync::atomic::{AtomicBool, Ordering};
#[cfg(weights_flash)]
use {bitboltz_core::session::store::StoreError, core::sync::atomic::fence};

unsafe extern "C" {
    /// First byte of the weights region.
    static __weights_start: u8;
    /// One past its last byte.
    static __weights_end: u8;
    /// First word of the arena.
    static mut __arena_start: u32;
    /// One past its last word.
    static mut __arena_end: u32;
}

/// Whether the weights region was handed out to be written, and so is nobody else's.
#[cfg(weights_writable)]
static WRITABLE: AtomicBool = AtomicBool::new(false);
/// Whether it was handed out to be read.
#[cfg(weights_writable)]
static READ: AtomicBool = AtomicBool::new(false);

/// Address and bytes of the board's weights region, for the one who may write it: nothing the second time, or after
/// [`weights`].
#[cfg(weights_writable)]
fn take_weights() -> Option<(usize, usize)> {
    // Load and store, no swap: a Cortex-M0 has none. No interrupt handler calls this.
    if WRITABLE.load(Ordering::Relaxed) || READ.load(Ordering::Relaxed) {
        return None;
    }
    WRITABLE.store(true, Ordering::Relaxed);
    let start = addr_of!(__weights_start) as usize;
    Some((start, addr_of!(__weights_end) as usize - start))
}

/// The board's weights region, whole, to be written, where it is RAM.
///
/// Handed out once, and only if [`weights`] was not called before; else it is empty.
#[cfg(weights = "ram")]
#[must_use]
pub(crate) fn weights_mut() -> &'static mut [u32] {
    let Some((start, bytes)) = take_weights() else { return &mut [] };
    let start = with_exposed_provenance_mut::<u32>(start);
    // SAFETY: memory.x reserves `bytes` bytes from `start` in RAM, 4-byte aligned and outside of all other regions, so that the
    // linker places nothing there. `take_weights` lets no second reference to it be made, here or in `weights`. Any bits are a
    // u32, and the emulator has loaded or zeroed them all. `bytes` is below isize::MAX.
    unsafe { core::slice::from_raw_parts_mut(start, bytes / size_of::<u32>()) }
}

/// The board's weights region, whole, where it is flash: it is read in place, and a word that is written there is a command to
/// the flash, or what it is to hold.
#[cfg(weights_flash)]
pub(crate) struct WeightsFlash {
    start: usize,
    bytes: usize,
}

#[cfg(weights_flash)]
impl WeightsFlash {
    /// The region. Handed out once, and only if [`weights`] was not called before; else it is empty.
    #[must_use]
    pub(crate) fn take() -> Self {
        let (start, bytes) = take_weights().unwrap_or_default();
        Self { start, bytes }
    }

    /// The region's contents, while the flash shows them.
    pub(crate) fn bytes(&self) -> &[u8] {
        if self.bytes == 0 {
            return &[];
        }
        let start = with_exposed_provenance::<u8>(self.start);
        // SAFETY: memory.x reserves `bytes` bytes from `start` in readable memory, outside of all other regions. `take_weights`
        // lets nobody else refer to them, and they change only by what `write` and `erase` take `&mut self` for, so not while
        // the result lives; u8 has no alignment and no invalid values. `bytes` is below isize::MAX.
        unsafe { core::slice::from_raw_parts(start, self.bytes) }
    }

    /// Address of the word at an offset, if there is one.
    fn address(&self, offset: usize) -> Result<usize, StoreError> {
        if offset.is_multiple_of(4) && offset < self.bytes { Ok(self.start + offset) } else { Err(StoreError) }
    }

    /// Reads the word at an offset, whatever the flash shows there.
    #[cfg(weights = "cfi")]
    pub(crate) fn read(&self, offset: usize) -> Result<u32, StoreError> {
        let word = with_exposed_provenance::<u32>(self.address(offset)?);
        // SAFETY: an aligned word of the region, readable as for `bytes`; any bits are a number.
        Ok(unsafe { word.read_volatile() })
    }

    /// Writes a word to the flash at an offset.
    ///
    /// # Errors
    /// There is no such word.
    pub(crate) fn write(&mut self, offset: usize, word: u32) -> Result<(), StoreError> {
        let address = with_exposed_provenance_mut::<u32>(self.address(offset)?);
        // A command may change bytes far from where it goes: what was read before it is read again after it.
        fence(Ordering::SeqCst);
        // SAFETY: an aligned word of the region, to which no reference is alive: those of `bytes` borrow `self`. What the flash
        // does with it stays within the flash; nothing that Rust allocated is there.
        unsafe { address.write_volatile(word) };
        fence(Ordering::SeqCst);
        Ok(())
    }

    /// Has a controller erase the page that begins at an offset: `page` is its register for the address.
    ///
    /// # Errors
    /// There is no such page.
    #[cfg(weights = "nvmc")]
    pub(crate) fn erase(&mut self, offset: usize, page: Register) -> Result<(), StoreError> {
        let address = self.address(offset)?;
        fence(Ordering::SeqCst);
        page.write(address as u32);
        fence(Ordering::SeqCst);
        Ok(())
    }
}

/// The board's weights region, whole: the image starts at its first byte and may be shorter. Empty, if it was handed out to be
/// written.
#[must_use]
pub fn weights() -> &'static [u8] {
    #[cfg(weights_writable)]
    {
        if WRITABLE.load(Ordering::Relaxed) {
            return &[];
        }
        READ.store(true, Ordering::Relaxed);
    }
    let start = addr_of!(__weights_start);
    let length = addr_of!(__weights_end) as usize - start as usize;
    // The address goes through an integer: the region is no object that this program defines.
    let start = with_exposed_provenance::<u8>(start as usize);
    // SAFETY: memory.x reserves `start .. start + length` in readable memory, outside of all other regions, so that the linker
    // places nothing there. Nothing in this program writes to it (`take_weights` gives nothing from now on), hence it is
    // immutable for `'static`; u8 has no alignment and no invalid values. `length` is below isize::MAX, since the region fits
    // the address space's half.
    unsafe { core::slice::from_raw_parts(start, length) }
}

/// The board's working memory, zeroed: all of the RAM that the program's own variables and stack do not use.
///
/// Handed out once; a second call gives nothing.
#[must_use]
pub fn arena() -> &'static mut [u32] {
    static GIVEN: AtomicBool = AtomicBool::new(false);
    // Load and store, no swap: a Cortex-M0 has none. No interrupt handler calls this, so that nothing comes between the two.
    let given = GIVEN.load(Ordering::Relaxed);
    GIVEN.store(true, Ordering::Relaxed);
    if given {
        return &mut [];
    }
    let start = addr_of_mut!(__arena_start) as usize;
    let words = (addr_of_mut!(__arena_end) as usize - start) / size_of::<u32>();
    let start = with_exposed_provenance_mut::<u32>(start);
    // SAFETY: memory.x reserves `start .. start + words` in RAM, 4-byte aligned and outside of RAM's own region, so that
    // neither a variable nor the stack lies there. This is the only place that makes a reference to it, and `GIVEN` lets
    // it pass once. The words are written before they are read. `words` is below isize::MAX / 4: RAM is at most half of
    // the address space.
    unsafe {
        start.write_bytes(0, words);
        core::slice::from_raw_parts_mut(start, words)
    }
}

/// One 32-bit register of a peripheral.
#[derive(Clone, Copy)]
#[cfg(not(uart = "ns16550"))]
pub(crate) struct Register(usize);

#[cfg(not(uart = "ns16550"))]
impl Register {
    /// The register at `address`.
    ///
    /// # Panics
    /// If the address is no word of where a Cortex-M has its peripherals (by its architecture), and the RP2350 those of both its
    /// processors; where it is a constant, that does not compile.
    pub(crate) const fn at(address: usize) -> Self {
        assert!(address.is_multiple_of(4) && address >= 0x4000_0000 && address < 0x6000_0000);
        Self(address)
    }

    /// Reads the register.
    #[inline]
    pub(crate) fn read(self) -> u32 {
        let register = with_exposed_provenance::<u32>(self.0);
        // SAFETY: `at` keeps the address aligned and in the part of the address space where boards have peripherals only: no
        // memory that Rust knows is there, and reading a register has no effect on memory.
        unsafe { register.read_volatile() }
    }

    /// Writes the register.
    #[inline]
    pub(crate) fn write(self, value: u32) {
        let register = with_exposed_provenance_mut::<u32>(self.0);
        // SAFETY: as in `read`; no driver of this program starts a DMA, so that no register makes a peripheral write to
        // memory.
        unsafe { register.write_volatile(value) }
    }

    /// Sets bits, and leaves the others.
    #[inline]
    #[cfg(any(uart = "stm32", feature = "lm3s6965evb"))]
    pub(crate) fn set(self, bits: u32) {
        self.write(self.read() | bits);
    }
}

/// One register of a byte.
#[derive(Clone, Copy)]
#[cfg(uart = "ns16550")]
pub(crate) struct ByteRegister(usize);

#[cfg(uart = "ns16550")]
impl ByteRegister {
    /// The register at `address`.
    ///
    /// # Panics
    /// If the address is none of the UART of QEMU's `virt`; where it is a constant, that does not compile.
    pub(crate) const fn at(address: usize) -> Self {
        assert!(address >= 0x1000_0000 && address < 0x1000_1000);
        Self(address)
    }

    /// Reads the register.
    pub(crate) fn read(self) -> u8 {
        // SAFETY: as in `Register::read`; a byte is aligned everywhere.
        unsafe { with_exposed_provenance::<u8>(self.0).read_volatile() }
    }

    /// Writes the register.
    pub(crate) fn write(self, value: u8) {
        // SAFETY: as in `Register::write`.
        unsafe { with_exposed_provenance_mut::<u8>(self.0).write_volatile(value) }
    }
}
