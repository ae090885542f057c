#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# deb_test.sh OUT: the DKMS package holds what DKMS needs, and its tree builds the way DKMS builds.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
out=$1
fail() { echo "FAIL: $*" >&2; exit 1; }

rm -rf "$out"
deb=$(../../kernel/make_deb.sh "$out")
[ "$(dpkg-deb -f "$deb" Package)" = buse-dkms ] || fail "package name"
[ "$(dpkg-deb -f "$deb" Depends)" = dkms ] || fail "it does not depend on dkms"
version=$(dpkg-deb -f "$deb" Version)
project=$(sed -n 's/.*project(diskd.* VERSION \([0-9.]*\).*/\1/p' ../../CMakeLists.txt)
[ "$version" = "$project" ] || fail "version $version of dkms.conf, $project of CMakeLists.txt"

dpkg-deb -R "$deb" "$out/root"
tree=$out/root/usr/src/buse-$version
for file in Makefile dkms.conf probe.sh src/Kbuild src/main.c uapi/buse.h LICENSE; do
  [ -s "$tree/$file" ] || fail "no $file in the package"
done
[ -x "$tree/probe.sh" ] || fail "probe.sh is not executable"
(cd ../../kernel && git ls-files src uapi) | while read -r file; do
  cmp "../../kernel/$file" "$tree/$file" || fail "$file"
done
extra=$(find "$tree" -type f ! -name '*.[ch]' -printf '%P\n' | sort | tr '\n' ' ')
[ "$extra" = "LICENSE Makefile dkms.conf probe.sh src/Kbuild " ] || fail "files: $extra"
for script in postinst prerm; do
  sh -n "$out/root/DEBIAN/$script" || fail "$script"
done
(cd "$out/root" && md5sum --quiet -c DEBIAN/md5sums) || fail "md5sums"

# What dkms does: source dkms.conf with these variables set, then run MAKE[0] in the tree.
kernel_dir=$(./fetch_kernel.sh 6.12)
release=$(cat "$kernel_dir/release")
export kernel_source_dir=$kernel_dir/root/usr/src/linux-headers-$release
build() {
  local MAKE CLEAN BUILT_MODULE_NAME BUILT_MODULE_LOCATION
  # shellcheck source=/dev/null
  . "$tree/dkms.conf"
  (cd "$tree" && eval "${MAKE[0]}") >"$out/build.log" 2>&1 || { cat "$out/build.log"; fail "build"; }
  [ -s "$tree/${BUILT_MODULE_LOCATION[0]}/${BUILT_MODULE_NAME[0]}.ko" ] || fail "no module"
  modinfo -F vermagic "$tree/${BUILT_MODULE_LOCATION[0]}/${BUILT_MODULE_NAME[0]}.ko" |
    grep -q "^$release " || fail "built for another kernel"
  (cd "$tree" && eval "$CLEAN") >>"$out/build.log" 2>&1 || fail "clean"
  [ ! -e "$tree/src/buse.ko" ] || fail "clean leaves the module"
}
build
echo "$(basename "$deb"): files and build for $release are right"
