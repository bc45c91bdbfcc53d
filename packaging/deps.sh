#!/bin/sh
# Installs what SecureBase Monitor needs, from the distribution's own packages. Idempotent; says what it does.
#   packaging/deps.sh --run     to build and run it, and for `make demo`
#   packaging/deps.sh --tests   besides, what `make check` needs: compilers, cmocka, pytest, and the real servers
# Debian and its kin (apt-get), Fedora and its kin (dnf; --run only is tried there).
set -eu

run_apt="gcc make pkg-config libc6-dev libevent-dev libmsgpack-dev libzstd-dev libcurl4-openssl-dev libssl-dev libinih-dev
libsqlite3-dev libcjson-dev libprotobuf-c-dev zlib1g-dev libpq-dev libldns-dev protobuf-c-compiler protobuf-compiler openssl ca-certificates git python3 redis-server
tzdata"
tests_apt="clang libclang-rt-14-dev llvm clang-format-14 libcmocka-dev python3-pytest python3-msgpack python3-zstandard
python3-protobuf curl prometheus prometheus-node-exporter nginx-light debootstrap rpm
prometheus-alertmanager python3-aiosmtpd python3-botocore debhelper systemd sqlite3 procps iproute2 man-db
knot knot-dnsutils bind9 pdns-server pdns-backend-sqlite3 python3-dnspython etcd-server etcd-client postgresql-15
haproxy python3-psycopg2 nftables libfaketime util-linux"
run_dnf="gcc make pkgconf-pkg-config libevent-devel msgpack-devel libzstd-devel libcurl-devel openssl-devel inih-devel
sqlite-devel cjson-devel protobuf-c-devel zlib-devel libpq-devel ldns-devel protobuf-c-compiler protobuf-compiler openssl ca-certificates git python3 redis
tzdata"
tests_dnf="clang compiler-rt llvm clang-tools-extra libcmocka-devel python3-pytest python3-msgpack python3-zstandard
python3-protobuf curl nginx rpm-build sqlite procps-ng iproute man-db"

case "${1-}" in
--run) apt=$run_apt dnf=$run_dnf ;;
--tests) apt="$run_apt $tests_apt" dnf="$run_dnf $tests_dnf" ;;
*)
    echo "usage: packaging/deps.sh --run | --tests" >&2
    exit 2
    ;;
esac

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo > /dev/null; then
        sudo "$@"
    else
        echo "deps: packages are missing and this needs root: run it as root once: $*" >&2
        exit 1
    fi
}

# Servers installed for the tests must not start by themselves: the tests start their own.
no_start() {
    [ -e /usr/sbin/policy-rc.d ] || [ ! -d /usr/sbin ] || [ "$(id -u)" -ne 0 ] && return 0
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
}

if command -v apt-get > /dev/null; then
    missing=
    for p in $apt; do
        dpkg-query -W -f '${Status}' "$p" 2> /dev/null | grep -q 'ok installed' || missing="$missing $p"
    done
    if [ -z "$missing" ]; then
        echo "deps: everything is installed"
        exit 0
    fi
    echo "deps: installing$missing"
    no_start
    as_root apt-get update -qq
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing > /tmp/deps.$$ 2>&1 || {
        tail -n 20 /tmp/deps.$$ >&2
        rm -f /tmp/deps.$$
        exit 1
    }
    rm -f /tmp/deps.$$
    echo "deps: done"
elif command -v dnf > /dev/null; then
    echo "deps: installing with dnf"
    # shellcheck disable=SC2086
    as_root dnf install -y -q $dnf
else
    echo "deps: neither apt-get nor dnf here; install by hand: $apt" >&2
    exit 1
fi
