//! Precedence of the sources, and the sentence for each problem.

use std::fs;

use micro_mq::config::{ALLOW_ADMIN_WORDS, ALLOW_ANONYMOUS_WORDS, Effective, ListenerKind, Sources};
use tempfile::TempDir;

/// The sources of one case; the file lies in a directory of its own.
#[derive(Default)]
struct Given {
    sources: Sources,
    directory: Option<TempDir>,
}

impl Given {
    fn file(text: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let file = directory.path().join("node.toml");
        fs::write(&file, text).unwrap();
        Self { sources: Sources { file: Some(file), ..Sources::default() }, directory: Some(directory) }
    }

    fn environment(mut self, name: &str, value: &str) -> Self {
        self.sources.environment.push((name.into(), value.into()));
        self
    }

    fn set(mut self, argument: &str) -> Self {
        self.sources.overrides.push(argument.to_owned());
        self
    }

    #[track_caller]
    fn load(&self) -> Effective {
        self.sources.load().unwrap_or_else(|error| panic!("{error}"))
    }

    /// The sentences, without the directory of the file.
    #[track_caller]
    fn check(&self, expected: &[&str]) {
        let error = self.sources.load().expect_err("something is wrong here").to_string();
        let directory = self.directory.as_ref().map(|directory| format!("{}/", directory.path().display()));
        let error = directory.map_or_else(|| error.clone(), |directory| error.replace(&directory, ""));
        assert_eq!(error.lines().collect::<Vec<_>>(), expected);
    }
}

#[track_caller]
fn check_file(text: &str, expected: &str) {
    Given::file(text).check(&[&format!("node.toml: {expected}")]);
}

#[track_caller]
fn check_set(argument: &str, expected: &str) {
    Given::default().set(argument).check(&[&format!("--set: {expected}")]);
}

#[test]
fn later_sources_win() {
    let workers = |given: Given| given.load().config().settings.node.workers;
    let file = || Given::file("[node]\nworkers = 1\nconnect_timeout_ms = 1234\n");
    assert_eq!(workers(Given::default()), 0);
    assert_eq!(workers(file()), 1);
    assert_eq!(workers(file().environment("MICRO_MQ__NODE__WORKERS", "2")), 2);
    let all = file().environment("MICRO_MQ__NODE__WORKERS", "2").set("node.workers=3").set("node.workers=4");
    assert_eq!(workers(file().environment("MICRO_MQ__NODE__WORKERS", "2").set("node.workers=3")), 3);
    let node = all.load().config().settings.node.clone();
    assert_eq!((node.workers, node.connect_timeout_ms, node.outbox_bytes_max), (4, 1234, 1024 * 1024));
}

#[test]
fn other_variables_of_the_environment_are_ignored() {
    Given::default().environment("MICRO_MQ_PORT", "tcp://10.0.0.1:1883").environment("WORKERS", "x").load();
}

#[test]
fn a_file_that_changes_one_listener_keeps_the_other() {
    let config = Given::file("[listener.tcp]\nbind = \"127.0.0.1:2883\"\n").load().config().clone();
    let listeners: Vec<_> =
        config.enabled_listeners().map(|(name, it)| (name, it.kind, it.bind.port())).collect();
    assert_eq!(listeners, [("tcp", ListenerKind::Tcp, 2883), ("websocket", ListenerKind::Websocket, 8083)]);
}

#[test]
fn a_listener_can_be_switched_off_and_another_added() {
    let config = Given::file("[listener.websocket]\nenabled = false\n")
        .environment("MICRO_MQ__LISTENER__LAN_2__BIND", "127.0.0.2:1883")
        .set("listener.browsers={type = \"websocket\", bind = \"[::1]:0\", path = \"/ws\"}")
        .load()
        .config()
        .clone();
    let listeners: Vec<_> =
        config.enabled_listeners().map(|(name, it)| (name, it.bind.to_string(), it.path.as_str())).collect();
    assert_eq!(
        listeners,
        [
            ("browsers", "[::1]:0".to_owned(), "/ws"),
            ("lan_2", "127.0.0.2:1883".to_owned(), "/mqtt"),
            ("tcp", "127.0.0.1:1883".to_owned(), "/mqtt"),
        ]
    );
}

