//! What the command line may hold, and its help.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::ctl::CtlArguments;

const EXAMPLES: &str = "\
Without a command the node is run; without a file the defaults hold. A node then listens on this machine only:
  MQTT over TCP        127.0.0.1:1883
  MQTT over WebSocket  ws://127.0.0.1:8083/mqtt
  admin (HTTP)         http://127.0.0.1:18083  /health/live /health/ready /metrics /api/v1/ledger

Examples:
  micro-mq                                          run with the defaults
  micro-mq --config /etc/micro-mq.toml              run with a file
  micro-mq --set node.workers=4 --set log.level=debug
  MICRO_MQ__LISTENER__TCP__BIND=127.0.0.1:1884 micro-mq
  micro-mq check-config --config /etc/micro-mq.toml
  micro-mq passwd users.toml alice                  then: --set auth.provider=file --set auth.file=users.toml
  micro-mq certificates tls --server localhost --client meter-1
  micro-mq store check /var/lib/micro-mq            of a node that does not run
  micro-mq ctl clients --sort queued --order desc   of one that does

Configuration:
  Defaults < --config FILE < environment (MICRO_MQ__SECTION__KEY) < --set KEY=VALUE. conf/micro-mq.toml documents every
  key; micro-mq check-config prints those that hold.

Signals:
  SIGTERM, SIGINT  shut down within node.shutdown_grace_ms; a second one ends the process at once
  SIGHUP           read the users and rules of auth.file, and certificates, again
  SIGUSR1 and others that would end a process by default do nothing

Exit codes:
  0  done, or shut down as asked     1  configuration refused, or failed
  2  command line not understood     128 + N  ended by a second signal N";

/// Micro MQ: an MQTT 3.1, 3.1.1 and 5.0 broker.
#[derive(Debug, Parser)]
#[command(name = "micro-mq", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) run: ConfigArguments,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a node (the default command)
    ///
    /// It prints "NAME: URL" for each listener and then "ready" to stdout; its log goes to stderr.
    Run(ConfigArguments),
    /// Check a configuration and print, as TOML, what holds
    ///
    /// Values that are not defaults name their source in a comment. The file of users and rules is checked too where
    /// auth.provider is "file". If something is wrong, all problems are printed to stderr, one a line (of the file of
    /// users and rules the first one), and the exit code is 1. No port is bound.
    CheckConfig(ConfigArguments),
    /// Write, delete or list the users of the auth provider "file"
    ///
    /// The password is read twice from the terminal, without echo. A running node reads the file again on SIGHUP.
    Passwd(PasswdArguments),
    /// Look into the folder of a node with store.backend "disk" that does not run
    #[command(subcommand)]
    Store(StoreCommand),
    /// Run an auth service: registered clients, their roles, and what those may do, for all nodes with auth.provider "rpc"
    ///
    /// It prints "auth-service: URL" and then "ready". At its first start two files with tokens are written to its folder,
    /// which their owner alone can read: node.token for nodes (auth.rpc_token_file), operator.token for micro-mq auth.
    AuthService(AuthServiceArguments),
    /// Register clients at an auth service, give them roles, and ask it what they may do
    Auth(AuthArguments),
    /// Make certificates to try TLS with: a CA, of listeners, of clients
    ///
    /// The CA is made in the folder when there is none, with an empty revocation list (ca.pem, ca-key.pem, crl.pem). Each
    /// file that is written is printed. Keys are readable by their owner alone.
    Certificates(CertificatesArguments),
    /// Ask a running node, and steer it: the admin API from the shell
    Ctl(CtlArguments),
    /// What the nodes of a cluster need of each other
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Print version and target
    Version,
}

