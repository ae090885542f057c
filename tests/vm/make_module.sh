#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# make_module.sh KERNEL_DIR OUT [SOURCE] [make arguments]: builds the module in SOURCE (a folder with
# our Makefile; default: kernel/) for a kernel of fetch_kernel.sh into OUT, with the compiler that
# this kernel needs.
set -euo pipefail
kernel_dir=$1
mkdir -p "$2"
out=$(readlink -f "$2")
source=$(readlink -f "${3:-$(dirname "$(readlink -f "$0")")/../../kernel}")
shift $(($# < 3 ? $# : 3))
release=$(cat "$kernel_dir/release")
arguments=(-s -j "$(nproc)" -C "$source" KDIR="$kernel_dir/root/usr/src/linux-headers-$release" O="$out" CC=gcc "$@")
if [ ! -e "$kernel_dir/toolchain" ]; then
  exec make "${arguments[@]}"
fi
# The folders have the same names inside; the mounts end with the process.
root=$(cat "$kernel_dir/toolchain")
export root kernel_dir out source
# shellcheck disable=SC2016
exec unshare -m --propagation private bash -ec '
  mount -t proc proc "$root/proc"
  for folder in "$kernel_dir" "$source" "$out"; do
    mkdir -p "$root$folder"
    mount --bind "$folder" "$root$folder"
  done
  exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C make "$@"
' make "${arguments[@]}"
