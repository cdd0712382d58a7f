//! Entente: keeps databases at many sites in agreement. `entente help` lists the verbs.

mod cli;

fn main() -> std::process::ExitCode {
    // Before anything else: TLS of servers and clients asks for it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    cli::main()
}
