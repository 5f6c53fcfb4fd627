#!/usr/bin/env bash
# Proves docker/: starts its compose file as it is, publishes at one node and receives at the others and by HAProxy.
#
#   scripts/docker.sh            with an engine of its own, which ends with it
#
# No image registry is asked. Images with the names of the public ones are made from Debian's packages and from what
# scripts/lib/services.sh fetches; the one that builds the node has it built already, from this checkout or, with
# MICRO_MQ_PROGRAM=FILE, from elsewhere. That takes root, Debian's packages docker.io and debootstrap, and a kernel that lets
# an engine run; where there is none it says so, and has not passed.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib/common.sh
. "$root/scripts/lib/common.sh"
# shellcheck source=scripts/lib/requirements.sh
. "$root/scripts/lib/requirements.sh"

case "${1:-}" in
'') ;;
-h | --help)
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$root/scripts/docker.sh"
    exit 0
    ;;
*) fail "unknown argument '$1' (see --help)" ;;
esac

readonly ENGINE_SECONDS_MAX=60 UP_SECONDS_MAX=300 PROBE_SECONDS_MAX=60
readonly BASE_PACKAGES=ca-certificates,haproxy,prometheus,openjdk-17-jre-headless

[ "$(id -u)" = 0 ] || fail "did not run: an engine can be started by root alone"
need_packages docker services
export PATH="$PATH:/usr/sbin"
compose=$("$root/scripts/lib/services.sh" fetch docker-compose)
kafka_libs=$("$root/scripts/lib/services.sh" fetch kafka)
consul=$("$root/scripts/lib/services.sh" fetch consul)

folder=$(mktemp -d "${TMPDIR:-/tmp}/micro-mq-docker.XXXXXX")
engine_pid=
export DOCKER_HOST="unix://$folder/docker.sock" DOCKER_CONFIG="$folder/config" DOCKER_BUILDKIT=0 COMPOSE_BAKE=false
# What is on this machine's network is no concern of the engine's.
unset HTTP_PROXY HTTPS_PROXY http_proxy https_proxy

on_exit() {
    local status=$? deadline=$((SECONDS + ENGINE_SECONDS_MAX))
    if [ -n "$engine_pid" ]; then
        ((status == 0)) || { compose logs --tail 20 || true; tail -n 20 "$folder/engine.log" || true; }
        compose down --volumes --timeout 20 >/dev/null 2>&1 || true
        kill -TERM "$engine_pid" 2>/dev/null || true
        while kill -0 "$engine_pid" 2>/dev/null && ((SECONDS < deadline)); do sleep 0.2; done
    fi
    rm -rf "$folder" || true
    exit "$status"
}
trap on_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

compose() { "$compose" -f "$root/docker/docker-compose.yml" "$@"; }

