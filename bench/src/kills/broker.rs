//! The broker's process: started by a command, killed, and started again on the same folder; or killed by a command.

use std::{
    env, fs,
    fs::OpenOptions,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, bail};

use super::arguments::{Arguments, Target};
use crate::random::Random;

/// See the module.
#[derive(Debug)]
pub(super) enum Broker {
    /// It is a process of this program's.
    Own(Own),
    /// It runs, and this command kills it and starts it again.
    Elsewhere { killer: Option<String>, running: Option<Child> },
}

/// A broker of this program's, which is killed as this is dropped.
#[derive(Debug)]
pub(super) struct Own {
    command: String,
    log: PathBuf,
    child: Option<Child>,
    /// The folder is this program's own, too.
    temporary: Option<PathBuf>,
}

impl Broker {
    /// Starts it, if it is to be started, and says where it is.
    pub(super) fn new(arguments: &Arguments) -> anyhow::Result<(Self, Vec<SocketAddr>)> {
        let command = match &arguments.target {
            Target::Elsewhere(addresses, killer) => {
                let broker = Self::Elsewhere { killer: killer.clone(), running: None };
                return Ok((broker, addresses.clone()));
            }
            Target::Own(command) => command,
        };
        let temporary = env::temp_dir().join(format!("mqtt-bench-kills-{}", std::process::id()));
        let folder = arguments.folder.as_ref().unwrap_or(&temporary);
        let data = folder.join("data");
        fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
        let data = data.canonicalize().with_context(|| format!("cannot find {}", data.display()))?;
        let ports = free_ports().context("no free port")?;
        let command = [("{port}", ports[0]), ("{port2}", ports[1]), ("{port3}", ports[2])]
            .iter()
            .fold(command.clone(), |command, (name, port)| command.replace(name, &port.to_string()))
            .replace("{folder}", &data.to_string_lossy());
        let log = folder.join("broker.log");
        let temporary = arguments.folder.is_none().then_some(temporary);
        let mut own = Own { command, log, child: None, temporary };
        own.start()?;
        Ok((Self::Own(own), vec![SocketAddr::from((Ipv4Addr::LOCALHOST, ports[0]))]))
    }

    /// Kills it; a command that does is begun.
    pub(super) fn kill(&mut self, number: u32) -> anyhow::Result<()> {
        match self {
            Self::Own(own) => own.kill().context("cannot kill the broker")?,
            Self::Elsewhere { killer: Some(killer), running } => {
                let mut command = shell(killer);
                command.env("KILL", number.to_string());
                *running = Some(command.spawn().with_context(|| format!("cannot run {killer}"))?);
            }
            Self::Elsewhere { killer: None, .. } => {}
        }
        Ok(())
    }

    /// Starts it again. False while the command that kills and starts again goes on.
    pub(super) fn start(&mut self) -> anyhow::Result<bool> {
        match self {
            Self::Own(own) => own.start().map(|()| true),
            Self::Elsewhere { running, .. } => {
                let Some(child) = running else { return Ok(true) };
                let Some(status) = child.try_wait()? else { return Ok(false) };
                *running = None;
                if !status.success() {
                    bail!("the command that kills the broker failed: {status}");
                }
                Ok(true)
            }
        }
    }

    /// It must not end of its own.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        if let Self::Own(own) = self
            && let Some(child) = &mut own.child
            && let Some(status) = child.try_wait()?
        {
            own.child = None;
            bail!("the broker ended, {status}; its output is in {}", own.log.display());
        }
        Ok(())
    }

    /// Ends it. Its folder goes, too, if it is this program's own and all was well; else it is named.
    pub(super) fn end(mut self, clean: bool) -> io::Result<Option<PathBuf>> {
        let Self::Own(own) = &mut self else { return Ok(None) };
        own.kill()?;
        match own.temporary.take() {
            Some(folder) if clean => fs::remove_dir_all(folder).map(|()| None),
            _ => Ok(own.log.parent().map(Path::to_path_buf)),
        }
    }
}

impl Own {
    fn start(&mut self) -> anyhow::Result<()> {
        let open = || OpenOptions::new().create(true).append(true).open(&self.log);
        let log = open().with_context(|| format!("cannot write {}", self.log.display()))?;
        // The shell becomes the broker, so that a kill meets that.
        let mut command = shell(&format!("exec {}", self.command));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.child = Some(command.spawn().with_context(|| format!("cannot run {}", self.command))?);
        Ok(())
    }

    fn kill(&mut self) -> io::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.kill();
    }
}

fn shell(line: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]);
    command
}

/// Ports that nobody has, all different, below those that the kernel gives to clients: a client that looks for a broker
/// which is not there must not find itself.
fn free_ports() -> io::Result<[u16; 3]> {
    const ATTEMPTS: u32 = 1_000;
    const LOWEST: u32 = 10_000;
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")?;
    let above = range.split_ascii_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(32_768);
    let mut random = Random::new(std::process::id().into());
    let mut drawn = (0..ATTEMPTS).filter_map(|_| {
        let port = (LOWEST + random.below(above.max(LOWEST + 1) - LOWEST)) as u16;
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()
    });
    // All are held until the last is found, so that they differ.
    let mut next = || drawn.next().ok_or_else(|| io::Error::from(io::ErrorKind::AddrInUse));
    let held = [next()?, next()?, next()?];
    let mut ports = [0; 3];
    for (port, listener) in ports.iter_mut().zip(&held) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}
