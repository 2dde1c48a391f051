//! The `strandline` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    strandline::cli::main()
}
