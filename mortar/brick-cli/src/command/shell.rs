//! What a shell and `man` know about the command line: `brick completions`, `brick man`.

use std::path::Path;

use crate::cli;
use crate::failure::{Failure, Outcome};
use crate::output::{Output, line};

pub(crate) fn completions(shell: clap_complete::Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::command(), "brick", &mut script);
    line(String::from_utf8_lossy(&script).trim_end());
    Ok(())
}

pub(crate) fn man(out: &Path, output: Output) -> Outcome {
    let failed = |error: std::io::Error| {
        Failure::failed(format!(
            "cannot write manual pages into {}: {error}",
            out.display()
        ))
        .hint("name a folder that you may write to")
    };
    std::fs::create_dir_all(out).map_err(failed)?;
    clap_mangen::generate_to(cli::command(), out).map_err(failed)?;
    output.progress(&format!("read them with: man {}", out.join("brick.1").display()));
    Ok(())
}
