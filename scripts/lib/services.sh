#!/usr/bin/env bash
# The services that a cluster needs: real ones, fetched once, and run in the foreground.
#
#   services.sh fetch kafka | consul | etcd | docker-compose
#       prints where it is: of Kafka the folder of its class path, of the others the program
#   services.sh run kafka FOLDER PORT CONTROLLER_PORT [PROPERTY=VALUE...]
#   services.sh run consul FOLDER HTTP_PORT SERVER_PORT SERF_PORT [OPTION...]
#   services.sh run etcd FOLDER CLIENT_PORT PEER_PORT [OPTION...]
#       runs it on 127.0.0.1 in place of this process, with its data in FOLDER: made anew, or as they were left
#   services.sh topics PORT [OPTION...]
#       Kafka's tool for topics, at the broker of that port
#
# A program of that name on PATH is used as it is. Else the programs come out of Debian's packages, which are unpacked and
# not installed; Consul's is that of an older Debian, and where that cannot be had, it is built from its Go module (four
# minutes). docker-compose is built from its Go module (two minutes). Kafka comes from Maven's repository and needs Java 17. All of it is kept in the cache ($MICRO_MQ_CACHE, by
# default ~/.cache/micro-mq).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=scripts/lib/common.sh
. "$root/scripts/lib/common.sh"

readonly KAFKA_VERSION=4.3.1
readonly CONSUL_VERSION=1.20.1
readonly COMPOSE_VERSION=2.40.3
# Its last release for Consul's package; nothing of it but that is unpacked.
readonly CONSUL_SUITE=bullseye

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; }

# complete FOLDER: whether what belongs there was put there to the end.
complete() { [ -e "$1/complete" ]; }

# into FOLDER COMMAND...: has the command fill a folder beside it, which takes its name when that has worked.
into() {
    local folder=$1 partial="$1.partial"
    shift
    rm -rf "$partial" "$folder"
    mkdir -p "$partial"
    "$@" "$partial" >&2 && touch "$partial/complete" && mv "$partial" "$folder"
}

fill_kafka() {
    has mvn || { complain "missing: mvn and Java 17 (Debian's packages maven and openjdk-17-jre-headless)"; return 1; }
    cat >"$1/pom.xml" <<EOF
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>micro-mq</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$KAFKA_VERSION</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$KAFKA_VERSION</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
EOF
    (cd "$1" && mvn -q -B dependency:copy-dependencies -DoutputDirectory=libs) || return
    ls "$1/libs/kafka_2.13-$KAFKA_VERSION.jar" >/dev/null
}

# unpack_debian SUITE PACKAGE FOLDER: the files of a package, from the mirror that this machine uses.
unpack_debian() {
    local suite=$1 package=$2 folder=$3 codename site own_lists=()
    has apt-get && has dpkg-deb || return
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    site=$(debian_mirror "$codename")
    [ -n "$site" ] || return
    mkdir -p "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site $suite main" >"$folder/apt/sources.list"
    own_lists=(-qq -o "Dir::Etc::sourcelist=$folder/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
        -o "Dir::State::lists=$folder/apt/lists" -o "Dir::Cache=$folder/apt/cache" -o "APT::Sandbox::User=$(id -un)"
        -o Acquire::Languages=none)
    apt-get "${own_lists[@]}" update || return
    (cd "$folder/apt" && apt-get "${own_lists[@]}" download "$package") || return
    dpkg-deb -x "$folder"/apt/"$package"_*.deb "$folder/files" || return
    rm -rf "$folder/apt"
}

fill_etcd() {
    local codename
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    unpack_debian "$codename" etcd-server "$1" || return
    mv "$1/files/usr/bin/etcd" "$1/etcd" && rm -rf "$1/files" && "$1/etcd" --version
}

