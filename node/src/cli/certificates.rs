//! `micro-mq certificates`: what it takes to try TLS.

use super::arguments::CertificatesArguments;
use crate::certificates::Authority;

/// Returns the files that were written, one a line.
pub(super) fn certificates(arguments: &CertificatesArguments) -> anyhow::Result<String> {
    let CertificatesArguments { folder, server, client, revoke, days, replace } = arguments;
    let (authority, mut written) = Authority::open(folder, *days, *replace)?;
    if !server.is_empty() {
        written.extend(authority.server(server)?);
    }
    for name in client {
        written.extend(authority.client(name)?);
    }
    for name in revoke {
        written.push(authority.revoke(name)?);
    }
    Ok(written.iter().map(|file| format!("{}\n", file.display())).collect())
}
