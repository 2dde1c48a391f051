//! One file per subcommand; the only room that prints, and the one that wires the others.

mod canonicalize;
mod check;
mod demo;
mod drift;
mod dry_run;
mod explain;
mod facts;
mod folder;
mod objects;
mod output;
mod progress;
mod push;
mod reading;
mod record;
mod restore;
mod rules;
mod session;
mod snapshot;

use std::process::ExitCode;

use clap::CommandFactory;

use crate::config::{Cli, Command};
use output::Output;

/// How the program ends; documented in `--help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Fine = 0,
    /// Something differs that `--fail-on` names.
    Drift = 1,
    /// Usage, configuration or run-time error.
    Error = 2,
    /// Something could not be evaluated.
    Incomplete = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error that ends a command: one sentence that says what failed and what to do.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Parses the command line, runs the command, and says how it ended.
pub fn main() -> ExitCode {
    // kube and whoever else speaks TLS must agree on one provider.
    // Only a second call can fail, and the first one's choice stands.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = match Cli::parse_process() {
        Ok(cli) => cli,
        Err(error) => {
            // A closed pipe is nobody's error.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let output = Output::new(&cli.output);
    if let Command::Completions { shell } = cli.command {
        clap_complete::generate(
            shell,
            &mut Cli::command(),
            "strandline",
            &mut std::io::stdout(),
        );
        return Exit::Fine.into();
    }
    // Reading once is no story: what a recorder tells of its days, a report has no use for.
    let level = u8::from(!matches!(cli.command, Command::Drift(_)));
    output.start_logging(level);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            output.error(&format!(
                "the asynchronous runtime cannot be started: {error}"
            ));
            return Exit::Error.into();
        }
    };
    let result = runtime.block_on(async {
        match cli.command {
            Command::Record(args) => Box::pin(record::run(&args, &output)).await,
            Command::Snapshot(args) => Box::pin(snapshot::run(&args, &output)).await,
            Command::Check(args) => check::run(&args, &output).await,
            Command::Drift(args) => drift::run(&args, &output).await,
            Command::Restore(args) => restore::run(&args, &output).await,
            Command::Explain(args) => explain::run(&args, &output).await,
            Command::Canonicalize(args) => canonicalize::run(&args, &output),
            Command::Demo(args) => demo::run(&args, &output).await,
            Command::Completions { .. } => Ok(Exit::Fine),
        }
    });
    // A watch that still waits for bytes must not keep the process.
    runtime.shutdown_background();
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output.failure(&*failure);
            Exit::Error.into()
        }
    }
}