fill_consul() {
    if unpack_debian "$CONSUL_SUITE" consul "$1"; then
        mv "$1/files/usr/bin/consul" "$1/consul" && rm -rf "$1/files"
    else
        rm -rf "${1:?}"/*
        build_consul "$1"
    fi && "$1/consul" version
}

# module_source MODULE VERSION FOLDER: a copy of a Go module that can be built in.
module_source() {
    local source
    has go || { complain "missing: go, to build $1"; return 1; }
    source=$(go mod download -json "$1@v$2" | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",$/\1/p') || return
    [ -n "$source" ] && cp -r "$source" "$3" && chmod -R u+w "$3"
}

# The plugin of docker, which also runs by itself.
fill_docker-compose() {
    say "building docker-compose $COMPOSE_VERSION, which takes minutes"
    module_source github.com/docker/compose/v2 "$COMPOSE_VERSION" "$1/source" || return
    (cd "$1/source" && CGO_ENABLED=0 go build -ldflags '-s -w' -o ../docker-compose ./cmd) || return
    rm -rf "$1/source"
    "$1/docker-compose" version
}

# Its own go.mod names folders of its repository, which are modules as well.
build_consul() {
    local part replaced=()
    say "building Consul $CONSUL_VERSION, which takes minutes"
    module_source github.com/hashicorp/consul "$CONSUL_VERSION" "$1/source" || return
    for part in api envoyextensions proto-public sdk troubleshoot; do
        replaced+=("-dropreplace=github.com/hashicorp/consul/$part")
    done
    (cd "$1/source" && go mod edit "${replaced[@]}" &&
        CGO_ENABLED=0 GOFLAGS=-mod=mod go build -ldflags '-s -w' -o ../consul .) || return
    rm -rf "$1/source"
}

# fetch NAME: prints where it is, and fetches it before, if it has to.
fetch() {
    local folder
    case "$1" in
    kafka) folder="$cache_folder/kafka-$KAFKA_VERSION" ;;
    consul | etcd | docker-compose)
        if has "$1"; then
            command -v "$1"
            return
        fi
        folder="$cache_folder/$1"
        ;;
    *) fail "unknown service '$1' (kafka, consul, etcd, docker-compose)" ;;
    esac
    complete "$folder" || with_cache_lock fetch_now "$1" "$folder" || fail "$1 could not be fetched"
    case "$1" in
    kafka) echo "$folder/libs" ;;
    *) echo "$folder/$1" ;;
    esac
}

# Somebody else may have fetched it while this process waited for the lock.
fetch_now() {
    complete "$2" && return
    say "fetching $1" >&2
    into "$2" "fill_$1"
}

kafka_class() {
    local libs
    libs=$(fetch kafka)
    java -cp "$libs/*" -Dorg.slf4j.simpleLogger.defaultLogLevel=error "$@"
}

run_kafka() {
    local folder=$1 port=$2 controller=$3 libs
    shift 3
    libs=$(fetch kafka)
    mkdir -p "$folder"
    {
        cat <<EOF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$folder/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
EOF
        printf '%s\n' "$@"
    } >"$folder/server.properties"
    if [ ! -e "$folder/data/meta.properties" ]; then
        kafka_class kafka.tools.StorageTool format --ignore-formatted -c "$folder/server.properties" \
            -t "$(kafka_class kafka.tools.StorageTool random-uuid)" >&2
    fi
    exec java -Xms256m -Xmx512m -cp "$libs/*" -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
        kafka.Kafka "$folder/server.properties"
}

run_consul() {
    local folder=$1 http=$2 server=$3 serf=$4 consul newer=()
    shift 4
    consul=$(fetch consul)
    mkdir -p "$folder"
    # Later versions have a second port for gRPC, earlier ones do not know it.
    if "$consul" agent -help 2>&1 | grep -q -e -grpc-tls-port; then
        newer=(-grpc-tls-port=-1)
    fi
    # Its state is in memory. The third server port, for other data centres, is not opened.
    exec "$consul" agent -dev -node=consul -log-level=warn -bind=127.0.0.1 -client=127.0.0.1 -http-port="$http" \
        -server-port="$server" -serf-lan-port="$serf" -serf-wan-port=-1 -dns-port=-1 -grpc-port=-1 "${newer[@]}" "$@"
}

run_etcd() {
    local folder=$1 client="http://127.0.0.1:$2" peer="http://127.0.0.1:$3" etcd
    shift 3
    etcd=$(fetch etcd)
    mkdir -p "$folder"
    exec "$etcd" --name=etcd --data-dir="$folder/data" --listen-client-urls="$client" --advertise-client-urls="$client" \
        --listen-peer-urls="$peer" --initial-advertise-peer-urls="$peer" --initial-cluster="etcd=$peer" \
        --log-level=warn "$@"
}

case "${1:-}" in
fetch)
    (($# == 2)) || fail "fetch what? (see --help)"
    fetch "$2"
    ;;
run)
    case "${2:-}" in
    kafka | consul | etcd) ;;
    *) fail "unknown service '${2:-}' (kafka, consul, etcd)" ;;
    esac
    (($# >= 5)) || fail "a folder and ports are missing (see --help)"
    "run_$2" "${@:3}"
    ;;
topics)
    (($# >= 3)) || fail "a port and options are missing (see --help)"
    kafka_class org.apache.kafka.tools.TopicCommand --bootstrap-server "127.0.0.1:$2" "${@:3}"
    ;;
-h | --help) usage ;;
*) fail "unknown argument '${1:-}' (see --help)" ;;
esac
