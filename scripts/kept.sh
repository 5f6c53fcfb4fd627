#!/usr/bin/env bash
# Shows by the system calls of a node that no answer to a durable session leaves before what it promises is on the disk.
#
#   scripts/kept.sh
#
# strace sees what the node writes and when. On Debian it is installed with apt-get where it is missing.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib/common.sh
. "$root/scripts/lib/common.sh"
# shellcheck source=scripts/lib/requirements.sh
. "$root/scripts/lib/requirements.sh"
cd "$root"

(($# == 0)) || {
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$root/scripts/kept.sh"
    [ "$1" = --help ] || [ "$1" = -h ] || exit 2
    exit 0
}
install_packages kept
cargo build --locked -p micro-mq
python3 -B scripts/lib/kept.py "${CARGO_TARGET_DIR:-target}/debug/micro-mq"
