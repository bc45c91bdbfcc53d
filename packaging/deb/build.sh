#!/bin/sh
# Packs the programs in BUILD: packaging/deb/build.sh BUILD VERSION
# writes BUILD/deb/securebase-{agent,aggregator,sbctl}_VERSION_ARCH.deb and their debugging symbols. The same commit and the
# same compiler give the same bytes: every time stamp is that of the commit.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "$1" && pwd) version=$2
[ -n "$version" ] || {
    echo "deb: CHANGELOG.md names no version" >&2
    exit 1
}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$top" log -1 --format=%ct 2> /dev/null || stat -c %Y "$top/CHANGELOG.md")}
export SOURCE_DATE_EPOCH TOP="$top" PROGRAMS="$build"

out=$build/deb tree=$build/deb/securebase-$version
rm -rf "$out"
mkdir -p "$tree"
cp -R "$top/packaging/deb/debian" "$tree/debian"

# debian/changelog: this release, each paragraph of CHANGELOG.md an item.
{
    printf 'securebase (%s) unstable; urgency=medium\n\n' "$version"
    awk '/^## / { n++; next } n == 1' "$top/CHANGELOG.md" |
        awk -v RS= '{ gsub(/\n(- |\* )?/, " "); sub(/^(- |\* )/, ""); print }' | fold -s -w 74 |
        awk '{ sub(/ +$/, ""); print (begun ? "    " : "  * ") $0; begun = $0 !~ /[.:]$/ }'
    printf '\n -- SecureBase Monitor <packages@securebase.example>  %s\n' "$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")"
} > "$tree/debian/changelog"

cd "$tree"
dpkg-buildpackage -b -us -uc -d > "$out/build.log" 2>&1 || {
    tail -n 30 "$out/build.log" >&2
    exit 1
}
grep -E '^(dpkg-shlibdeps|dh[a-z_]*): (warning|error)' "$out/build.log" >&2 || true
cd "$out"
rm -rf "$tree"
for f in *.deb; do echo "deb: $out/$f"; done