#[test]
fn text_of_environment_and_command_line_needs_no_quotes() {
    let response_information =
        |given: Given| given.load().config().settings.mqtt.response_information.clone();
    let variable = "MICRO_MQ__MQTT__RESPONSE_INFORMATION";
    assert_eq!(response_information(Given::default().environment(variable, "10")), "10");
    assert_eq!(response_information(Given::default().environment(variable, "a/%c=b")), "a/%c=b");
    assert_eq!(response_information(Given::default().set("mqtt.response_information=true")), "true");
    assert_eq!(response_information(Given::default().set("mqtt.response_information=\"a b\"")), "a b");
}

#[test]
fn an_unknown_key_is_refused_with_the_one_that_was_meant() {
    check_file("[colour]\n", "colour: unknown key");
    check_file("[sesion]\n", "sesion: unknown key, did you mean session");
    check_file("workers = 2\n", "workers: unknown key");
    check_file("[node]\ncolour = 1\n", "node.colour: unknown key");
    check_file("[node]\nworker = 1\n", "node.worker: unknown key, did you mean node.workers");
    check_file(
        "[listener.tcp]\nconnect_timeout_ms = 1\n",
        "listener.tcp.connect_timeout_ms: unknown key, did you mean node.connect_timeout_ms",
    );
    check_file(
        "[listener.tcp]\nbinds = 1\n",
        "listener.tcp.binds: unknown key, did you mean listener.tcp.bind",
    );
    check_set("mqtt.maximum_qos.x=1", "mqtt.maximum_qos: must be a whole number, not a table");
    check_set("=1", ": unknown key");
    Given::default()
        .environment("MICRO_MQ__LISTENER__TCP__BIND_ADDRESS", "x")
        .environment("MICRO_MQ__NODE__WORKESR", "2")
        .check(&[
            "environment variable MICRO_MQ__LISTENER__TCP__BIND_ADDRESS: listener.tcp.bind_address: unknown key",
            "environment variable MICRO_MQ__NODE__WORKESR: node.workesr: unknown key, did you mean node.workers",
        ]);
}

#[test]
fn a_value_of_the_wrong_type_is_refused() {
    check_file("node = 1\n", "node: must be a table");
    check_file("[listener]\ntcp = \"127.0.0.1:1883\"\n", "listener.tcp: must be a table");
    check_file("[[mqtt]]\n", "mqtt: must be a table");
    check_file("[node]\nworkers = \"two\"\n", "node.workers: must be a whole number, not \"two\"");
    check_file("[node]\nworkers = 1.5\n", "node.workers: must be a whole number, not 1.5");
    check_file("[node]\nworkers = [1]\n", "node.workers: must be a whole number, not an array");
    check_file("[mqtt]\nretain_available = 1\n", "mqtt.retain_available: must be true or false, not 1");
    check_file(
        "[mqtt]\nresponse_information = 1\n",
        "mqtt.response_information: must be text in quotes, not 1",
    );
    check_set("mqtt.retain_available=yes", "mqtt.retain_available: must be true or false, not \"yes\"");
    check_set("node.workers", "node.workers: must read KEY=VALUE");
    Given::default().environment("MICRO_MQ__NODE__WORKERS", "").check(&[
        "environment variable MICRO_MQ__NODE__WORKERS: node.workers: must be a whole number, not \"\"",
    ]);
    Given::default()
        .environment("MICRO_MQ__NODE", "1")
        .check(&["environment variable MICRO_MQ__NODE: node: must be a table"]);
}

