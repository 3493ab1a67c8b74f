//! What the RP2350 wants before its serial line, UART0, works: a clock, and pins. Both its kinds of processor see the same
//! registers. Sections are those of the RP2350 Datasheet.

use crate::mmio::Register;
use crate::uart::pl011::Uart;

/// Section 7.5: a bit for each subsystem that is held in reset, and one that says that it is out of it.
const RESET: Register = Register::at(0x4002_0000);
const RESET_DONE: Register = Register::at(0x4002_0008);
const IO_BANK0: u32 = 1 << 6;
const PADS_BANK0: u32 = 1 << 9;
const UART0: u32 = 1 << 26;

/// Section 8.2: the oscillator of the board's 12 MHz crystal.
const XOSC_CTRL: Register = Register::at(0x4004_8000);
const XOSC_STATUS: Register = Register::at(0x4004_8004);
const XOSC_STARTUP: Register = Register::at(0x4004_800C);
/// Enabled, for 1 to 15 MHz: both numbers are passwords.
const XOSC_ON: u32 = 0xFAB << 12 | 0xAA0;
const XOSC_STABLE: u32 = 1 << 31;

/// Section 8.1: which clock drives what.
const CLK_REF_CTRL: Register = Register::at(0x4001_0030);
const CLK_REF_SELECTED: Register = Register::at(0x4001_0038);
const CLK_SYS_CTRL: Register = Register::at(0x4001_003C);
const CLK_SYS_SELECTED: Register = Register::at(0x4001_0044);
const CLK_PERI_CTRL: Register = Register::at(0x4001_0048);
/// The crystal, as the source of the reference clock.
const REF_XOSC: u32 = 2;
/// The system clock comes from an auxiliary source, not from the reference clock.
const SYS_AUX: u32 = 1;
/// Enabled, from the crystal.
const PERI_XOSC: u32 = 1 << 11 | 4 << 5;

/// Section 9.11: what a pin is, and how. GPIO 0 and 1 are UART0 as function 2.
const GPIO0_CTRL: Register = Register::at(0x4002_8004);
const GPIO1_CTRL: Register = Register::at(0x4002_800C);
const FUNCTION_UART: u32 = 2;
const GPIO0_PAD: Register = Register::at(0x4003_8004);
const GPIO1_PAD: Register = Register::at(0x4003_8008);
/// Input on, 4 mA, Schmitt trigger; the isolation of a pad after a reset is off.
const PAD: u32 = 1 << 6 | 1 << 4 | 1 << 1;
/// Pulled up: a line with nobody at its end is idle.
const PULL_UP: u32 = 1 << 3;

/// Runs the chip from its crystal, 12 MHz for the processor and for the line, and opens UART0 on GPIO 0 (out) and 1 (in) at
/// 115,200 baud.
#[must_use]
pub fn open() -> Uart {
    // A millisecond, in units of 256 cycles.
    XOSC_STARTUP.write(47);
    XOSC_CTRL.write(XOSC_ON);
    while XOSC_STATUS.read() & XOSC_STABLE == 0 {}
    CLK_REF_CTRL.write(REF_XOSC);
    while CLK_REF_SELECTED.read() & 1 << REF_XOSC == 0 {}
    // The reference clock. Only its own bit is written: the other switch, among auxiliary sources, glitches while its output is in
    // use, as it is after a reset, and what it would choose at zero is a PLL that does not run.
    CLK_SYS_CTRL.write(CLK_SYS_CTRL.read() & !SYS_AUX);
    while CLK_SYS_SELECTED.read() & 1 == 0 {}
    CLK_PERI_CTRL.write(PERI_XOSC);

    let needed = IO_BANK0 | PADS_BANK0 | UART0;
    RESET.write(RESET.read() & !needed);
    while RESET_DONE.read() & needed != needed {}

    GPIO0_PAD.write(PAD);
    GPIO1_PAD.write(PAD | PULL_UP);
    GPIO0_CTRL.write(FUNCTION_UART);
    GPIO1_CTRL.write(FUNCTION_UART);
    Uart::open(0x4007_0000, (4 * 12_000_000 + 115_200 / 2) / 115_200)
}
