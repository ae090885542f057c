#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# make_deb.sh OUT: makes OUT/buse-dkms_VERSION_all.deb, the module's source for DKMS, and prints
# its path. The same tree gives the same package.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
mkdir -p "$1"
out=$(readlink -f "$1")
version=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"$/\1/p' dkms.conf)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH

root=$(mktemp -d "$out/.deb.XXXXXX")
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
source=$root/usr/src/buse-$version
doc=$root/usr/share/doc/buse-dkms
mkdir -p "$source/src" "$source/uapi" "$doc" "$root/DEBIAN"
cp Makefile dkms.conf probe.sh LICENSE "$source/"
cp src/*.c src/*.h src/Kbuild "$source/src/"
rm -f "$source/src/probes.h" "$source"/src/*.mod.c
cp uapi/buse.h "$source/uapi/"
for rules in *.rules; do
  [ -e "$rules" ] || continue
  mkdir -p "$root/lib/udev/rules.d"
  cp "$rules" "$root/lib/udev/rules.d/"
done
cat >"$doc/copyright" <<TXT
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: diskd

Files: *
Copyright: The diskd authors
License: GPL-2
 On Debian systems the text of the GNU General Public License version 2 is in
 /usr/share/common-licenses/GPL-2.
TXT
cat >"$root/DEBIAN/control" <<TXT
Package: buse-dkms
Version: $version
Architecture: all
Maintainer: The diskd authors <diskd@localhost>
Section: kernel
Priority: optional
Depends: dkms
Description: block devices served by processes, module source for DKMS
 The buse kernel module lets ordinary processes serve block devices through
 shared rings. A server may die and be replaced while its disk is in use.
TXT
cat >"$root/DEBIAN/postinst" <<TXT
#!/bin/sh
set -e
if [ "\$1" = configure ]; then
  /usr/lib/dkms/common.postinst buse $version /usr/share/buse-dkms "" "\$2"
fi
TXT
cat >"$root/DEBIAN/prerm" <<TXT
#!/bin/sh
set -e
case "\$1" in
  remove | upgrade | deconfigure)
    dkms remove -m buse -v $version --all || true
    ;;
esac
TXT
chmod 755 "$root/DEBIAN/postinst" "$root/DEBIAN/prerm"
find "$root" -type f ! -path '*/DEBIAN/*' ! -name '*.sh' -exec chmod 644 {} +
find "$root" -type d -exec chmod 755 {} +
(cd "$root" && find . -path ./DEBIAN -prune -o -type f -printf '%P\n' | sort | xargs md5sum >DEBIAN/md5sums)
dpkg-deb --root-owner-group -Zxz -b "$root" "$out/buse-dkms_${version}_all.deb" >&2
echo "$out/buse-dkms_${version}_all.deb"