#[test]
fn a_value_out_of_its_range_is_refused() {
    check_set("mqtt.maximum_qos=3", "mqtt.maximum_qos: must be at most 2, not 3");
    check_set("mqtt.maximum_qos=-1", "mqtt.maximum_qos: must be 0 or more, not -1");
    check_set(
        "mqtt.server_keep_alive_seconds=65536",
        "mqtt.server_keep_alive_seconds: must be at most 65535, not 65536",
    );
    check_set(
        "mqtt.session_expiry_interval_max_seconds=4294967296",
        "mqtt.session_expiry_interval_max_seconds: must be at most 4294967295, not 4294967296",
    );
    check_set(
        "mqtt.maximum_packet_size_bytes=63",
        "mqtt.maximum_packet_size_bytes: must be at least 64, not 63",
    );
    check_set(
        "mqtt.maximum_packet_size_bytes=268435461",
        "mqtt.maximum_packet_size_bytes: must be at most 268435460, not 268435461",
    );
    check_set("mqtt.receive_maximum=0", "mqtt.receive_maximum: must be above 0, not 0");
    check_set("mqtt.topic_levels_max=0", "mqtt.topic_levels_max: must be above 0, not 0");
    check_set("session.inflight_max=0", "session.inflight_max: must be above 0, not 0");
    check_set(
        "session.incoming_qos2_max=65536",
        "session.incoming_qos2_max: must be at most 65535, not 65536",
    );
    check_set("node.workers=65", "node.workers: must be at most 64, not 65");
    check_set("node.connect_timeout_ms=0", "node.connect_timeout_ms: must be above 0, not 0");
    check_set(
        "node.connect_timeout_ms=86400001",
        "node.connect_timeout_ms: must be at most 86400000, not 86400001",
    );
    check_set("node.outbox_bytes_max=4095", "node.outbox_bytes_max: must be at least 4096, not 4095");
    check_file("[node]\nconnect_timeout_ms = 0\n", "node.connect_timeout_ms: must be above 0, not 0");
}