#[derive(Debug, Args)]
pub(super) struct ConfigArguments {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Set one key, above file and environment; may be repeated: --set listener.tcp.bind=127.0.0.1:1884
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct PasswdArguments {
    /// The file of auth.file; created if there is none
    pub(super) file: PathBuf,
    /// User name
    #[arg(required_unless_present = "list")]
    pub(super) user: Option<String>,
    /// Read the password from the first line of stdin
    #[arg(long, conflicts_with_all = ["delete", "list"])]
    pub(super) stdin: bool,
    /// Delete the user
    #[arg(long, conflicts_with = "list")]
    pub(super) delete: bool,
    /// List the users, one a line
    #[arg(long, conflicts_with = "user")]
    pub(super) list: bool,
}

#[derive(Debug, Args)]
pub(super) struct AuthServiceArguments {
    /// Folder of all that is registered; made if there is none
    #[arg(long, value_name = "FOLDER", default_value = "auth-data")]
    pub(super) folder: PathBuf,
    /// Address and port to listen on; outside loopback it takes a certificate
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:18090")]
    pub(super) listen: SocketAddr,
    /// PEM file with its certificate
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(super) tls_certificate: Option<PathBuf>,
    /// PEM file with the private key of that
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub(super) tls_key: Option<PathBuf>,
    /// PEM file with a CA: callers have to show a certificate from there, beside their token
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub(super) tls_client_ca: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct AuthArguments {
    /// Where the auth service is
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:18090")]
    pub(super) service: String,
    /// File with the token of an operator
    #[arg(long, value_name = "FILE", default_value = "auth-data/operator.token")]
    pub(super) token_file: PathBuf,
    /// PEM file with the CA of its certificate, for an URL with https
    #[arg(long, value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) command: AuthCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum AuthCommand {
    /// Clients: registered, and what they log in by
    #[command(subcommand)]
    Client(ClientCommand),
    /// Roles of clients: rules, and roles that they inherit from
    #[command(subcommand)]
    Role(RoleCommand),
    /// Who may call the service: nodes, viewers, operators
    #[command(subcommand)]
    Caller(CallerCommand),
    /// Ask what a client may do, and why
    Check {
        /// Name of the client
        client: String,
        /// publish or subscribe
        action: String,
        /// Topic name or topic filter
        topic: String,
        /// Client identifier, if that is not its name
        #[arg(long, value_name = "IDENTIFIER")]
        client_identifier: Option<String>,
    },
    /// Print who changed what: number, seconds since 1970, caller, what, name
    Audit {
        /// Entries behind this number
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        after: u64,
    },
}

#[derive(Debug, Clone, Subcommand)]
pub(super) enum ClientCommand {
    /// Register a client, and print the password that was drawn for it, which is not shown again
    Add {
        /// Its user name
        name: String,
        /// Name of a role; may be repeated
        #[arg(long, value_name = "ROLE")]
        role: Vec<String>,
        /// Read its password from the first line of stdin instead
        #[arg(long)]
        stdin: bool,
    },
    /// Give a client another password, and print that; its network connections end
    Rotate {
        /// Its user name
        name: String,
    },
    /// Let a client in no more; its network connections end
    Disable {
        /// Its user name
        name: String,
    },
    /// Let a client in again
    Enable {
        /// Its user name
        name: String,
    },
    /// Set the roles of a client, in place of those that it has
    Roles {
        /// Its user name
        name: String,
        /// Name of a role; may be repeated
        #[arg(long, value_name = "ROLE")]
        role: Vec<String>,
    },
    /// Unregister a client; its network connections end
    Delete {
        /// Its user name
        name: String,
    },
    /// Print all clients, whether they are let in, and their roles
    List,
}

#[derive(Debug, Clone, Subcommand)]
pub(super) enum RoleCommand {
    /// Add a role, or replace the one of this name
    ///
    /// A rule reads publish:TOPIC, subscribe:TOPIC or all:TOPIC; TOPIC is a topic filter in which %c stands for the client
    /// identifier and %u for the user name. Of all rules of all roles of a client one that denies wins.
    Put {
        /// Its name
        name: String,
        /// A role whose rules it has as well; may be repeated
        #[arg(long, value_name = "ROLE")]
        inherits: Vec<String>,
        /// A rule that allows; may be repeated
        #[arg(long, value_name = "RULE")]
        allow: Vec<String>,
        /// A rule that denies; may be repeated
        #[arg(long, value_name = "RULE")]
        deny: Vec<String>,
    },
    /// Delete a role that nobody has
    Delete {
        /// Its name
        name: String,
    },
    /// Print all roles and their rules
    List,
}

#[derive(Debug, Clone, Subcommand)]
pub(super) enum CallerCommand {
    /// Let somebody call, and print the token for that, which is not shown again
    Add {
        /// Its name, for the audit log
        name: String,
        /// node, viewer or operator
        role: String,
    },
    /// Let a caller call no more
    Remove {
        /// Its name
        name: String,
    },
    /// Print all callers and their roles
    List,
}

#[derive(Debug, Args)]
pub(super) struct CertificatesArguments {
    /// Folder of the CA and of all that it signs; made if there is none
    pub(super) folder: PathBuf,
    /// Name or address by which clients reach the listeners; may be repeated: server.pem, server-key.pem
    #[arg(long, value_name = "NAME")]
    pub(super) server: Vec<String>,
    /// Name of a client; may be repeated: NAME.pem, NAME-key.pem
    #[arg(long, value_name = "NAME")]
    pub(super) client: Vec<String>,
    /// Name of a client whose certificate is put on the revocation list; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(super) revoke: Vec<String>,
    /// For how long certificates and the revocation list are valid
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..=3650))]
    pub(super) days: u16,
    /// Make others in place of certificates that are there
    #[arg(long)]
    pub(super) replace: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// Print what is kept: formats, files, and sessions, subscriptions and wills for each shard
    ///
    /// Nothing is changed. How far it is goes to stderr once a second.
    Inspect(StoreArguments),
    /// Read all of it, and say whether the next start would take it
    ///
    /// Nothing is changed. What is wrong is named with file and place, and the exit code is 1. How far it is goes to stderr
    /// once a second.
    Check(StoreArguments),
}

#[derive(Debug, Args)]
pub(super) struct StoreArguments {
    /// The folder of store.folder
    pub(super) folder: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(super) enum ClusterCommand {
    /// Make the certificates that nodes show each other
    ///
    /// No key of the configuration takes them yet: nodes are not linked directly so far. The CA is made in the folder when
    /// there is none (ca.pem, ca-key.pem). Each file that is written is printed. A node needs ca.pem, and NODE.pem and
    /// NODE-key.pem of its own; ca-key.pem certifies further nodes, and is kept where no node is.
    Certificates(NodeCertificatesArguments),
}

#[derive(Debug, Args)]
pub(super) struct NodeCertificatesArguments {
    /// Folder of the CA and of all that it signs; made if there is none
    pub(super) folder: PathBuf,
    /// Names of nodes: NODE.pem, NODE-key.pem
    #[arg(required = true, value_name = "NODE")]
    pub(super) nodes: Vec<String>,
    /// For how long certificates are valid
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..=3650))]
    pub(super) days: u16,
    /// Make others in place of certificates that are there
    #[arg(long)]
    pub(super) replace: bool,
}
