//! `imagefleet`: parses the command line, does it, and says how it went.

use clap::Parser;
use imagefleet::{args::Args, exit::Exit, logging};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = Args::parse();
    logging::start(&args.global.log);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => {
            let done = runtime.block_on(imagefleet::main(args));
            // What still runs on other threads holds nothing that is not safe to lose.
            runtime.shutdown_background();
            done
        }
        Err(error) => {
            logging::say(format_args!("error: start the runtime: {error}"));
            return Exit::Failed.into();
        }
    };
    match done.and_then(|exit| logging::written().map(|()| exit)) {
        Ok(exit) => exit.into(),
        Err(error) => {
            logging::say(format_args!("error: {error}"));
            Exit::Failed.into()
        }
    }
}
