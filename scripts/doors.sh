#!/usr/bin/env bash
# Judges the doors between crates, and between the modules of each crate: which may know which, and no two each other;
# and that no file has more than 500 lines, and no function more than 80.
#
#   scripts/doors.sh              fails, saying what leads where it may not
#   scripts/doors.sh --arrows     the arrows between the modules of every crate, the leaves first
#
# Tests do not count for the doors, and do for the lengths. What is allowed stands in scripts/lib/doors.py.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
exec python3 -B "$root/scripts/lib/doors.py" "$@"
