#!/bin/sh
# Builds the rpms from a tarball of the tree: packaging/rpm/build.sh BUILD VERSION
# writes BUILD/rpm/securebase-{agent,aggregator,sbctl}-VERSION-1.ARCH.rpm. On Debian too, hence --nodeps there: the
# libraries are installed, but no rpm database knows of them. Every time stamp is that of the last commit.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1"
build=$(cd "$1" && pwd) version=$2
[ -n "$version" ] || {
    echo "rpm: CHANGELOG.md names no version" >&2
    exit 1
}
cd "$top"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2> /dev/null || stat -c %Y CHANGELOG.md)}
export SOURCE_DATE_EPOCH
revision=$(git rev-parse --short=12 HEAD 2> /dev/null || echo unknown)

out=$build/rpm
rm -rf "$out"
mkdir -p "$out/SOURCES"
{ git ls-files -z --cached --others --exclude-standard 2> /dev/null || find . -type f ! -path './build*' -print0; } |
    tar --null --no-recursion -T - --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
        --transform="s|^|securebase-$version/|" -cf - | gzip -n > "$out/SOURCES/securebase-$version.tar.gz"
cp packaging/rpm/macros.fallback "$out/SOURCES/"

nodeps=
rpm -q systemd-rpm-macros > /dev/null 2>&1 || nodeps=--nodeps
# shellcheck disable=SC2086
rpmbuild -bb $nodeps --define "_topdir $out" --define "_version $version" --define "_revision $revision" \
    --define "_rpmdir $out" --define "_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm" \
    packaging/rpm/securebase.spec > "$out/build.log" 2>&1 || {
    tail -n 30 "$out/build.log" >&2
    exit 1
}
rm -rf "$out/BUILD" "$out/BUILDROOT" "$out/SRPMS" "$out/SPECS"
for f in "$out"/*.rpm; do echo "rpm: $f"; done
