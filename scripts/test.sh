#!/usr/bin/env bash
# Runs every test of Micro MQ: those of the workspace, and real MQTT clients against a node started for them.
#
#   scripts/test.sh                     everything
#   scripts/test.sh --only SUITE        one suite; may be repeated
#
# Suites: scripts (the tests of the scripts and of what the documents say, and that docs/conformance.md is complete),
# unit (cargo test of the workspace, doc tests included), corpora (the fuzzers' inputs), kills (a node under load
# is killed ten times, and keeps its promises: scripts/kills.sh), clients (the six below),
# mosquitto (mosquitto_pub, _sub, _rr and a mosquitto bridge), paho_c (Paho C's programs), python (paho-mqtt, aiomqtt),
# node (MQTT.js), rust (rumqttc), go (autopaho); cluster (several nodes, with a real Kafka); console (the web console: its
# sources make the files that are committed, and every page of it in a real Chromium).
#
# All of them run although one failed; the last lines name what failed and what did not run, and the status is 0 if
# nothing did. What fails in the suite unit while other processes of the machine have its cores is repeated once, alone,
# and named there with the figures.
#
# On Debian, programs that are missing are installed with apt-get, and start no service; Python, npm and Go packages go to
# a cache outside the checkout: $MICRO_MQ_CACHE, by default ~/.cache/micro-mq. With MICRO_MQ_TEST_TCP=HOST:PORT (and
# MICRO_MQ_TEST_WS=URL) set, the clients test that broker, any MQTT 5 broker, instead of a node of their own.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib/common.sh
. "$root/scripts/lib/common.sh"
# shellcheck source=scripts/lib/requirements.sh
. "$root/scripts/lib/requirements.sh"
# shellcheck source=scripts/lib/broker.sh
. "$root/scripts/lib/broker.sh"
# shellcheck source=scripts/lib/summary.sh
. "$root/scripts/lib/summary.sh"
# shellcheck source=scripts/lib/starvation.sh
. "$root/scripts/lib/starvation.sh"

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$root/scripts/test.sh"; }

client_suites=(mosquitto paho_c python node rust go)
suites=()
while (($# > 0)); do
    case "$1" in
    --only)
        case "${2:-}" in
        clients) suites+=("${client_suites[@]}") ;;
        scripts | unit | corpora | kills | cluster | mosquitto | paho_c | python | node | rust | go | console) suites+=("$2") ;;
        *) fail "unknown suite '${2:-}' (scripts, unit, corpora, kills, cluster, clients, ${client_suites[*]}, console)" ;;
        esac
        shift 2
        ;;
    -h | --help)
        usage
        exit 0
        ;;
    *) fail "unknown argument '$1' (see --help)" ;;
    esac
