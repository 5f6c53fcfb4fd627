#!/usr/bin/env bash
# install_packages.sh PACKAGE...: installs Debian packages, as root, without starting a service. Run by requirements.sh.
#
# Debian starts what it installs: mosquitto would take port 1883. What forbids that, /usr/sbin/policy-rc.d, is there only
# while this runs. One that is there already stays as it is: if it forbids services itself, nothing is done; if it
# permits them, ours is laid over it in a mount namespace of apt-get's own.
set -euo pipefail

policy_file=${MICRO_MQ_POLICY_FILE:-/usr/sbin/policy-rc.d} # another one for the tests of this script
lock_file=${MICRO_MQ_LOCK_FILE:-/run/lock/micro-mq-install}
readonly MARK='# Written by scripts/lib/install_packages.sh of Micro MQ, for as long as it runs.'
readonly FORBIDDEN=101

fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

policy() { printf '#!/bin/sh\n%s\nexit %d\n' "$MARK" "$FORBIDDEN"; }

is_ours() { grep -qxF "$MARK" "$policy_file" 2>/dev/null; }

remove_ours() { ! is_ours || rm -f "$policy_file"; }

# is_forbidden: whether the policy that is there lets nobody start a service.
is_forbidden() {
    local status=0
    [ -x "$policy_file" ] || return 1
    "$policy_file" mosquitto start >/dev/null 2>&1 || status=$?
    ((status == FORBIDDEN))
}

install() {
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "$@"
}

export DEBIAN_FRONTEND=noninteractive
# One at a time: nobody takes another's policy away.
exec 9>"$lock_file"
flock 9
remove_ours # of a run that was killed
if is_forbidden; then
    install "$@"
elif [ -e "$policy_file" ]; then
    unshare --mount true 2>/dev/null ||
        fail "$policy_file lets packages start services, and cannot be covered here; install by hand: $*"
    cover=$(mktemp)
    trap 'rm -f "$cover"' EXIT
    policy >"$cover"
    chmod 755 "$cover"
    export -f install
    unshare --mount --propagation private bash -euc 'mount --bind "$1" "$2"; shift 2; install "$@"' \
        install "$cover" "$policy_file" "$@"
else
    trap remove_ours EXIT
    # Somebody else may have made one meanwhile.
    (set -o noclobber && policy >"$policy_file") 2>/dev/null || fail "$policy_file appeared meanwhile; try again"
    chmod 755 "$policy_file"
    install "$@"
fi

# What was installed just now does not start with the machine either.
for package in "$@"; do
    if [ "$package" = mosquitto ] && command -v systemctl >/dev/null 2>&1; then
        systemctl disable --quiet mosquitto || true
    elif [ "$package" = mosquitto ] && command -v update-rc.d >/dev/null 2>&1; then
        update-rc.d mosquitto disable || true
    fi
done
