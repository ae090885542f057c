#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# lint.sh OUT: sparse and the kernel's checkpatch over the module; prints what they find.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
out=$1
cache=${DISKD_CACHE:-$HOME/.cache/diskd}
package=linux-source-6.12
# YIELD: ENTER yields once on purpose, see buse_enter().
ignore=YIELD

die() { echo "lint.sh: $*" >&2; exit 1; }

# checkpatch.pl and the word lists it reads, out of Debian's kernel source.
fetch_checkpatch() {
  local version dest tmp
  version=$(apt-cache show $package 2>/dev/null | sed -n 's/^Version: //p' | sort -Vr | head -1)
  dest=$(compgen -G "$cache/checkpatch-${version:-*}" | sort -V | tail -1) || true
  if [ -z "$dest" ]; then
    [ -n "$version" ] || die "no package $package is known to apt; run 'apt-get update'"
    dest=$cache/checkpatch-$version
    mkdir -p "$cache"
    tmp=$(mktemp -d "$cache/.tmp-checkpatch.XXXXXX")
    (cd "$tmp" && { apt-get download -q "$package=$version" ||
      { apt-get update -q && apt-get download -q "$package"; }; }) >&2 ||
      die "download of $package failed"
    dpkg --fsys-tarfile "$tmp"/*.deb | tar -xO "./usr/src/$package.tar.xz" |
      tar -xJ -C "$tmp" --strip-components=1 "$package/scripts/checkpatch.pl" \
        "$package/scripts/spelling.txt" "$package/scripts/const_structs.checkpatch"
    rm -f "$tmp"/*.deb
    mv "$tmp" "$dest"
  fi
  echo "$dest"
}

kernel_dir=$(./fetch_kernel.sh 6.12)
rm -rf "$out"
mkdir -p "$(dirname "$out")"
./make_module.sh "$kernel_dir" "$out" ../../kernel C=2 CF=-D__CHECK_ENDIAN__ >"$out.log" 2>&1 ||
  { cat "$out.log" >&2; die "the module does not build"; }
rc=0
if grep -E 'warning:|error:' "$out.log"; then
  rc=1
fi
checkpatch=$(fetch_checkpatch)
git ls-files ../../kernel planted ':!../../kernel/example' | grep -E '\.[ch]$' |
  xargs perl "$checkpatch/scripts/checkpatch.pl" --no-tree --no-summary --terse --show-types \
    --ignore "$ignore" --file || rc=1
[ $rc != 0 ] || echo "sparse and checkpatch: nothing"
exit $rc
