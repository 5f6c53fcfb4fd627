# What the tests need beyond the checkout, and how a fresh Debian machine gets it. Sourced after common.sh.
# A program that is already on PATH is used as it is.

# missing_packages SUITE...: the Debian packages whose programs are not there yet.
missing_packages() {
    local suite
    has cc && has make || echo build-essential
    for suite in "$@"; do
        case "$suite" in
        python | mosquitto | paho_c | plots)
            # Debian splits the module that a virtual environment needs from the interpreter.
            has python3 && python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
            ;;
        node)
            has node || echo nodejs
            has npm || echo npm
            ;;
        console)
            has node || echo nodejs
            has npm || echo npm
            has chromium || [ -n "${MICRO_MQ_CHROMIUM:-}" ] || echo chromium
            ;;
        go)
            has go || echo golang-go
            ;;
        rmqttd) has protoc || printf '%s\n' protobuf-compiler libprotobuf-dev ;; # to be built
        services | cluster)
            has mvn || echo maven
            has java || echo openjdk-17-jre-headless # Debian 12's; scripts/lib/services.sh gets the rest
            ;;
        docker)
            has dockerd || [ -x /usr/sbin/dockerd ] || echo docker.io
            has debootstrap || [ -x /usr/sbin/debootstrap ] || echo debootstrap
            has iptables || [ -x /usr/sbin/iptables ] || echo iptables
            ;;
        instructions)
            has valgrind || echo valgrind
            ;;
        kept)
            has strace || echo strace
            has ps || echo procps
            ;;
        esac
        if [ "$suite" = cluster ]; then
            python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
        fi
        if [ "$suite" = paho_c ]; then
            has paho_c_pub && has paho_c_sub && has paho_cs_sub || echo paho.mqtt.c-examples
        fi
        if [ "$suite" = mosquitto ]; then
            # Debian installs the broker into /usr/sbin, which a user's PATH may lack.
            has mosquitto || [ -x /usr/sbin/mosquitto ] || echo mosquitto
            has mosquitto_pub && has mosquitto_sub && has mosquitto_rr || echo mosquitto-clients
        fi
    done
    # The script itself asks for free ports and for the node's readiness.
    has python3 || echo python3
}

# install_packages SUITE...: installs what is missing; false, having said why, when that cannot be.
install_packages() {
    local packages as_root=()
    packages=$(missing_packages "$@" | sort -u | tr '\n' ' ')
    packages=${packages% }
    [ -n "$packages" ] || return 0
    if ! has apt-get; then
        complain "missing (Debian's package names): $packages; found no package manager that it knows (apt-get)"
        return 1
    fi
    if [ "$(id -u)" != 0 ]; then
        if ! has sudo; then
            complain "missing: $packages; run as root: apt-get install $packages"
            return 1
        fi
        as_root=(sudo)
    fi
    say "installing $packages"
    # shellcheck disable=SC2086 # a list of words
    "${as_root[@]}" "$root/scripts/lib/install_packages.sh" $packages
}

# need_packages SUITE...: the same, and ends the script when it cannot be.
need_packages() {
    install_packages "$@" || fail "cannot go on without them"
    has cargo || fail "missing: cargo (Rust 1.90 or later, https://rustup.rs)"
}

# python_environment REQUIREMENTS: prints the interpreter of a virtual environment with just these packages.
python_environment() {
    local folder
    folder="$cache_folder/python-$(python3 --version | fingerprint - "$1")"
    if [ ! -e "$folder/complete" ]; then
        say "installing Python packages" >&2
        rm -rf "$folder"
        # Joined by `&&`: the caller may test this function, and then `set -e` does not hold in it.
        python3 -m venv "$folder" >&2 &&
            "$folder/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$1" >&2 &&
            touch "$folder/complete" || return 1
    fi
    echo "$folder/bin/python"
}

# node_modules FOLDER: prints where the packages of FOLDER's package-lock.json are installed.
node_modules() {
    local folder
    folder="$cache_folder/node-$(fingerprint "$1/package.json" "$1/package-lock.json")"
    if [ ! -e "$folder/complete" ]; then
        say "installing the npm clients" >&2
        rm -rf "$folder"
        mkdir -p "$folder" &&
            cp "$1/package.json" "$1/package-lock.json" "$folder/" &&
            npm ci --prefix "$folder" --no-audit --no-fund --ignore-scripts --loglevel=error >&2 &&
            touch "$folder/complete" || return 1
    fi
    echo "$folder/node_modules"
}
