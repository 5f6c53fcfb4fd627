//! The binary: its allocator, and the command line.

mod allocator;

use std::process::ExitCode;

fn main() -> ExitCode {
    micro_mq::cli::main()
}
