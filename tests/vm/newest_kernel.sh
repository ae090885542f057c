#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# newest_kernel.sh: make Debian's newest kernel (trixie-backports) available without installing it,
# and print its folder, which looks like fetch_kernel.sh's with one more file:
#   toolchain   the root folder of a trixie with the compiler that this kernel's modules need
#
# The trixie root is made once by debootstrap; its apt, with its own sources and keys, finds, checks
# and fetches the kernel. A folder that exists is complete.
set -euo pipefail
cache=${DISKD_CACHE:-$HOME/.cache/diskd}
mirror=${DISKD_DEBIAN_MIRROR:-http://deb.debian.org/debian}
root=$cache/toolchain-trixie
refresh_days=7
pattern='^linux-image-[0-9.]+\+deb13-amd64$'

die() { echo "newest_kernel.sh: $*" >&2; exit 1; }

mkdir -p "$cache/kernels"
exec 9>"$cache/.lock-newest"
flock 9

make_root() {
  local tmp
  command -v debootstrap >/dev/null || die "debootstrap is missing: apt-get install debootstrap"
  echo "newest_kernel.sh: making a trixie root with its compiler in $root, once" >&2
  tmp=$(mktemp -d "$cache/.tmp-trixie.XXXXXX")
  chmod 755 "$tmp"
  debootstrap --variant=minbase --include=gcc,make,pahole,libelf1t64 trixie "$tmp" "$mirror" \
    >"$cache/debootstrap.log" 2>&1 || { tail -5 "$cache/debootstrap.log" >&2; die "debootstrap failed"; }
  echo "deb $mirror trixie-backports main" >"$tmp/etc/apt/sources.list.d/backports.list"
  rm -f "$tmp"/var/cache/apt/archives/*.deb
  mv "$tmp" "$root"
}

in_root() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C "$@"; }

refresh() {
  cp -L /etc/resolv.conf /etc/hosts "$root/etc/" 2>/dev/null || true
  in_root apt-get update -q >&2 && touch "$root/.refreshed"
}

# Newest first; only releases whose headers are published too.
find_release() {
  in_root apt-cache search --names-only "$pattern" | cut -d' ' -f1 | sort -Vr |
    while read -r image; do
      release=${image#linux-image-}
      if in_root apt-cache show "linux-headers-$release" >/dev/null 2>&1; then
        echo "$release"
        break
      fi
    done
}

# The package and what of its dependencies is of the same release.
packages() {
  in_root apt-cache depends --important "linux-image-$release" "linux-headers-$release" |
    sed -n 's/.*Depends: \(linux-[a-z]*-'"${release%%+*}"'.*\)/\1/p' | sort -u
  printf '%s\n' "linux-image-$release" "linux-headers-$release"
}

[ -d "$root" ] || make_root
if [ -z "$(find "$root/.refreshed" -mtime -$refresh_days 2>/dev/null)" ]; then
  refresh || echo "newest_kernel.sh: no fresh package lists; going on with the old ones" >&2
fi
release=$(find_release)
[ -n "$release" ] || die "no kernel is known to the apt of $root"
dest=$cache/kernels/newest-$release
[ ! -d "$dest" ] || { echo "$dest"; exit 0; }

tmp=$(mktemp -d "$cache/kernels/.tmp-newest.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/root" "$tmp/deb"
download() {
  rm -rf "$root/deb" && mkdir "$root/deb" &&
    packages | in_root sh -c 'cd /deb && xargs apt-get download -q' >&2
}
download || { refresh && download; } || die "download of the $release packages failed"
for deb in "$root"/deb/*.deb; do
  dpkg -x "$deb" "$tmp/root"
done
rm -rf "$root/deb" "$tmp/deb"
# Modules are under /usr/lib here; depmod and modprobe of a merged system expect /lib.
if [ -d "$tmp/root/usr/lib/modules" ]; then
  mkdir -p "$tmp/root/lib"
  ln -s ../usr/lib/modules "$tmp/root/lib/modules"
fi
[ -e "$tmp/root/boot/vmlinuz-$release" ] ||
  { mkdir -p "$tmp/root/boot" &&
    cp "$tmp/root/usr/lib/modules/$release/vmlinuz" "$tmp/root/boot/vmlinuz-$release"; } ||
  die "no vmlinuz in the packages of $release"
depmod -b "$tmp/root" "$release"

final=$dest/root
headers=$tmp/root/usr/src/linux-headers-$release
sed -i "s#/usr/src/#$final/usr/src/#g; s#/usr/lib/linux-kbuild#$final/usr/lib/linux-kbuild#g" \
  "$headers/Makefile"
find "$tmp/root/usr/src" "$tmp/root/lib/modules/" -type l -lname "/usr/*" | while read -r link; do
  ln -sfn "$final$(readlink "$link")" "$link"
done
echo "$release" >"$tmp/release"
echo "$root" >"$tmp/toolchain"
[ -s "$headers/Module.symvers" ] && [ -s "$tmp/root/lib/modules/$release/modules.dep" ] ||
  die "the unpacked $release packages are incomplete"
mv "$tmp" "$dest"
trap - EXIT
echo "$dest"
