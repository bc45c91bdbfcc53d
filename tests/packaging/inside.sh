#!/bin/sh
# What bookworm.sh runs inside the fresh machine: inside.sh STEP. Each step ends with status 0 or says what is wrong.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

die() {
    echo "inside: $*" >&2
    exit 1
}
is() { # is WHAT FOUND EXPECTED
    [ "$2" = "$3" ] || die "$1: found \"$2\", expected \"$3\""
}
# until SECONDS WHAT COMMAND…: tries twice a second.
until_true() {
    tries=$(($1 * 2)) what=$2
    shift 2
    while ! "$@" > /tmp/until.log 2>&1; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || {
            cat /tmp/until.log >&2
            die "$what did not come true"
        }
        sleep 0.5
    done
}
agent_is_up() { sbctl --json agents | grep -q '"up": *true'; }
prop() { systemctl show -P "$2" "securebase-$1"; }

# The configuration of docs/install.md, with this machine's name in it.
block() { awk -v n="$1" '/^```ini/ { i++; on = i == n; next } /^```/ { on = 0 } on' /opt/install.md | sed 's/aggregator\.example/localhost/'; }

case $1 in
install)
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends openssl procps /opt/debs/*.deb > /tmp/install.log 2>&1 || {
        tail -n 30 /tmp/install.log >&2
        die "apt cannot install the packages"
    }
    grep -q 'not (re)started: edit /etc/securebase/agent.ini' /tmp/install.log || die "nobody said what is to be done next"
    for d in agent aggregator; do
        status=0
        "securebase-$d" --check-config > /dev/null 2>&1 || status=$?
        is "$d as shipped" $status 78
        is "/var/lib/securebase/$d" "$(stat -c %a "/var/lib/securebase/$d")" 750
        [ -L "/etc/systemd/system/multi-user.target.wants/securebase-$d.service" ] || die "$d is not enabled"
    done
    ;;
configure)
    cd /etc/securebase
    /usr/share/securebase/devca.sh tls server:localhost,127.0.0.1 "agent:$(hostname)"
    mv "tls/agent-$(hostname).pem" tls/agent.pem
    mv "tls/agent-$(hostname).key" tls/agent.key
    chmod 0755 tls
    chmod 0644 tls/*.pem
    chgrp securebase tls/server.key
    chgrp securebase-agent tls/agent.key
    chmod 0640 tls/server.key tls/agent.key
    block 1 > aggregator.ini
    block 2 > agent.ini
    securebase-aggregator --check-config
    securebase-agent --check-config
    ;;
plain) # without a service manager
    setpriv --reuid securebase --regid securebase --init-groups securebase-aggregator > /tmp/aggregator.log 2>&1 &
    aggregator=$!
    setpriv --reuid securebase-agent --regid securebase-agent --init-groups securebase-agent > /tmp/agent.log 2>&1 &
    agent=$!
    until_true 40 "the agent in sbctl agents" agent_is_up || {
        tail /tmp/aggregator.log /tmp/agent.log >&2
        exit 1
    }
    sbctl agents
    for pid in $agent $aggregator; do
        kill -TERM "$pid"
        status=0
        wait "$pid" || status=$?
        is "status after TERM" $status 0
    done
    ;;
systemd) # in the booted machine
    until_true 40 "both units active" systemctl is-active securebase-agent securebase-aggregator
    until_true 40 "the agent in sbctl agents" agent_is_up
    sbctl agents
    for d in agent aggregator; do
        pid=$(prop $d MainPID)
        is "$d runs as" "$(ps -o user:32= -p "$pid" | tr -d ' ')" "$([ $d = agent ] && echo securebase-agent || echo securebase)"
        grep -q '^NoNewPrivs:.*1' "/proc/$pid/status" || die "$d may gain privileges"
        grep -q '^CapEff:.*0000000000000000' "/proc/$pid/status" || die "$d has capabilities"
        grep -q '^Seccomp:.*2' "/proc/$pid/status" || die "$d has no filter of system calls"

        systemctl reload "securebase-$d" || die "$d does not reload"
        is "$d after reload" "$(prop $d MainPID)" "$pid"

        # A wrong configuration: reload refuses and the old one goes on; a restart fails once, and is not tried again.
        cp "/etc/securebase/$d.ini" /tmp/good.ini
        echo "[nonsense]" >> "/etc/securebase/$d.ini"
        ! systemctl reload "securebase-$d" 2> /dev/null || die "$d reloads a wrong configuration"
        is "$d after a refused reload" "$(prop $d ActiveState) $(prop $d MainPID)" "active $pid"
        ! systemctl restart "securebase-$d" 2> /dev/null || die "$d starts with a wrong configuration"
        sleep 7
        is "$d with a wrong configuration" "$(prop $d ActiveState) $(prop $d ExecMainStatus) $(prop $d NRestarts)" "failed 78 0"
        cp /tmp/good.ini "/etc/securebase/$d.ini"
        systemctl start "securebase-$d"

        # Killed, it is back by itself.
        pid=$(prop $d MainPID)
        kill -KILL "$pid"
        until_true 20 "$d is back after KILL" sh -c "[ \$(systemctl show -P MainPID securebase-$d) != $pid ] &&
            systemctl is-active securebase-$d"
    done
    until_true 60 "the agent is there again" agent_is_up

    # The sandbox shows file systems as mounted for reading only; the agent has to say how they are for all others.
    nsenter -t "$(prop agent MainPID)" -m securebase-agent --test filesystem |
        grep -Eq '^node_filesystem_readonly\{.*mountpoint="/"\} 0$' || die "the agent takes its sandbox for the machine"

    ;;
upgrade) # in the booted machine: the same version again restarts what runs
    agent=$(prop agent MainPID)
    systemctl stop securebase-aggregator
    apt-get install -y -qq --reinstall --no-install-recommends /opt/debs/*.deb > /tmp/upgrade.log 2>&1 || {
        tail -n 30 /tmp/upgrade.log >&2
        die "apt cannot upgrade"
    }
    [ "$(prop agent MainPID)" != "$agent" ] || die "the agent was not restarted"
    is "the agent after an upgrade" "$(prop agent ActiveState)" active
    is "an aggregator that was stopped" "$(prop aggregator ActiveState)" inactive
    grep -q localhost /etc/securebase/agent.ini || die "the upgrade changed agent.ini"
    ;;
remove)
    apt-get remove -y -qq 'securebase-*' > /dev/null 2>&1
    is "the agent after removal" "$(pgrep -c securebase || true)" 0
    [ -s /etc/securebase/agent.ini ] || die "removal took the configuration"
    [ -n "$(ls -A /var/lib/securebase/aggregator)" ] || die "removal took the state"
    ;;
purge)
    apt-get purge -y -qq 'securebase-*' > /dev/null 2>&1
    rm -rf /etc/securebase/tls # ours
    rmdir /etc/securebase 2> /dev/null || true
    # journald's files name units inside, not in their paths; dpkg and deb-systemd-helper must have forgotten too.
    left=$(find / -xdev \( -path /proc -o -path /opt -o -path /sys \) -prune -o -iname '*securebase*' -print)
    is "what is left" "$left" ""
    is "users" "$(grep -c '^securebase' /etc/passwd)" 2
    ;;
esac
