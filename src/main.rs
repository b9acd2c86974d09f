//! The binary: installs what is global to a process, then hands over to [`vernescale::cli`].

use std::process::ExitCode;

use clap::Parser as _;
use vernescale::cli::Cli;

fn main() -> ExitCode {
    // One provider for every TLS connection of this process. That another is there already can only be a
    // dependency's doing, and would mean a second cryptographic library that nobody has chosen.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        return vernescale::cli::fail("another TLS provider than ring is installed");
    }
    Cli::parse().run()
}
