#!/bin/bash
# The acceptance test on a fresh Debian 12, made with debootstrap: tests/packaging/bookworm.sh BUILD [packages] [source] [check]
#
#   packages   installs the debs of BUILD/deb with apt; configures both daemons as docs/install.md says; runs them without
#              a service manager, then under a systemd booted in namespaces, sandbox and all; reload, wrong
#              configuration, crash, upgrade, removal, purge
#   source     clones this commit and runs README's first line, `sh packaging/deps.sh --run && make demo`, as root and then
#              as an ordinary user
#   check      README's second line, `sh packaging/deps.sh --tests && make check`, as root (not run unless named: long)
#
# Needs root, debootstrap and the distribution's mirror. The base system is kept in BUILD/bookworm.tar.
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- packages source
here=$top/tests/packaging
work=$(mktemp -d /var/tmp/bookworm.XXXXXX)
booted=
cleanup() {
    if [ -n "$booted" ]; then kill -KILL "$booted" 2> /dev/null || true; fi
    wait 2> /dev/null || true
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT
step() { echo "bookworm: $* ($((SECONDS / 60)) min $((SECONDS % 60)) s)"; }

# The machine's own mirror, so that this says no address of its own.
sources() {
    apt-get indextargets --format '$(LABEL) $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Identifier: Packages' |
        awk '$1 ~ /^Debian/ && $3 ~ /^bookworm/ { print "deb", $2, $3, $4 }' | sort -u
}

if [ ! -s "$build/bookworm.tar" ]; then
    step "bootstrapping"
    mirror=$(sources | awk '$3 == "bookworm" { print $2; exit }')
    debootstrap --variant=minbase bookworm "$work/base" "$mirror" > "$work/debootstrap.log" 2>&1 || {
        tail "$work/debootstrap.log"
        exit 1
    }
    tar -C "$work/base" --numeric-owner -cf "$build/bookworm.tar.new" .
    mv "$build/bookworm.tar.new" "$build/bookworm.tar"
    rm -rf "$work/base"
fi

fresh() { # fresh NAME: sets root
    root=$work/$1
    mkdir "$root"
    tar -C "$root" --numeric-owner -xf "$build/bookworm.tar"
    sources > "$root/etc/apt/sources.list"
    apt-config dump | grep -i '^Acquire::.*proxy' > "$root/etc/apt/apt.conf.d/90proxy" || true
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    echo fresh > "$root/etc/hostname"
    echo "127.0.0.1 localhost fresh" > "$root/etc/hosts"
    # Not to /tmp, which booting empties.
    cp "$here/inside.sh" "$top/docs/install.md" "$root/opt/"
}

# Runs a command in the root, in namespaces of its own: whatever it started ends with it.
within() {
    unshare --mount --pid --fork --kill-child --uts sh -c 'hostname fresh
        mount -t proc proc "$0/proc"
        exec chroot "$0" "$@"' "$root" "$@"
}

packages() {
    fresh packages
    mkdir "$root/opt/debs"
    find "$build/deb" -name '*.deb' ! -name '*-dbgsym_*' -exec cp {} "$root/opt/debs/" \;
    step "installing the packages"
    within sh /opt/inside.sh install
    within sh /opt/inside.sh configure
    step "running without a service manager"
    within sh /opt/inside.sh plain
    step "booting systemd"
    unshare --mount --pid --fork --kill-child --uts --ipc --cgroup sh "$here/boot.sh" "$root" > "$work/console.log" 2>&1 &
    booted=$!
    init=
    for _ in $(seq 40); do
        init=$(pgrep -P "$booted" || true)
        if [ -n "$init" ] && [ "$(cat "/proc/$init/comm")" = systemd ] &&
            nsenter -t "$init" -m -p -u -i systemctl is-system-running 2> /dev/null | grep -Eq 'running|degraded'; then break; fi
        sleep 0.5
    done
    booted_run() {
        nsenter -t "$init" -m -p -u -i -C sh /opt/inside.sh "$1" || {
            nsenter -t "$init" -m -p -u -i journalctl --no-pager -n 40 -o short -u 'securebase-*' || cat "$work/console.log"
            exit 1
        }
    }
    for s in systemd upgrade remove purge; do
        step "$s"
        booted_run $s
    done
    kill -KILL "$booted" && wait "$booted" 2> /dev/null || true
    booted=
    step "packages: good"
}

from_source() {
    fresh source
    within sh -c 'apt-get update -qq && apt-get install -y -qq --no-install-recommends git ca-certificates > /dev/null 2>&1'
    git clone -q --no-local "$top" "$root/root/securebase"
    step "README's line as root"
    within sh -c 'cd /root/securebase && sh packaging/deps.sh --run && DEMO_SECONDS=20 make -s demo' < /dev/null |
        tee "$work/root.log" | tail -n 25
    grep -q '^deps: done' "$work/root.log"
    step "and as an ordinary user"
    git clone -q --no-local "$top" "$root/home/securebase"
    within sh -c 'useradd -d /home tester && chown -R tester /home/securebase && cd /home/securebase &&
        exec runuser -u tester -- sh -c "sh packaging/deps.sh --run && DEMO_SECONDS=20 make -s demo"' < /dev/null |
        tee "$work/user.log" | tail -n 25
    grep -q '^deps: everything is installed' "$work/user.log"
    step "source: good"
}

# README's second line. The servers of the tests need /dev and /sys as any machine has them.
check() {
    fresh check
    within sh -c 'apt-get update -qq && apt-get install -y -qq --no-install-recommends git ca-certificates > /dev/null 2>&1'
    git clone -q --no-local "$top" "$root/root/securebase"
    step "README's second line as root"
    mkdir -p "$root/dev/pts" "$root/dev/shm"
    unshare --mount --pid --fork --kill-child --uts sh -c 'hostname fresh
        mount --bind "$0" "$0" && cd "$0" # so that / is a file system, as on any machine
        mount -t proc proc proc && mount --rbind /sys sys && mount --rbind /dev dev
        exec chroot "$0" sh -c "cd /root/securebase && sh packaging/deps.sh --tests && make check"' "$root" < /dev/null \
        > "$work/check.log" 2>&1 || {
        tail -n 60 "$work/check.log"
        exit 1
    }
    grep -E ' passed|faults|are good|^fuzzers' "$work/check.log"
    step "check: good"
}

for part in "$@"; do
    case $part in
    packages) packages ;;
    source) from_source ;;
    check) check ;;
    *)
        echo "bookworm: $part? packages, source or check" >&2
        exit 2
        ;;
    esac
done
