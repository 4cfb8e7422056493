//! `imagefleet completions` and `imagefleet man`: made from the command line's own description.

use crate::{
    args::{Args, Global, Output},
    exit::Exit,
    logging::print,
};
use clap::CommandFactory;
use clap_complete::Shell;
use imagefleet_common::{Context, Result};
use serde_json::json;
use std::path::Path;

/// On standard output, to be put where the shell looks for it.
pub(crate) fn completions(shell: Shell) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "imagefleet", &mut script);
    print(format_args!("{}", String::from_utf8_lossy(&script).trim_end()));
    Ok(Exit::Done)
}

/// One page for the program and one for each command: `imagefleet-jobs-show.1`.
pub(crate) fn man(global: &Global, folder: &Path) -> Result<Exit> {
    let doing = || format!("write manual pages to {}", folder.display());
    std::fs::create_dir_all(folder).permanent(doing)?;
    clap_mangen::generate_to(Args::command(), folder).permanent(doing)?;
    match global.output {
        Output::Json => print(format_args!("{:#}", json!({"folder": folder.to_string_lossy()}))),
        Output::Table => print(format_args!("{}", folder.display())),
    }
    Ok(Exit::Done)
}
