#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# debug_kernel.sh: build Debian's 6.12 source with KASAN, PROVE_LOCKING and fault injection
# (debug.config over tinyconfig; about 15 minutes of CPU time, once), and print its folder, which
# looks like fetch_kernel.sh's. A folder that exists is complete; another version of the source or
# another configuration makes another folder.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
cache=${DISKD_CACHE:-$HOME/.cache/diskd}/kernels
config=$here/debug.config
package=linux-source-6.12
# Without these in the merged configuration the kernel would find nothing.
needed="KASAN KASAN_VMALLOC PROVE_LOCKING DEBUG_ATOMIC_SLEEP FAILSLAB EXT4_FS XFS_FS 9P_FS OVERLAY_FS"
needed+=" SYSVIPC IO_URING CGROUPS EFI_PARTITION MODULE_UNLOAD SWAP"

die() { echo "debug_kernel.sh: $*" >&2; exit 1; }

mkdir -p "$cache"
exec 9>"$cache/.lock-debug"
flock 9

find_version() { apt-cache show "$package" 2>/dev/null | sed -n 's/^Version: //p' | sort -Vr | head -1; }
key=$(sha256sum "$config" | cut -c1-12)
version=$(find_version)
if [ -z "$version" ]; then
  apt-get update -q >&2 || true
  version=$(find_version)
fi
if [ -z "$version" ]; then
  have=$(compgen -G "$cache/debug-*-$key" | sort -V | tail -1) || true
  [ -n "$have" ] || die "no package $package is known to apt; run 'apt-get update' with" \
    "bookworm-security among the sources"
  echo "$have"
  exit 0
fi
dest=$cache/debug-$version-$key
[ ! -d "$dest" ] || { echo "$dest"; exit 0; }

# The build knows its folder by absolute paths, so it happens in a fixed place; a build that was
# interrupted goes on there.
work=$dest.building
mkdir -p "$work/deb" "$work/root/boot"
echo "debug_kernel.sh: building $package $version with $(basename "$config"), once" >&2
if [ ! -e "$work/unpacked" ]; then
  (cd "$work/deb" && { apt-get download -q "$package=$version" >&2 ||
    { apt-get update -q >&2 && apt-get download -q "$package=$version" >&2; }; }) ||
    die "download of $package $version failed; run 'apt-get update' and retry"
  dpkg -x "$work"/deb/*.deb "$work/deb/root"
  tar -xf "$work/deb/root/usr/src/$package.tar.xz" -C "$work"
  mv "$work/$package" "$work/source"
  rm -rf "$work/deb"
  touch "$work/unpacked"
fi

# In the source tree: modules then need no second tree.
cd "$work/source"
if [ ! -e "$work/configured" ]; then
  {
    make -s tinyconfig
    scripts/kconfig/merge_config.sh -m .config "$config"
    make -s olddefconfig
  } >"$work/config.log" 2>&1 || { tail -20 "$work/config.log" >&2; die "configuration failed"; }
  touch "$work/configured"
fi
for option in $needed; do
  grep -q "^CONFIG_$option=y" .config || die "CONFIG_$option got lost in the merged configuration"
done
make -s -j "${DISKD_JOBS:-$(nproc)}" vmlinux modules >"$work/build.log" 2>&1 ||
  { tail -20 "$work/build.log" >&2; die "build failed, see $work/build.log"; }

release=$(make -s kernelrelease)
# QEMU boots the ELF file itself (PVH); packing and unpacking it would take minutes.
strip -o "$work/root/boot/vmlinuz-$release" vmlinux
make -s INSTALL_MOD_PATH="$work/root" modules_install >>"$work/build.log" 2>&1
rm -f "$work/root/lib/modules/$release/build" "$work/root/lib/modules/$release/source"
mkdir -p "$work/root/usr/src"
ln -sfn ../../../source "$work/root/usr/src/linux-headers-$release"
depmod -b "$work/root" "$release"
# Modules need the headers, scripts and objtool, not the objects.
find . -path ./scripts -prune -o -path ./tools -prune -o \
  \( -name '*.o' -o -name '*.a' -o -name '*.cmd' -o -name vmlinux \) -type f -print0 |
  xargs -0 rm -f
rm -f "$work/unpacked" "$work/configured"
echo "$release" >"$work/release"
mv "$work" "$dest"
echo "$dest"
