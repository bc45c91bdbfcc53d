#!/bin/sh
# Installs what packaging/files.list names.
#
#   packaging/install.sh [--list] BUILD DESTDIR PREFIX [PACKAGE…]    packages: agent, aggregator, sbctl; all unless named
#
# --list installs nothing and prints "MODE DESTINATION" of each file, and "dir DESTINATION" of each empty folder.
# UNIT, ZSH and MAN in the environment move the folders of systemd units, zsh completions and manual pages; they stand
# below DESTDIR too. /etc is /etc whatever the prefix, as the programs look there. A file in DESTDIR/etc that exists is
# kept as it is: what would have been installed lies beside it as FILE.new when it differs.
set -euf
umask 022

list=
if [ "${1-}" = --list ]; then
    list=yes
    shift
fi
[ $# -ge 3 ] || {
    sed -n '4s/^# *//p' "$0" >&2
    exit 2
}
build=$1 destdir=$2 prefix=${3%/}
shift 3
packages=" ${*:-agent aggregator sbctl} "
case $destdir in '' | /*) ;; *) destdir=$PWD/$destdir ;; esac
case $build in /*) ;; *) build=$PWD/$build ;; esac
cd "$(dirname "$0")/.."

place() {
    printf '%s\n' "$1" | sed \
        -e "s|@BUILD@|$build|" -e "s|@BIN@|$prefix/bin|" -e "s|@LIB@|$prefix/lib|" -e "s|@SHARE@|$prefix/share|" \
        -e "s|@UNIT@|${UNIT:-$prefix/lib/systemd/system}|" -e "s|@MAN@|${MAN:-$prefix/share/man}|" \
        -e "s|@BASH@|$prefix/share/bash-completion/completions|" \
        -e "s|@ZSH@|${ZSH:-$prefix/share/zsh/site-functions}|" -e "s|@ETC@|/etc|"
}

# put MODE SOURCE DESTINATION
put() {
    [ -z "$list" ] || {
        echo "$1 $3"
        return 0
    }
    to=$destdir$3
    mkdir -p "$(dirname "$to")"
    case $3 in
    /etc/*)
        if [ -e "$to" ]; then
            rm -f "$to.new"
            cmp -s "$2" "$to" && return 0
            echo "install: $to is there and is kept; the new one is $to.new"
            to=$to.new
        fi
        ;;
    esac
    install -m "$1" "$2" "$to"
    # Units name the programs by their place, and systemd wants whole paths.
    case $3 in *.service) sed -i "s|=/usr/bin/|=$prefix/bin/|" "$to" ;; esac
}

while read -r package mode source destination; do
    case $package in '' | '#'*) continue ;; esac
    case $packages in *" $package "*) ;; *) continue ;; esac
    source=$(place "$source")
    destination=$(place "$destination")
    if [ "$mode" = dir ]; then
        if [ -n "$list" ]; then echo "dir $destination"; else mkdir -p "$destdir$destination"; fi
        continue
    fi
    case $source in
    *'*'*)
        set +f
        for f in $source; do
            put "$mode" "$f" "$destination/${f##*/}"
        done
        set -f
        ;;
    *) put "$mode" "$source" "$destination" ;;
    esac
done < packaging/files.list
