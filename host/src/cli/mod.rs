//! The subcommands: arguments in, answers out, no mathematics.

pub mod exact;
