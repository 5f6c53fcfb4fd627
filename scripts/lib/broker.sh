# Starts one node for the client suites and ends it again. Sourced after common.sh.
#
# start_broker sets MICRO_MQ_TEST_TCP (host:port), MICRO_MQ_TEST_WS (URL) and MICRO_MQ_TEST_ADMIN (URL), exported for
# the suites. With MICRO_MQ_TEST_TCP set by the caller the suites run against that broker instead.

broker_pid=
broker_folder=

# What a machine under load takes is far below.
readonly BROKER_SECONDS_MAX=60

# start_broker PROGRAM: false when it does not become ready. It chooses free ports, and says which.
start_broker() {
    local line announced is_ready=false deadline=$((SECONDS + BROKER_SECONDS_MAX))
    if [ -n "${MICRO_MQ_TEST_TCP:-}" ]; then
        say "testing the broker at $MICRO_MQ_TEST_TCP"
        return
    fi
    broker_folder=$(mktemp -d "${TMPDIR:-/tmp}/micro-mq-test.XXXXXX")
    mkfifo "$broker_folder/announced"
    # An empty working folder: what the node keeps on disk goes when the run ends.
    (
        cd "$broker_folder"
        exec "$1" run \
            --set "listener.tcp.bind=127.0.0.1:0" \
            --set "listener.websocket.bind=127.0.0.1:0" \
            --set "admin.bind=127.0.0.1:0" \
            --set mqtt.sys_interval_seconds=1
    ) >"$broker_folder/announced" 2>"$broker_folder/node.log" &
    broker_pid=$!
    exec {announced}<"$broker_folder/announced"
    # Ends with the node's output too, when it does not start.
    while ((SECONDS < deadline)) && read -r -t "$BROKER_SECONDS_MAX" -u "$announced" line; do
        case "$line" in
        'tcp: mqtt://'*) export MICRO_MQ_TEST_TCP=${line#'tcp: mqtt://'} ;;
        'websocket: '*) export MICRO_MQ_TEST_WS=${line#'websocket: '} ;;
        'admin: '*) export MICRO_MQ_TEST_ADMIN=${line#'admin: '} ;;
        ready)
            is_ready=true
            break
            ;;
        esac
    done
    exec {announced}<&-
    $is_ready && return
    show_broker_log
    complain "the node did not become ready"
    stop_broker || true
    forget_broker
    return 1
}

# broker_is_alive: false when the node that this script started has ended.
broker_is_alive() { kill -0 "$broker_pid" 2>/dev/null; }

show_broker_log() {
    [ -n "$broker_folder" ] || return 0
    say "the node's log (last 200 lines)"
    tail -n 200 "$broker_folder/node.log"
}

# stop_broker: SIGTERM; returns the node's exit status, or 124 after killing one that did not end in time.
stop_broker() {
    local status=0 deadline=$((SECONDS + BROKER_SECONDS_MAX))
    [ -n "$broker_pid" ] || return 0
    kill -TERM "$broker_pid" 2>/dev/null || true
    while kill -0 "$broker_pid" 2>/dev/null; do
        if ((SECONDS > deadline)); then
            kill -KILL "$broker_pid" 2>/dev/null || true
            status=124
            break
        fi
        sleep 0.1
    done
    wait "$broker_pid" || { [ "$status" != 0 ] || status=$?; }
    broker_pid=
    return "$status"
}

# forget_broker: the node has ended; another may be started.
forget_broker() {
    broker_pid=
    remove_broker_folder
    broker_folder=
    unset MICRO_MQ_TEST_TCP MICRO_MQ_TEST_WS MICRO_MQ_TEST_ADMIN
}

remove_broker_folder() { [ -z "$broker_folder" ] || rm -rf "$broker_folder"; }
