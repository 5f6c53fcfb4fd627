#!/usr/bin/env bash
# Three nodes on this machine that are one broker, with a real Kafka and a real Consul.
#
#   scripts/cluster.sh up              starts what does not run, and ends when a message came from one node to the others
#   scripts/cluster.sh status          what runs, where it listens, and what each node says of itself
#   scripts/cluster.sh kill N          kills node N (SIGKILL); `up` starts it again
#   scripts/cluster.sh logs [-f] [NAME...]  the last lines of all logs, or of node-1, node-2, node-3, kafka, consul; -f follows
#   scripts/cluster.sh down            stops all of it and deletes what it kept, but the logs
#
# Node N listens on 127.0.0.1: MQTT N*10000+1883, WebSocket +1884, admin +1885. So 11883, 21883 and 31883 are the same
# broker. Kafka listens on 19092, Consul on 18500. What services need is fetched once
# (scripts/lib/services.sh), the nodes are built from this checkout; MICRO_MQ_PROGRAM=FILE takes another program.
# Configurations, data and logs are below target/cluster, or in the folder that MICRO_MQ_CLUSTER_FOLDER names.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib/common.sh
. "$root/scripts/lib/common.sh"
# shellcheck source=scripts/lib/requirements.sh
. "$root/scripts/lib/requirements.sh"

readonly KAFKA_PORT=19092 KAFKA_CONTROLLER_PORT=19093
readonly CONSUL_PORT=18500 CONSUL_SERVER_PORT=18501 CONSUL_SERF_PORT=18502
# What a busy machine takes; an idle one takes a fifth.
readonly SERVICE_SECONDS_MAX=60 NODES_SECONDS_MAX=60
# A node's grace period, and some.
readonly STOP_SECONDS_MAX=20
readonly LOG_LINES=40

folder=${MICRO_MQ_CLUSTER_FOLDER:-${CARGO_TARGET_DIR:-$root/target}/cluster}
nodes=(1 2 3)
names=(kafka consul node-1 node-2 node-3)

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$root/scripts/cluster.sh"; }

