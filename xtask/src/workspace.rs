//! Where things are, and what kind of machine this is.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

/// The root of the workspace: the folder above xtask's.
pub(crate) fn root() -> PathBuf {
    // cargo sets the variable for `cargo run`; the compiled-in value serves a binary started by hand.
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&xtask).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// A shell that stands in the root of the workspace.
pub(crate) fn shell() -> Result<Shell> {
    let shell = Shell::new()?;
    shell.change_dir(root());
    Ok(shell)
}

/// The folder that cargo builds into.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let metadata = cargo_metadata::MetadataCommand::new().current_dir(root()).no_deps().exec()?;
    Ok(metadata.target_directory.into_std_path_buf())
}

/// Whether this runs in CI, where a step that could not run is a failure.
pub(crate) fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != OsStr::new("false"))
}

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Where a command is: in PATH, or in the sbin folders that a user's PATH lacks.
pub(crate) fn find_command(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// The files that git tracks or would track (not the ignored ones), relative to the root.
pub(crate) fn files() -> Result<Vec<PathBuf>> {
    let shell = shell()?;
    let list = cmd!(shell, "git ls-files --cached --others --exclude-standard -z")
        .quiet()
        .read()
        .context("cannot list the tree's files: this needs git, and a checkout made by it")?;
    let mut files: Vec<PathBuf> = list.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect();
    // A file that was deleted and not yet committed is still in the index.
    files.retain(|file| root().join(file).symlink_metadata().is_ok());
    files.sort();
    files.dedup();
    Ok(files)
}