done
((${#suites[@]} > 0)) || suites=(scripts unit corpora kills cluster "${client_suites[@]}" console)

cd "$root"
export PATH="$PATH:/usr/sbin" # the mosquitto broker, for a user whose PATH lacks it
export PYTHONDONTWRITEBYTECODE=1

suite_scripts() {
    local status=0
    (cd scripts/lib && python3 -m unittest discover) || status=1
    (cd bench/report && python3 -m unittest discover) || status=1
    scripts/conformance.sh --check || status=1
    return "$status"
}

suite_unit() { cargo test --workspace --locked --no-fail-fast "$@"; }

suite_corpora() {
    # A workspace of its own, like the fuzzer that these inputs are for.
    cargo test --no-fail-fast --no-default-features --lib --locked --manifest-path tests/fuzz/Cargo.toml \
        --target-dir "$cache_folder/target-fuzz-tests"
}

suite_kills() {
    # With patience enough for a machine that others use as well.
    scripts/kills.sh --debug --kills 10 --drain 60 && printf '1 passed, 0 failed\n'
}

suite_pytest() {
    local python
    python=$(with_cache_lock python_environment "$root/tests/clients/python/requirements.txt") || return
    "$python" -m pytest -c tests/clients/pytest.ini -p no:cacheprovider "tests/clients/$1"
}

suite_cluster() {
    local python
    cargo build --locked --package micro-mq || return
    scripts/lib/services.sh fetch kafka >/dev/null && scripts/lib/services.sh fetch consul >/dev/null || return
    python=$(with_cache_lock python_environment "$root/tests/clients/python/requirements.txt") || return
    MICRO_MQ_TEST_BINARY="${CARGO_TARGET_DIR:-$root/target}/debug/micro-mq" \
        "$python" -m pytest -c tests/cluster/pytest.ini -p no:cacheprovider tests/cluster
}

suite_node() {
    local modules
    modules=$(with_cache_lock node_modules "$root/tests/clients/node") || return
    NODE_PATH="$modules" node --test --test-reporter=spec tests/clients/node/*.test.js
}

suite_console() {
    local folder=$root/node/console modules built status=0
    modules=$(with_cache_lock node_modules "$folder") || return
    # What is imported is looked for beside the sources.
    [ -d "$folder/node_modules" ] && [ ! -L "$folder/node_modules" ] || ln -sfn "$modules" "$folder/node_modules"
    built=$(mktemp -d "${TMPDIR:-/tmp}/micro-mq-console.XXXXXX")
    cd "$folder"
    npx --no-install svelte-check --tsconfig ./tsconfig.json --fail-on-warnings || status=1
    npx --no-install vitest run || status=1
    npx --no-install vite build --logLevel warn --outDir "$built" --emptyOutDir || status=1
    if ! diff -rq dist "$built"; then
        complain "node/console/dist is not what its sources make: npm ci && npm run build, there"
        status=1
    fi
    rm -rf "$built"
    if [ -n "${MICRO_MQ_TEST_ADMIN:-}" ]; then
        npm run --silent browser || status=1
    else
        say "its pages are not looked at: a broker of the caller's has none"
    fi
    return "$status"
}

suite_rust() {
    # A workspace of its own, so that the node's build does not carry the client's dependencies.
    CARGO_TARGET_DIR="$cache_folder/target-client-tests" \
        cargo test --no-fail-fast --locked --manifest-path tests/clients/rust/Cargo.toml
}

suite_go() {
    # Nothing but what go.sum names is fetched, the compiler is the one that is there, and the cache can be deleted.
    (cd tests/clients/go && GOMODCACHE="$cache_folder/go/modules" GOCACHE="$cache_folder/go/build" \
        GOFLAGS="-mod=readonly -modcacherw" GOTOOLCHAIN=local CGO_ENABLED=0 go test -count=1 -v ./...)
}

on_exit() {
    local status=$?
    stop_broker || true
    remove_broker_folder
    exit "$status"
}
trap on_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

has cargo || fail "missing: cargo (Rust 1.90 or later, https://rustup.rs)"
install_packages "${suites[@]}" || say "what lacks nothing of that runs all the same"

# run_or_say_why RUNNER SUITE COMMAND...: runs it where what it needs is there.
run_or_say_why() {
    local runner=$1 suite=$2 missing
    shift 2
    missing=$(missing_packages "$suite" | sort -u | tr '\n' ' ')
    if [ -n "$missing" ]; then
        did_not_run "$suite" "missing (Debian's package names): ${missing% }"
    else
        "$runner" "$suite" "$@"
    fi
}

# ensure_broker: a node to test, anew when the one before has ended; false where there cannot be one.
ensure_broker() {
    if [ -n "$broker_pid" ] && ! broker_is_alive; then
        end_broker
    fi
    [ -n "$broker_pid" ] || start_broker "${CARGO_TARGET_DIR:-$root/target}/debug/micro-mq"
}

# end_broker: the node that was tested ends cleanly within its grace period, or that counts as a failure.
end_broker() {
    if [ -z "$broker_pid" ]; then
        : # none was started, or it is a broker of the caller's, which stays
    elif ! broker_is_alive; then
        say "the node ended while it was tested"
        add_result shutdown 0 1 "the node ended while it was tested"
        show_broker_log
        forget_broker
    elif stop_broker; then
        add_result shutdown 1 0
    else
        add_result shutdown 0 1
        show_broker_log
    fi
}

clients=()
for suite in "${suites[@]}"; do
    case "$suite" in
    unit) run_or_say_why run_unless_starved unit suite_unit ;;
    scripts | corpora | kills | cluster) run_or_say_why run_suite "$suite" "suite_$suite" ;;
    *) clients+=("$suite") ;;
    esac
done

no_node=
if ((${#clients[@]} > 0)) && [ -z "${MICRO_MQ_TEST_TCP:-}" ]; then
    say "building the node"
    cargo build --locked --package micro-mq || no_node="the node could not be built"
fi
failed_before=$failed_total
for suite in "${clients[@]}"; do
    if [ -z "$no_node" ] && ! ensure_broker; then
        no_node="the node did not start"
    fi
    if [ -n "$no_node" ]; then
        did_not_run "$suite" "$no_node"
        continue
    fi
    case "$suite" in
    mosquitto | paho_c | python) run_or_say_why run_suite "$suite" suite_pytest "$suite" ;;
    node | rust | go | console) run_or_say_why run_suite "$suite" "suite_$suite" ;;
    esac
done
((failed_total == failed_before)) || show_broker_log
end_broker
print_summary