port_of() { echo $((${1#node-} * 10000 + $2)); }

# started_at PID: when a process was started, in clock ticks; empty when there is none. A pid alone may be another's by now.
started_at() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20 || true; }

# pid_of NAME: of the process that this script started, if it runs.
pid_of() {
    local pid since
    read -r pid since 2>/dev/null <"$folder/$1.pid" || return 1
    [ -n "$since" ] && [ "$(started_at "$pid")" = "$since" ] || return 1
    echo "$pid"
}

# start NAME COMMAND...: in the background, and in a session of its own, so that nothing ends it but this script.
start() {
    local name=$1
    shift
    (
        cd "$folder"
        exec setsid "$@" >>"$folder/$name.log" 2>&1 </dev/null
    ) &
    echo "$! $(started_at $!)" >"$folder/$name.pid"
    disown "$!"
}

# wait_for_port NAME PORT
wait_for_port() {
    local deadline=$((SECONDS + SERVICE_SECONDS_MAX))
    until (exec 3<>"/dev/tcp/127.0.0.1/$2") 2>/dev/null; do
        pid_of "$1" >/dev/null || fail "$1 ended; its log is $folder/$1.log"
        ((SECONDS < deadline)) || fail "$1 does not listen on $2; its log is $folder/$1.log"
        sleep 0.1
    done
}

# need_free_port NAME PORT: somebody else's service would be taken for ours.
need_free_port() {
    if (exec 3<>"/dev/tcp/127.0.0.1/$2") 2>/dev/null; then
        fail "port $2 is in use by somebody else; $1 needs it"
    fi
}

write_config() {
    local name=$1
    cat >"$folder/$name.toml" <<EOF
[listener.tcp]
bind = "127.0.0.1:$(port_of "$name" 1883)"

[listener.websocket]
bind = "127.0.0.1:$(port_of "$name" 1884)"

[admin]
bind = "127.0.0.1:$(port_of "$name" 1885)"

[store]
folder = "$folder/$name"

[cluster]
enabled = true
node = "$name"

[kafka]
brokers = "127.0.0.1:$KAFKA_PORT"

[registry]
provider = "consul"
addresses = ["http://127.0.0.1:$CONSUL_PORT"]
EOF
}

program() {
    if [ -n "${MICRO_MQ_PROGRAM:-}" ]; then
        realpath "$MICRO_MQ_PROGRAM"
        return
    fi
    cargo build --release --locked --package micro-mq --manifest-path "$root/Cargo.toml" >&2
    echo "${CARGO_TARGET_DIR:-$root/target}/release/micro-mq"
}

up() {
    local node name micro_mq ready=() mqtt=() began
    need_packages services
    "$root/scripts/lib/services.sh" fetch kafka >/dev/null
    "$root/scripts/lib/services.sh" fetch consul >/dev/null
    micro_mq=$(program)
    began=$SECONDS
    mkdir -p "$folder"
    if ! pid_of kafka >/dev/null; then
        need_free_port kafka "$KAFKA_PORT"
        start kafka "$root/scripts/lib/services.sh" run kafka "$folder/kafka" "$KAFKA_PORT" "$KAFKA_CONTROLLER_PORT"
    fi
    if ! pid_of consul >/dev/null; then
        need_free_port consul "$CONSUL_PORT"
        start consul "$root/scripts/lib/services.sh" run consul "$folder/consul" \
            "$CONSUL_PORT" "$CONSUL_SERVER_PORT" "$CONSUL_SERF_PORT"
    fi
    wait_for_port consul "$CONSUL_PORT"
    wait_for_port kafka "$KAFKA_PORT"
    for node in "${nodes[@]}"; do
        name="node-$node"
        ready+=("127.0.0.1:$(port_of "$name" 1885)")
        mqtt+=("127.0.0.1:$(port_of "$name" 1883)")
        pid_of "$name" >/dev/null && continue
        need_free_port "$name" "$(port_of "$name" 1883)"
        write_config "$name"
        start "$name" "$micro_mq" run --config "$folder/$name.toml"
    done
    python3 "$root/scripts/lib/probe.py" ready "$NODES_SECONDS_MAX" "${ready[@]}" || fail "the logs are in $folder"
    python3 "$root/scripts/lib/probe.py" through "$NODES_SECONDS_MAX" "${mqtt[@]}" || fail "the logs are in $folder"
    say "three nodes are one broker, after $((SECONDS - began)) s: what is published at ${mqtt[0]} comes to ${mqtt[1]} and ${mqtt[2]}"
}

down() {
    local name pid deadline
    # The nodes first: they have something to tell Kafka and Consul.
    for name in node-1 node-2 node-3 consul kafka; do
        pid=$(pid_of "$name") || continue
        kill -TERM "$pid" 2>/dev/null || true
        [ "$name" != node-3 ] || wait_for_end node-1 node-2 node-3
    done
    wait_for_end "${names[@]}"
    for name in "${names[@]}"; do
        rm -rf "${folder:?}/$name" "$folder/$name.pid" "$folder/$name.toml"
    done
}

# wait_for_end NAME...: whoever takes too long is killed.
wait_for_end() {
    local name pid deadline=$((SECONDS + STOP_SECONDS_MAX))
    for name in "$@"; do
        while pid=$(pid_of "$name"); do
            if ((SECONDS >= deadline)); then
                complain "$name did not end in time and is killed"
                kill -KILL "$pid" 2>/dev/null || true
            fi
            sleep 0.1
        done
    done
}

status() {
    local name pid state port running=0
    for name in "${names[@]}"; do
        case "$name" in
        kafka) port=$KAFKA_PORT ;;
        consul) port=$CONSUL_PORT ;;
        *) port=$(port_of "$name" 1883) ;;
        esac
        if ! pid=$(pid_of "$name"); then
            printf '%-7s 127.0.0.1:%-5s does not run\n' "$name" "$port"
            continue
        fi
        running=$((running + 1))
        case "$name" in
        node-*)
            state="admin http://127.0.0.1:$(port_of "$name" 1885)"
            if python3 "$root/scripts/lib/probe.py" ready 0 "127.0.0.1:$(port_of "$name" 1885)" 2>"$folder/said"; then
                state+=", ready"
            else
                state+=", not ready: $(sed 's/^not in time: //' "$folder/said")"
            fi
            rm -f "$folder/said"
            ;;
        *) state=runs ;;
        esac
        printf '%-7s 127.0.0.1:%-5s pid %-7s %s\n' "$name" "$port" "$pid" "$state"
    done
    ((running == ${#names[@]}))
}

kill_node() {
    local pid
    case "$1" in 1 | 2 | 3) ;; *) fail "which node? (1, 2 or 3)" ;; esac
    pid=$(pid_of "node-$1") || fail "node $1 does not run"
    kill -KILL "$pid"
    wait_for_end "node-$1"
    say "node $1 is killed; scripts/cluster.sh up starts it again"
}

logs() {
    local name files=() follow=()
    if [ "${1:-}" = -f ]; then
        follow=(-F)
        shift
    fi
    (($# > 0)) || set -- "${names[@]}"
    for name in "$@"; do
        [ -e "$folder/$name.log" ] || fail "there is no log of '$name' (${names[*]})"
        files+=("$folder/$name.log")
    done
    exec tail -v -n "$LOG_LINES" "${follow[@]}" "${files[@]}"
}

case "${1:-}" in
up | down | status)
    (($# == 1)) || fail "unknown argument '$2' (see --help)"
    "$1"
    ;;
kill)
    (($# == 2)) || fail "which node? (1, 2 or 3)"
    kill_node "$2"
    ;;
logs) logs "${@:2}" ;;
-h | --help) usage ;;
*) fail "unknown argument '${1:-}' (see --help)" ;;
esac
