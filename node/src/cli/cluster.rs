//! `micro-mq cluster`: what the nodes of a cluster need of each other.

use super::arguments::{ClusterCommand, NodeCertificatesArguments};
use crate::certificates::Authority;

/// What there is to say.
///
/// # Errors
/// When a file cannot be read or written, or one is there already that nobody asked to replace.
pub(super) fn cluster(command: &ClusterCommand) -> anyhow::Result<String> {
    let ClusterCommand::Certificates(NodeCertificatesArguments { folder, nodes, days, replace }) = command;
    let (authority, mut written) = Authority::open(folder, *days, *replace)?;
    for node in nodes {
        written.extend(authority.node(node)?);
    }
    Ok(written.iter().map(|file| format!("{}\n", file.display())).collect())
}
