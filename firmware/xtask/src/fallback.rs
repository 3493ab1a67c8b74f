//! A toolchain with a board's target, on a Debian machine where rustup cannot fetch one.
//!
//! Debian has no packages of the microcontrollers' libraries, but it has the source of the compiler's library. So `core` and
//! `alloc` are built once with Debian's own compiler and put, with links to the rest, into a folder that looks like any
//! toolchain: nothing unstable is needed after that. A few minutes per target, once; 50 MB each.

use crate::setup;
use crate::toolchain::{clean, holds_core};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The compiler, its library's source, and the linker of the same LLVM, which Rust calls rust-lld.
const PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld-22"];

/// Where those packages put the linker.
const LINKER: &str = "/usr/bin/lld-22";

/// Whether this machine is one where [`assemble`] can work.
#[must_use]
pub fn possible() -> bool {
    cfg!(all(target_os = "linux", target_arch = "x86_64")) && Path::new("/etc/debian_version").exists()
}

/// Where the assembled toolchain is, or would be: in the user's cache, since a `cargo clean` should not cost minutes.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))?;
    Some(cache.join("bitboltz").join("toolchain"))
}

/// Whether the toolchain in `folder` has `target`.
#[must_use]
pub fn has_target(folder: &Path, target: &str) -> bool {
    folder.join("bin/rustc").exists() && holds_core(&library(folder, target))
}

/// Builds the library of `target` and assembles the toolchain in `folder`.
pub fn assemble(folder: &Path, target: &str) -> Result<()> {
    setup::install(&PACKAGES)?;
    println!("building the library of {target} with Debian's compiler: some minutes, once");

    // An empty crate: what is wanted are its dependencies.
    let work = folder.join("build");
    fs::create_dir_all(work.join("src"))?;
    fs::write(work.join("src/lib.rs"), "#![no_std]\n")?;
    fs::write(
        work.join("Cargo.toml"),
        "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[workspace]\n\
         [profile.release]\nopt-level = 3\npanic = \"abort\"\n",
    )?;
    let status = clean("/usr/bin/cargo")
        .args(["build", "--release", "-Zbuild-std=core,alloc", "--target", target])
        .current_dir(&work)
        .env("PATH", "/usr/bin:/bin")
        .env("RUSTC", "/usr/bin/rustc")
        .env("CARGO_TARGET_DIR", work.join("target"))
        // For build-std alone; no later build sees it.
        .env("RUSTC_BOOTSTRAP", "1")
        // Without it the library could not take part in link-time optimisation.
        .env("RUSTFLAGS", "-C embed-bitcode=yes")
        .status()
        .context("Debian's cargo does not start")?;
    if !status.success() {
        bail!("the library of {target} did not build");
    }

    let to = library(folder, target);
    fs::create_dir_all(&to)?;
    for entry in fs::read_dir(work.join("target").join(target).join("release/deps"))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let wanted = ["libcore-", "liballoc-", "libcompiler_builtins-"];
        if name.ends_with(".rlib") && wanted.iter().any(|start| name.starts_with(start)) {
            fs::copy(entry.path(), to.join(name))?;
        }
    }
    fs::remove_dir_all(&work)?;
    dress(folder)
}

/// Adds what makes a toolchain of a folder of libraries: the host's library, the linker, cargo, and compilers that look here.
fn dress(folder: &Path) -> Result<()> {
    const HOST: &str = "x86_64-unknown-linux-gnu";
    let host = folder.join("lib/rustlib").join(HOST);
    fs::create_dir_all(host.join("bin"))?;
    fs::create_dir_all(folder.join("bin"))?;
    link(&Path::new("/usr/lib/rustlib").join(HOST).join("lib"), &host.join("lib"))?;
    link(Path::new(LINKER), &host.join("bin/rust-lld"))?;
    link(Path::new("/usr/bin/cargo"), &folder.join("bin/cargo"))?;
    for name in ["rustc", "rustdoc"] {
        let path = folder.join("bin").join(name);
        let script = format!("#!/bin/sh\nexec /usr/bin/{name} --sysroot \"{}\" \"$@\"\n", folder.display());
        fs::write(&path, script)?;
        make_executable(&path)?;
    }
    Ok(())
}

fn library(folder: &Path, target: &str) -> PathBuf {
    folder.join("lib/rustlib").join(target).join("lib")
}

#[cfg(unix)]
fn link(from: &Path, to: &Path) -> Result<()> {
    if to.symlink_metadata().is_ok() {
        fs::remove_file(to)?;
    }
    std::os::unix::fs::symlink(from, to).with_context(|| to.display().to_string())
}

#[cfg(unix)]
fn make_executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}

// `possible` keeps these from being reached.
#[cfg(not(unix))]
fn link(_: &Path, _: &Path) -> Result<()> {
    bail!("only on Debian")
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> Result<()> {
    bail!("only on Debian")
}
