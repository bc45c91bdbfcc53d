#!/bin/sh
# Makes a development authority and certificates, for the demo, the tests and a first try. Not for production: the
# authority's key lies unencrypted beside the certificates (docs/install.md says how to keep a real one).
#
#   packaging/devca.sh [-v] [-d DAYS] DIR NAME…
#
#   agent:ID            DIR/agent-ID.pem, .key    client, URI SAN securebase://agent/ID
#   role:ROLE           DIR/role-ROLE.pem, .key   client, URI SAN securebase://role/ROLE
#   ID+ROLE             as in agent:a1+role:relay DIR/agent-a1+role-relay.pem: several identities in one certificate
#   server:HOST,IP,…    DIR/server.pem, .key      server; "server-west:…" writes DIR/server-west.pem, .key
#
# and DIR/ca.pem, DIR/ca.key. Keys are EC P-256, mode 0600, the folder 0700 when it is made here. Idempotent: what is
# there, belongs to the authority there, and will hold for another day is kept; a name asked for again with other hosts
# is made anew. Prints nothing unless -v or something is wrong. An aggregator that speaks to its peers uses its server
# certificate for listening only; for calling it takes role:peer.
set -euf
umask 077

usage() {
    sed -n '5s/^# *//p' "$0" >&2
    exit 2
}
verbose=0 days=825
while getopts vd: o; do
    case $o in
    v) verbose=1 ;;
    d) days=$OPTARG ;;
    *) usage ;;
    esac
done
shift $((OPTIND - 1))
[ $# -ge 1 ] || usage
case $days in *[!0-9]* | '') usage ;; esac
dir=$1
shift
mkdir -p "$dir"

die() {
    echo "devca: $*" >&2
    exit 1
}
# OpenSSL is loud on stderr when all is well, so its words are kept back until it fails.
quietly() {
    "$@" > "$dir/.openssl.log" 2>&1 || {
        cat "$dir/.openssl.log" >&2
        die "$1 $2 failed"
    }
    rm -f "$dir/.openssl.log"
}
made() { [ "$verbose" -eq 0 ] || echo "devca: wrote $1"; }

# Two callers at once (tests that run in parallel) take turns; the one who comes second finds the work done.
exec 9> "$dir/.lock"
if command -v flock > /dev/null; then flock 9; fi

if ! { [ -s "$dir/ca.key" ] && openssl x509 -in "$dir/ca.pem" -noout -checkend 86400; } > /dev/null 2>&1; then
    quietly openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$dir/ca.key"
    quietly openssl req -x509 -new -key "$dir/ca.key" -sha256 -days 3650 -subj "/CN=SecureBase development CA" \
        -addext "keyUsage=critical,keyCertSign,cRLSign" -addext "subjectKeyIdentifier=hash" -out "$dir/ca.pem"
    made "$dir/ca.pem"
fi

# issue FILE CN USAGE SAN; a CN is at most 64 long (RFC 5280, ub-common-name), an identity in the SAN may be longer
issue() {
    file=$dir/$1
    printf '%s\n' "subjectAltName=$4" "extendedKeyUsage=$3" "basicConstraints=critical,CA:FALSE" \
        "keyUsage=critical,digitalSignature" "subjectKeyIdentifier=hash" "authorityKeyIdentifier=keyid" > "$file.ext.new"
    if [ -s "$file.key" ] && cmp -s "$file.ext.new" "$file.ext" &&
        openssl x509 -in "$file.pem" -noout -checkend 86400 > /dev/null 2>&1 &&
        openssl verify -CAfile "$dir/ca.pem" "$file.pem" > /dev/null 2>&1; then
        rm -f "$file.ext.new"
        return 0
    fi
    quietly openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$file.key"
    quietly openssl req -new -key "$file.key" -subj "/CN=$(printf %.64s "$2")" -out "$file.csr"
    quietly openssl x509 -req -in "$file.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -sha256 -days "$days" \
        -set_serial "0x$(openssl rand -hex 16 | sed 's/^[89a-f]/1/')" -extfile "$file.ext.new" -out "$file.pem"
    rm -f "$file.csr"
    mv "$file.ext.new" "$file.ext"
    made "$file.pem"
}

# The URI SANs of agent:ID or role:ROLE, several joined by '+'. A comma would begin another SAN, so it is refused.
uris() {
    old=$IFS
    IFS=+
    # shellcheck disable=SC2086
    set -- $1
    IFS=$old
    out=
    for i in "$@"; do
        case $i in
        agent:?* | role:relay | role:peer | role:operator | role:viewer) ;;
        *) die "no identity: $i (agent:ID, role:relay, role:peer, role:operator, role:viewer)" ;;
        esac
        out=$out${out:+,}URI:securebase://${i%%:*}/${i#*:}
    done
    printf '%s' "$out"
}
hosts() {
    old=$IFS
    IFS=,
    # shellcheck disable=SC2086
    set -- $1
    IFS=$old
    out=
    for h in "$@"; do
        case $h in
        *:* | *[0-9].*[0-9]) case $h in *[!0-9a-fA-F:.]*) kind=DNS ;; *) kind=IP ;; esac ;;
        *) kind=DNS ;;
        esac
        out=$out${out:+,}$kind:$h
    done
    printf '%s' "$out"
}

for name in "$@"; do
    case $name in
    */* | *' '*) die "a name may not hold '/' or a space: $name" ;;
    server:?* | server-[!:]*:?*)
        san=$(hosts "${name#*:}")
        first=${name#*:}
        issue "${name%%:*}" "${first%%,*}" serverAuth "$san"
        ;;
    agent:*,* | role:*,*) die "an identity may not hold a comma: $name" ;;
    agent:?* | role:?*)
        san=$(uris "$name")
        cn=${name%%+*}
        issue "$(printf '%s' "$name" | tr : -)" "${cn#*:}" clientAuth "$san"
        ;;
    *) die "what is $name? agent:ID, role:ROLE or server:HOST,IP" ;;
    esac
done
