# Sourced by scripts that need programs of other people, after their `fail`: with `missing` the names
# of Debian packages, installs them.

install_missing() {
    ((${#missing[@]})) || return 0
    command -v apt-get >/dev/null || fail "missing: ${missing[*]}; there is no apt-get to install them"
    [ "$(id -u)" = 0 ] || fail "missing: ${missing[*]}; run this as root once, or install them"
    echo "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq || fail "apt-get update failed"
    apt-get install -qq -y --no-install-recommends "${missing[@]}" || fail "cannot install ${missing[*]}"
}
