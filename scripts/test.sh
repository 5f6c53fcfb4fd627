#!/usr/bin/env bash
# Runs every test of Micro MQ: those of the workspace, and real MQTT clients against a node started for them.
#
#   scripts/test.sh                     everything
#   scripts/test.sh --only SUITE        one suite; may be repeated
#
# Suites: unit (cargo test of the workspace, doc tests included, the tests of the scripts, and that docs/conformance.md
# is complete), corpora (the fuzzers' inputs), clients (the four below), mosquitto (mosquitto_pub, _sub, _rr and a
# mosquitto bridge), python (paho-mqtt, aiomqtt), node (MQTT.js), rust (rumqttc).
#
# On Debian, programs that are missing are installed with apt-get; Python and npm packages go to a cache outside the
# checkout: $MICRO_MQ_CACHE, by default ~/.cache/micro-mq. With MICRO_MQ_TEST_TCP=HOST:PORT (and
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

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$root/scripts/test.sh"; }

client_suites=(mosquitto python node rust)
suites=()
while (($# > 0)); do
    case "$1" in
    --only)
        case "${2:-}" in
        clients) suites+=("${client_suites[@]}") ;;
        unit | corpora | mosquitto | python | node | rust) suites+=("$2") ;;
        *) fail "unknown suite '${2:-}' (unit, corpora, clients, mosquitto, python, node, rust)" ;;
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
((${#suites[@]} > 0)) || suites=(unit corpora "${client_suites[@]}")

cd "$root"
export PATH="$PATH:/usr/sbin" # the mosquitto broker, for a user whose PATH lacks it
export PYTHONDONTWRITEBYTECODE=1

suite_unit() {
    (cd scripts/lib && python3 -m unittest --quiet test_bench test_documents) && cargo test --workspace --locked
}

suite_corpora() {
    # A workspace of its own, like the fuzzer that these inputs are for.
    cargo test --no-default-features --lib --locked --manifest-path tests/fuzz/Cargo.toml \
        --target-dir "$cache_folder/target-fuzz-tests"
}

suite_pytest() {
    local python
    python=$(with_cache_lock python_environment "$root/tests/clients/python/requirements.txt") || return
    "$python" -m pytest -c tests/clients/pytest.ini -p no:cacheprovider "tests/clients/$1"
}

suite_node() {
    local modules
    modules=$(with_cache_lock node_modules "$root/tests/clients/node") || return
    NODE_PATH="$modules" node --test --test-reporter=spec tests/clients/node/*.test.js
}

suite_rust() {
    # A workspace of its own, so that the node's build does not carry the client's dependencies.
    CARGO_TARGET_DIR="$cache_folder/target-client-tests" \
        cargo test --locked --manifest-path tests/clients/rust/Cargo.toml
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

install_packages "${suites[@]}"

wants_broker=false
for suite in "${suites[@]}"; do
    case "$suite" in
    unit)
        if scripts/conformance.sh --check; then add_result conformance 1 0; else add_result conformance 0 1; fi
        run_suite unit suite_unit
        ;;
    corpora) run_suite corpora suite_corpora ;;
    *) wants_broker=true ;;
    esac
done

if $wants_broker; then
    if [ -z "${MICRO_MQ_TEST_TCP:-}" ]; then
        say "building the node"
        cargo build --locked --package micro-mq
    fi
    start_broker "${CARGO_TARGET_DIR:-$root/target}/debug/micro-mq"
    failed_before=$failed_total
    for suite in "${suites[@]}"; do
        case "$suite" in
        mosquitto | python) run_suite "$suite" suite_pytest "$suite" ;;
        node | rust) run_suite "$suite" "suite_$suite" ;;
        esac
    done
    if [ -z "$broker_pid" ]; then
        : # a broker of the caller's: it stays
    elif broker_is_alive; then
        # It was used hard; it still ends cleanly within its grace period.
        if stop_broker; then add_result shutdown 1 0; else add_result shutdown 0 1; fi
    else
        say "the node ended while it was tested"
        add_result shutdown 0 1
    fi
    ((failed_total == failed_before)) || show_broker_log
fi
print_summary
