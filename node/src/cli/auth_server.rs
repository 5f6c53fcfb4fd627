//! `micro-mq auth-service`: a process that answers who may do what, for all nodes.

use std::fs;
use std::io::IsTerminal as _;

use anyhow::{Context as _, bail};
use auth_service::{Service, ServiceTls};
use tokio::signal::unix::{SignalKind, signal};

use super::arguments::AuthServiceArguments;
use crate::tls::is_open_to_others;

/// Runs until it is asked to stop (SIGTERM, SIGINT).
pub(super) fn serve(arguments: &AuthServiceArguments) -> anyhow::Result<()> {
    let tls = tls(arguments)?;
    if tls.is_none() && !arguments.listen.ip().to_canonical().is_loopback() {
        bail!(
            "--listen {}: is outside loopback, and passwords and tokens would be readable on the way; give \
             --tls-certificate and --tls-key (micro-mq certificates makes some)",
            arguments.listen
        );
    }
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_max_level(tracing::Level::INFO)
        .init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let scheme = if tls.is_some() { "https" } else { "http" };
        let service = Service::open(&arguments.folder, arguments.listen, tls).await?;
        super::print(&format!("auth-service: {scheme}://{}\nready\n", service.address()))?;
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        // Streams that tell of changes do not end by themselves: those who watch are left when it stops, and find out.
        tokio::select! {
            served = service.serve(std::future::pending()) => Ok(served?),
            () = stop => Ok(()),
        }
    })
}

fn tls(arguments: &AuthServiceArguments) -> anyhow::Result<Option<ServiceTls>> {
    let (Some(certificate), Some(key)) = (&arguments.tls_certificate, &arguments.tls_key) else {
        return Ok(None);
    };
    if is_open_to_others(key) {
        bail!("--tls-key: {}: others may read it; take that right from them (chmod o-r)", key.display());
    }
    let read = |file: &std::path::Path| {
        fs::read(file).with_context(|| format!("{}: cannot be read", file.display()))
    };
    let client_ca = arguments.tls_client_ca.as_deref().map(read).transpose()?;
    Ok(Some(ServiceTls { certificate: read(certificate)?, key: read(key)?.into(), client_ca }))
}
