# Shared by the scripts: messages, and the cache for what is slow to get. Sourced, not run.

# What is downloaded or built once lies outside the checkout, so that a fresh clone starts at once.
cache_folder="${MICRO_MQ_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/micro-mq}"

say() { printf '==> %s\n' "$*"; }

complain() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

fail() {
    complain "$*"
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# fingerprint FILE...: a short name for exactly this content.
fingerprint() { cat -- "$@" | sha256sum | cut -c1-16; }

# with_cache_lock COMMAND...: two runs at the same time do not fill the cache over each other.
with_cache_lock() {
    mkdir -p "$cache_folder"
    (
        flock 9
        "$@"
    ) 9>"$cache_folder/.lock"
}

# debian_mirror CODENAME: where this machine gets Debian of that name, by its sources alone: no list was read before.
debian_mirror() {
    local folder=${MICRO_MQ_APT_FOLDER:-/etc/apt} # another one for the tests of this
    # A line, "deb [OPTIONS] URI SUITE main", or a paragraph with "URIs:" and "Suites:".
    local sources=("$folder"/sources.list "$folder"/sources.list.d/*.list "$folder"/sources.list.d/*.sources)
    { cat "${sources[@]}" 2>/dev/null || true; } | awk -v codename="$1" '
        function found(uri) { sub(/\/+$/, "", uri); print uri; exit }
        /^[[:space:]]*$/ { uri = suite = "" }
        /^deb[[:space:]]/ {
            sub(/\[[^]]*\]/, "")
            if ($3 == codename) found($2)
        }
        /^URIs:/ { uri = $2 }
        /^Suites:/ { for (i = 2; i <= NF; i++) if ($i == codename) suite = 1 }
        uri && suite { found(uri) }
    '
}
