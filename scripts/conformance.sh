#!/usr/bin/env bash
# Writes docs/conformance.md: every statement of MQTT 3.1.1 and 5.0 that binds a server, and the tests that show it.
#
#   scripts/conformance.sh            writes it
#   scripts/conformance.sh --check    changes nothing; fails, saying what is missing, wrong or out of date
#
# The statements stand in tests/conformance/. A test of node/tests/it names those that it shows in its doc comment:
# [MQTT-3.1.0-1] is a statement of 5.0, [MQTT311-3.1.0-1] one of 3.1.1.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
exec python3 -B "$root/scripts/lib/conformance.py" "$@"
