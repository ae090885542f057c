#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# fetch_kernel.sh SERIES: make a Debian kernel (image, modules, headers) of the
# series available without installing it, and print its folder. "newest" and
# "debug" are newest_kernel.sh's and debug_kernel.sh's.
#
# The packages come from the apt sources of the machine, so apt verifies their
# signatures and checksums. They are unpacked to a temporary folder that is
# renamed into place as the last step: a folder that exists is complete.
# The folder holds:
#   release   the kernel's release name
#   root/     the unpacked packages, with the headers' build tree usable there
set -euo pipefail

series=${1:?usage: fetch_kernel.sh 6.1|6.12|newest|debug}
cache=${DISKD_CACHE:-$HOME/.cache/diskd}/kernels

die() { echo "fetch_kernel.sh: $*" >&2; exit 1; }

case $series in
  6.1) pattern='^linux-image-6\.1\.0-[0-9]+-amd64$' kbuild=linux-kbuild-6.1 ;;
  6.12) pattern='^linux-image-6\.12\.[0-9]+\+deb12-amd64$' kbuild= ;;
  newest | debug) exec "$(dirname "$(readlink -f "$0")")/${series}_kernel.sh" ;;
  *) die "unknown kernel series '$series'; known: 6.1 6.12 newest debug" ;;
esac

# Newest first; only releases whose headers are published too.
find_release() {
  apt-cache search --names-only "$pattern" | cut -d' ' -f1 | sort -Vr |
    while read -r image; do
      release=${image#linux-image-}
      if apt-cache show "linux-headers-$release" >/dev/null 2>&1; then
        echo "$release"
        break
      fi
    done
}

verify() { # FOLDER: everything a test run needs is there
  local rel
  rel=$(cat "$1/release") &&
    [ -s "$1/root/boot/vmlinuz-$rel" ] &&
    [ -s "$1/root/lib/modules/$rel/modules.dep" ] &&
    [ -s "$1/root/usr/src/linux-headers-$rel/Module.symvers" ]
}

mkdir -p "$cache"
exec 9>"$cache/.lock-$series"
flock 9

release=$(find_release)
if [ -z "$release" ]; then
  apt-get update -q >&2 || true
  release=$(find_release)
fi
if [ -z "$release" ]; then
  # Without package lists (offline) an unpacked kernel is still good.
  have=$(ls -d "$cache/$series"-* 2>/dev/null | sort -V | tail -1)
  [ -n "$have" ] && verify "$have" && { echo "$have"; exit 0; }
  die "no package of the series $series is known to apt; run 'apt-get update'" \
      "with bookworm and bookworm-security among the sources"
fi

dest=$cache/$series-$release
if [ -d "$dest" ]; then
  verify "$dest" && { echo "$dest"; exit 0; }
  rm -rf "$dest"
fi

tmp=$(mktemp -d "$cache/.tmp-$series.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
common=linux-headers-${release%-amd64}-common
mkdir "$tmp/deb" "$tmp/root"
download() {
  (cd "$tmp/deb" &&
    apt-get download -q "linux-image-$release" "linux-headers-$release" \
      "$common" "${kbuild:-linux-kbuild-${release%-amd64}}" >&2)
}
# Package lists of last week may name a version that the mirror has replaced.
download || { apt-get update -q >&2 && download; } ||
  die "download of the $release packages failed; run 'apt-get update' and retry"
for deb in "$tmp"/deb/*.deb; do
  dpkg -x "$deb" "$tmp/root"
done
rm -rf "$tmp/deb"
depmod -b "$tmp/root" "$release"

# The packages name each other by absolute paths; make them relative to root/.
headers=$tmp/root/usr/src/linux-headers-$release
final=$dest/root
sed -i "s#/usr/src/#$final/usr/src/#g; s#/usr/lib/linux-kbuild#$final/usr/lib/linux-kbuild#g" \
  "$headers/Makefile"
find "$tmp/root/usr/src" "$tmp/root/lib/modules" -type l -lname "/usr/*" | while read -r link; do
  ln -sfn "$final$(readlink "$link")" "$link"
done
echo "$release" > "$tmp/release"
verify "$tmp" || die "the unpacked $release packages are incomplete"
mv "$tmp" "$dest"
trap - EXIT
echo "$dest"
