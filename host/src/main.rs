//! The command `bitboltz`.

use std::process::ExitCode;

fn main() -> ExitCode {
    bitboltz::cli::main()
}