fill_base() {
    local codename site
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    site=$(debian_mirror "$codename")
    [ -n "$site" ] || return
    debootstrap --variant=minbase --include="$BASE_PACKAGES" "$codename" "$1/system" "$site" >&2 || return
    rm -rf "$1"/system/var/cache/apt/archives/*.deb "$1"/system/var/lib/apt/lists/*
    tar -C "$1/system" -cf "$1/base.tar" . && rm -rf "$1/system"
}

# The system that all images are made of, kept in the cache.
base_image() {
    local base="$cache_folder/docker-base"
    if [ ! -e "$base/complete" ]; then
        say "making a base image" >&2
        rm -rf "$base" && mkdir -p "$base" && fill_base "$base" && touch "$base/complete" || return
    fi
    echo "$base/base.tar"
}

# image NAME: made of the Dockerfile on stdin, in the folder of the same.
image() {
    local context="$folder/context"
    mkdir -p "$context"
    cat >"$context/Dockerfile"
    docker build --quiet --tag "$1" "$context" >/dev/null
    rm -rf "$context"
}

start_engine() {
    local deadline=$((SECONDS + ENGINE_SECONDS_MAX))
    mkdir -p "$folder/config"
    # Without a bridge of its own it disturbs no other engine; the containers have one of the compose file's.
    dockerd --data-root "$folder/data" --exec-root "$folder/exec" --pidfile "$folder/engine.pid" --bridge none \
        --host "$DOCKER_HOST" >"$folder/engine.log" 2>&1 &
    engine_pid=$!
    until docker version >/dev/null 2>&1; do
        if ! kill -0 "$engine_pid" 2>/dev/null || ((SECONDS >= deadline)); then
            tail -n 5 "$folder/engine.log"
            fail "did not run: no engine can be started here"
        fi
        sleep 0.2
    done
}

make_images() {
    local base
    base=$(with_cache_lock base_image) || fail "did not run: no base image could be made"
    docker import "$base" debian:bookworm-slim >/dev/null

    mkdir -p "$folder/context"
    cp "$program" "$folder/context/micro-mq"
    # It has the program built, and puts it where cargo would.
    printf '#!/bin/sh\nmkdir -p target/release && cp /built/micro-mq target/release/micro-mq\n' >"$folder/context/cargo"
    chmod 755 "$folder/context/cargo"
    image rust:1.90-bookworm <<EOF
FROM debian:bookworm-slim
COPY micro-mq /built/micro-mq
COPY cargo /usr/local/bin/cargo
EOF

    mkdir -p "$folder/context"
    cp -r "$kafka_libs" "$folder/context/libs"
    # As the public image does: KAFKA_LOG_DIRS becomes log.dirs.
    cat >"$folder/context/run" <<'EOF'
#!/bin/bash
set -euo pipefail
env | sed -n 's/^KAFKA_//p' | while IFS='=' read -r key value; do
    printf '%s=%s\n' "$(tr '[:upper:]_' '[:lower:].' <<<"$key")" "$value"
done >/tmp/server.properties
java -cp '/opt/kafka/libs/*' kafka.tools.StorageTool format --ignore-formatted -c /tmp/server.properties -t 5L6g3nShT-eMCtK--X86sw
exec java -Xmx512m -cp '/opt/kafka/libs/*' kafka.Kafka /tmp/server.properties
EOF
    chmod 755 "$folder/context/run"
    image apache/kafka:4.1.0 <<EOF
FROM debian:bookworm-slim
COPY libs /opt/kafka/libs
COPY run /run-kafka
CMD ["/run-kafka"]
EOF

    mkdir -p "$folder/context"
    cp "$consul" "$folder/context/consul"
    image hashicorp/consul:1.20 <<EOF
FROM debian:bookworm-slim
COPY consul /usr/local/bin/consul
ENTRYPOINT ["consul"]
EOF
    image haproxy:3.0 <<EOF
FROM debian:bookworm-slim
CMD ["haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]
EOF
    image prom/prometheus:v2.53.0 <<EOF
FROM debian:bookworm-slim
ENTRYPOINT ["prometheus", "--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
EOF
}

# until_says SECONDS WHAT URL TEXT: what is there says this.
until_says() {
    local deadline=$((SECONDS + $1)) said=
    until said=$(python3 - "$3" 2>&1 <<'EOF'
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
print(opener.open(sys.argv[1], timeout=5).read().decode())
EOF
    ) && [[ $said =~ $4 ]]; do
        ((SECONDS < deadline)) || fail "not in time: $2 (${said:0:500})"
        sleep 0.5
    done
    say "$2"
}

if [ -n "${MICRO_MQ_PROGRAM:-}" ]; then
    program=$(realpath "$MICRO_MQ_PROGRAM")
else
    cargo build --release --locked --package micro-mq --manifest-path "$root/Cargo.toml"
    program="${CARGO_TARGET_DIR:-$root/target}/release/micro-mq"
fi
say "starting an engine"
start_engine
say "making images"
make_images
say "docker compose up"
began=$SECONDS
compose up --build --wait --wait-timeout "$UP_SECONDS_MAX"
say "up after $((SECONDS - began)) s"
python3 "$root/scripts/lib/probe.py" through "$PROBE_SECONDS_MAX" \
    127.0.0.1:11883 127.0.0.1:21883 127.0.0.1:31883 127.0.0.1:1883
say "what is published at 127.0.0.1:11883 comes to 21883, 31883 and, by HAProxy, to 1883"
python3 "$root/scripts/lib/probe.py" through "$PROBE_SECONDS_MAX" 127.0.0.1:1883 127.0.0.1:11883
until_says "$PROBE_SECONDS_MAX" "Consul has three nodes" "http://127.0.0.1:8500/v1/health/service/micro-mq?passing" \
    'node-1.*node-2.*node-3|node-1.*node-3.*node-2|node-2.*node-1.*node-3|node-2.*node-3.*node-1|node-3.*node-1.*node-2|node-3.*node-2.*node-1'
until_says "$PROBE_SECONDS_MAX" "Prometheus reads three nodes" "http://127.0.0.1:9090/api/v1/query?query=sum(up)" '"3"'
user=$(docker inspect --format '{{.Config.User}} {{.HostConfig.ReadonlyRootfs}}' micro-mq-node-1-1)
[ "$user" = "micro-mq true" ] || fail "a node runs as '$user'"
say "passed: docker/docker-compose.yml is one broker"
