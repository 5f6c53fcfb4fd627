# Starts one node for the client suites and ends it again. Sourced after common.sh.
#
# start_broker sets MICRO_MQ_TEST_TCP (host:port), MICRO_MQ_TEST_WS (URL) and MICRO_MQ_TEST_ADMIN (URL), exported for
# the suites. With MICRO_MQ_TEST_TCP set by the caller the suites run against that broker instead.

broker_pid=
broker_folder=

free_ports() {
    python3 - "$1" <<'PYTHON'
import socket, sys
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*(s.getsockname()[1] for s in sockets))
PYTHON
}

# is_ready URL: whether it answers 200 within a second.
is_ready() {
    python3 - "$1" <<'PYTHON'
import sys, urllib.error, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    sys.exit(opener.open(sys.argv[1], timeout=1).status != 200)
except (urllib.error.URLError, OSError):
    sys.exit(1)
PYTHON
}

# start_broker PROGRAM
start_broker() {
    local tcp websocket admin deadline=$((SECONDS + 20))
    if [ -n "${MICRO_MQ_TEST_TCP:-}" ]; then
        say "testing the broker at $MICRO_MQ_TEST_TCP"
        return
    fi
    read -r tcp websocket admin <<<"$(free_ports 3)"
    broker_folder=$(mktemp -d "${TMPDIR:-/tmp}/micro-mq-test.XXXXXX")
    # An empty working folder: what the node keeps on disk goes when the run ends.
    (
        cd "$broker_folder"
        exec "$1" run \
            --set "listener.tcp.bind=127.0.0.1:$tcp" \
            --set "listener.websocket.bind=127.0.0.1:$websocket" \
            --set "admin.bind=127.0.0.1:$admin" \
            --set mqtt.sys_interval_seconds=1
    ) >"$broker_folder/node.log" 2>&1 &
    broker_pid=$!
    export MICRO_MQ_TEST_TCP="127.0.0.1:$tcp"
    export MICRO_MQ_TEST_WS="ws://127.0.0.1:$websocket/mqtt"
    export MICRO_MQ_TEST_ADMIN="http://127.0.0.1:$admin"
    until is_ready "$MICRO_MQ_TEST_ADMIN/health/ready"; do
        if ! kill -0 "$broker_pid" 2>/dev/null || ((SECONDS > deadline)); then
            show_broker_log
            fail "the node did not become ready"
        fi
        sleep 0.1
    done
}

# broker_is_alive: false when the node that this script started has ended.
broker_is_alive() { kill -0 "$broker_pid" 2>/dev/null; }

show_broker_log() {
    [ -n "$broker_folder" ] || return 0
    say "the node's log (last 200 lines)"
    tail -n 200 "$broker_folder/node.log"
}

# stop_broker: SIGTERM; returns the node's exit status, or 124 after killing one that did not end within 15 s.
stop_broker() {
    local status=0 deadline=$((SECONDS + 15))
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

remove_broker_folder() { [ -z "$broker_folder" ] || rm -rf "$broker_folder"; }
