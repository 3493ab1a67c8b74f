//! What fits which board. The numbers are those of `firmware/boards/NAME/memory.x`; a test keeps them equal.

use thiserror::Error;

/// A board's room for a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Board {
    /// Name, as `cargo xtask` knows it.
    pub name: &'static str,
    /// What it is.
    pub what: &'static str,
    /// Address of the image.
    pub address: u64,
    /// Family of the board's UF2 bootloader, if it has one.
    pub uf2_family: Option<u32>,
    /// Bytes of flash for the image.
    pub flash: u64,
    /// Bytes of RAM for the session.
    pub ram: u64,
}

/// Every board that the firmware is built for, by name.
pub const BOARDS: &[Board] = &[
    Board {
        name: "lm3s6965evb",
        what: "TI Stellaris LM3S6965, Cortex-M3",
        address: 0x0001_0000,
        uf2_family: None,
        flash: 192 << 10,
        ram: 59 << 10,
    },
    Board {
        name: "microbit",
        what: "BBC micro:bit v1 with a Cortex-M0",
        address: 0x0001_0000,
        uf2_family: None,
        flash: 192 << 10,
        ram: 11_776,
    },
    Board {
        name: "microbit-v1",
        what: "BBC micro:bit v1 with a Cortex-M0, by a probe",
        address: 0x0001_0000,
        uf2_family: None,
        flash: 192 << 10,
        ram: 10_240,
    },
    Board {
        name: "mps2-an386",
        what: "Arm MPS2 with a Cortex-M4F, in QEMU",
        address: 0x0020_0000,
        uf2_family: None,
        flash: 2 << 20,
        ram: (4 << 20) - (128 << 10),
    },
    Board {
        name: "mps2-an500",
        what: "Arm MPS2 with a Cortex-M7, in QEMU",
        address: 0x0020_0000,
        uf2_family: None,
        flash: 2 << 20,
        ram: (4 << 20) - (128 << 10),
    },
    Board {
        name: "mps2-an505",
        what: "Arm MPS2 with a Cortex-M33, in QEMU",
        address: 0x1020_0000,
        uf2_family: None,
        flash: 2 << 20,
        ram: (4 << 20) - (128 << 10),
    },
    Board {
        name: "netduinoplus2",
        what: "Netduino Plus 2 (STM32F405) with a Cortex-M4F",
        address: 0x0806_0000,
        uf2_family: None,
        flash: 640 << 10,
        ram: 116 << 10,
    },
    Board {
        name: "nrf52840dk",
        what: "Nordic nRF52840-DK with a Cortex-M4F",
        address: 0x0002_0000,
        uf2_family: Some(0xADA5_2840),
        flash: 896 << 10,
        ram: 240 << 10,
    },
    Board {
        name: "pico2",
        what: "Raspberry Pi Pico 2 (RP2350), its Cortex-M33",
        address: 0x1010_0000,
        uf2_family: Some(0xE48B_FF59),
        flash: 3 << 20,
        ram: 480 << 10,
    },
    Board {
        name: "pico2-riscv",
        what: "Raspberry Pi Pico 2 (RP2350), its RISC-V processor",
        address: 0x1010_0000,
        uf2_family: Some(0xE48B_FF5A),
        flash: 3 << 20,
        ram: 480 << 10,
    },
    Board {
        name: "riscv-virt",
        what: "QEMU's virt machine, 32-bit RISC-V",
        address: 0x2200_0000,
        uf2_family: None,
        flash: 4 << 20,
        ram: (4 << 20) - (128 << 10),
    },
    Board {
        name: "stm32f4discovery",
        what: "ST STM32F4 Discovery (STM32F407VG) with a Cortex-M4F",
        address: 0x0806_0000,
        uf2_family: Some(0x5775_5A57),
        flash: 640 << 10,
        ram: 112 << 10,
    },
    Board {
        name: "stm32vldiscovery",
        what: "ST STM32VLDISCOVERY (STM32F100RB) with a Cortex-M3",
        address: 0x0801_0000,
        uf2_family: None,
        flash: 64 << 10,
        ram: 5_472,
    },
];

/// A model does not go with a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BoardError {
    /// Too little flash or RAM.
    #[error("the model does not fit {board}: it needs {needed} bytes of {memory}, the board has {available}")]
    TooSmall {
        /// Which board.
        board: &'static str,
        /// `flash` or `RAM`.
        memory: &'static str,
        /// Bytes needed.
        needed: u64,
        /// Bytes there are.
        available: u64,
    },
}

impl Board {
    /// Whether a model with these needs fits.
    ///
    /// # Errors
    /// [`BoardError::TooSmall`], with the byte counts.
    pub fn check(&self, flash: u64, ram: u64) -> Result<(), BoardError> {
        for (memory, needed, available) in [("flash", flash, self.flash), ("RAM", ram, self.ram)] {
            if needed > available {
                return Err(BoardError::TooSmall { board: self.name, memory, needed, available });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_does_not_fit_is_refused_with_the_counts() {
        let board = BOARDS.iter().find(|board| board.name == "mps2-an386").unwrap();
        assert_eq!(board.check(board.flash, board.ram), Ok(()));
        let error = board.check(board.flash + 1, 0).unwrap_err().to_string();
        assert_eq!(error, "the model does not fit mps2-an386: it needs 2097153 bytes of flash, the board has 2097152");
        assert!(board.check(0, board.ram + 1).is_err());
    }
}
