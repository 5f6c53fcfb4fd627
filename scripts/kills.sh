#!/usr/bin/env bash
# Plays many clients against a node, and compares their histories: nothing acknowledged lost, QoS 2 once, order.
#
#   scripts/kills.sh                 no kill: every promise is kept
#   scripts/kills.sh --kills N ...   options of mqtt-bench kills in place of that
#   scripts/kills.sh --debug ...     the same with programs that are built in less time and are slower
#
# docs/kills.md says what is judged.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib/common.sh
. "$root/scripts/lib/common.sh"
cd "$root"

case ${1:-} in
--help | -h)
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$root/scripts/kills.sh"
    exit 0
    ;;
esac
profile=release
if [ "${1:-}" = --debug ]; then
    profile=debug
    shift
fi
(($# > 0)) || set -- --kills 0
build=(cargo build --locked -p micro-mq -p mqtt-bench)
[ "$profile" = debug ] || build+=(--release)
"${build[@]}"
programs=${CARGO_TARGET_DIR:-target}/$profile
node="$programs/micro-mq run --set listener.tcp.bind=127.0.0.1:{port} --set listener.websocket.bind=127.0.0.1:{port2}"
node+=" --set admin.bind=127.0.0.1:{port3} --set store.folder={folder}/data --set log.level=warn"
exec "$programs/mqtt-bench" kills --broker-command "$node" "$@"