#[test]
fn a_word_that_is_none_of_its_key_is_refused() {
    check_set(
        "session.queue_overflow=drop",
        "session.queue_overflow: must be \"drop_oldest\" or \"drop_newest\", not \"drop\"",
    );
    check_set(
        "session.shared_strategy=random",
        "session.shared_strategy: must be \"round_robin\", \"least_inflight\", \"hash_client\", \"hash_topic\" or \
         \"sticky\", not \"random\"",
    );
    check_set("listener.tcp.type=tls", "listener.tcp.type: must be \"tcp\" or \"websocket\", not \"tls\"");
    check_set(
        "auth.provider=ldap",
        "auth.provider: must be \"anonymous\", \"mock\", \"file\" or \"rpc\", not \"ldap\"",
    );
    check_set("log.format=xml", "log.format: must be \"text\" or \"json\", not \"xml\"");
    check_set(
        "log.level=loud",
        "log.level: must be a level (error, warn, info, debug, trace, off), not \"loud\"",
    );
    check_set(
        "log.level=info,micro_mq=loud",
        "log.level: must be a level (error, warn, info, debug, trace, off), not \"info,micro_mq=loud\"",
    );
    check_set(
        "listener.tcp.bind=localhost:1883",
        "listener.tcp.bind: must be an address and port such as 127.0.0.1:1883, not \"localhost:1883\"",
    );
    check_set(
        "listener.websocket.path=mqtt",
        "listener.websocket.path: must be a path such as \"/mqtt\", not \"mqtt\"",
    );
    check_set(
        "listener.websocket.packets_per_frame=2",
        "listener.websocket.packets_per_frame: must be \"one\" or \"many\", not \"2\"",
    );
    check_set(
        "listener.websocket.origins=same_host, *.example.org",
        "listener.websocket.origins: must be a list of origins such as [\"https://example.org\"], or same_host, null or \
         any, not of \"*.example.org\"",
    );
    check_set(
        "mqtt.response_information=replies/#",
        "mqtt.response_information: must be the beginning of a topic name, without wildcards, not \"replies/#\"",
    );
    check_set(
        "security.allow_anonymous_outside_loopback=yes",
        "security.allow_anonymous_outside_loopback: must be empty or the words \"yes, anybody on the network may \
         connect\", not \"yes\"",
    );
    check_set(
        "listener.My-Lan.bind=127.0.0.1:1",
        "listener.My-Lan: name must be lower-case letters, digits and single underscores",
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("none.toml");
    let given =
        Given { sources: Sources { file: Some(file), ..Sources::default() }, directory: Some(directory) };
    given.check(&["none.toml: cannot be read: No such file or directory (os error 2)"]);
}

#[test]
fn a_syntax_error_is_named_with_line_and_column() {
    check_file(
        "[node]\nworkers = \n",
        "line 2, column 11: string values must be quoted, expected literal string",
    );
    check_file("[node]\nworkers = 1\nworkers = 2\n", "line 3, column 1: duplicate key");
}

#[test]
fn all_problems_of_all_sources_are_reported_at_once() {
    Given::file("[node]\nworkers = 65\n[mqtt]\nmaximum_qos = 3\n")
        .environment("MICRO_MQ__NODE__WORKERS", "many")
        .set("log.level")
        .set("log.format=xml")
        .check(&[
            "node.toml: mqtt.maximum_qos: must be at most 2, not 3",
            "node.toml: node.workers: must be at most 64, not 65",
            "environment variable MICRO_MQ__NODE__WORKERS: node.workers: must be a whole number, not \"many\"",
            "--set: log.level: must read KEY=VALUE",
            "--set: log.format: must be \"text\" or \"json\", not \"xml\"",
        ]);
}

#[test]
fn listeners_that_cannot_be_are_refused() {
    check_file("[listener.lan]\nenabled = true\n", "listener.lan.bind: must be set");
    check_file(
        "[listener.tcp]\npath = \"/x\"\n",
        "listener.tcp.path: only a listener of type \"websocket\" has a path",
    );
    check_file(
        "[listener.tcp]\norigins = [\"any\"]\n",
        "listener.tcp.origins: only a listener of type \"websocket\" has origins",
    );
    check_file(
        "[listener.tcp]\npackets_per_frame = \"many\"\n",
        "listener.tcp.packets_per_frame: only a listener of type \"websocket\" has frames",
    );
    check_file(
        "[listener.lan]\nbind = \"127.0.0.1:1883\"\n",
        "listener.lan.bind: 127.0.0.1:1883 overlaps with 127.0.0.1:1883 of listener.tcp.bind",
    );
    check_file(
        "[admin]\nbind = \"127.0.0.1:8083\"\n",
        "admin.bind: 127.0.0.1:8083 overlaps with 127.0.0.1:8083 of listener.websocket.bind",
    );
    Given::default()
        .set("listener.tcp.enabled=false")
        .set("listener.websocket.enabled=false")
        .check(&["--set: listener: at least one listener must be enabled"]);
    Given::default().set("listener.lan.bind=127.0.0.1:0").set("admin.bind=127.0.0.1:0").load();
}

#[test]
fn authentication_that_cannot_be_is_refused() {
    check_set("auth.provider=file", "auth.file: must be set when auth.provider is \"file\"");
    check_set(
        "auth.file=users.toml",
        "auth.file: is not read as long as auth.provider is not set to \"file\"",
    );
    let config = Given::file("[auth]\nprovider = \"file\"\nfile = \"users.toml\"\n").load().config().clone();
    assert_eq!(config.auth.file.as_deref(), Some(std::path::Path::new("users.toml")));
}

#[test]
fn listening_outside_loopback_takes_authentication_or_words() {
    let open = |provider: &str| {
        format!(
            "listener.tcp.bind: 0.0.0.0:1883 is outside loopback while auth.provider \"{provider}\" lets everybody \
             in; choose another provider or set security.allow_anonymous_outside_loopback = \"yes, anybody on the \
             network may connect\""
        )
    };
    check_file("[listener.tcp]\nbind = \"0.0.0.0:1883\"\n", &open("anonymous"));
    check_file("[listener.tcp]\nbind = \"0.0.0.0:1883\"\n[auth]\nprovider = \"mock\"\n", &open("mock"));
    let outside = || Given::default().set("listener.tcp.bind=[::]:1883");
    outside().set("listener.tcp.enabled=false").load();
    outside().set("auth.provider=mock").set("auth.mock_allow=false").load();
    outside().set("auth.provider=file").set("auth.file=users.toml").load();
    outside().set(&format!("security.allow_anonymous_outside_loopback={ALLOW_ANONYMOUS_WORDS}")).load();
    Given::default().set("listener.tcp.bind=[::ffff:127.0.0.1]:1883").load();
}

#[test]
fn an_admin_listener_outside_loopback_takes_words() {
    let outside = || Given::default().set("admin.bind=192.0.2.1:18083");
    outside().check(&[
        "--set: admin.bind: 192.0.2.1:18083 is outside loopback while the admin listener knows no authentication; set \
         security.allow_admin_outside_loopback = \"yes, anybody on the network may read the admin listener\" if this \
         is meant",
    ]);
    outside().set("admin.enabled=false").load();
    outside().set(&format!("security.allow_admin_outside_loopback={ALLOW_ADMIN_WORDS}")).load();
}

#[test]
fn what_holds_is_printed_as_a_file_that_gives_the_same() {
    let effective = Given::file("[mqtt]\nmaximum_qos = 1\n")
        .environment("MICRO_MQ__LISTENER__LAN__BIND", "127.0.0.1:1884")
        .set("mqtt.response_information=a \"b\"\\")
        .load();
    let printed = effective.to_string();
    let expected = "[listener.lan]\ntype = \"tcp\"\n\
                    bind = \"127.0.0.1:1884\" # environment variable MICRO_MQ__LISTENER__LAN__BIND\n\
                    enabled = true\n\n[listener.tcp]\ntype = \"tcp\"\nbind = \"127.0.0.1:1883\"\n\
                    tls_certificate = \"\"\ntls_key = \"\"\ntls_version_min = \"1.2\"\n\
                    tls_client_certificates = \"none\"\ntls_client_ca = \"\"\ntls_crl = \"\"\n\
                    tls_client_name = \"common_name\"\nenabled = true\n\n";
    assert!(printed.starts_with(expected), "{printed}");
    assert_eq!(Given::file(&printed).load().config(), effective.config());
    let mine =
        Given::file("[listener.web]\ntype = \"websocket\"\nbind = \"127.0.0.1:1\"\n").load().to_string();
    for line in ["[listener.web]", "type = \"websocket\" # ", "path = \"/mqtt\"\n", "enabled = true\n"] {
        assert!(mine.contains(line), "{line} is missing in {mine}");
    }
}

#[test]
fn a_list_is_written_as_an_array_or_with_commas() {
    let hosts = |given: Given| given.load().config().admin.hosts.clone();
    let both = ["broker.example".to_owned(), "micro-mq".to_owned()];
    assert_eq!(hosts(Given::file("[admin]\nhosts = [\"broker.example\", \"micro-mq\"]\n")), both);
    assert_eq!(hosts(Given::default().set("admin.hosts=broker.example, micro-mq")), both);
    assert_eq!(hosts(Given::default().set("admin.hosts=[\"broker.example\", \"micro-mq\"]")), both);
    assert_eq!(hosts(Given::default().environment("MICRO_MQ__ADMIN__HOSTS", "micro-mq")), both[1..]);
    assert_eq!(hosts(Given::file("[admin]\nhosts = [\"x\"]\n").set("admin.hosts=")), [""; 0]);
    let must = "must be a list of host names without port, such as [\"broker.example\"]";
    check_file(
        "[admin]\nhosts = \"broker.example\"\n",
        &format!("admin.hosts: {must}, not \"broker.example\""),
    );
    check_file("[admin]\nhosts = [1]\n", &format!("admin.hosts: {must}, not of 1"));
    check_set(
        "admin.hosts=broker.example:18083",
        &format!("admin.hosts: {must}, not of \"broker.example:18083\""),
    );
    check_set("admin.hosts=*.example", &format!("admin.hosts: {must}, not of \"*.example\""));
    let printed = Given::default().set("admin.hosts=a,b").load().to_string();
    assert!(printed.contains("hosts = [\"a\", \"b\"] # --set\n"), "{printed}");
}

#[test]
fn variables_with_single_underscores_are_refused_by_the_right_name() {
    Given::default().environment("MICRO_MQ_LISTENER_TCP_BIND", "x").environment("MICRO_MQ__NODE_WORKERS", "2").check(&[
        "environment variable MICRO_MQ_LISTENER_TCP_BIND: two underscores stand before and between section and key: \
         MICRO_MQ__LISTENER__TCP__BIND",
        "environment variable MICRO_MQ__NODE_WORKERS: two underscores stand before and between section and key: \
         MICRO_MQ__NODE__WORKERS",
    ]);
}
