// SPDX-License-Identifier: Apache-2.0
/*
 * fsx SEED OPERATIONS PATH [BYTES]: random operations on a file or a disk against a model in memory:
 * reads, writes, mapped reads and writes, fsync, truncate and holes (files), discard and zeroing
 * (disks), direct and cached. Every read has to match; at the end everything is compared once more.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { kMaxOperation = 256 << 10, kBlock = 4096 };

static uint64_t state;
static int cached, direct;
static bool disk;
static char *model, *buffer;
static uint64_t size, limit, operation;

static uint64_t below(uint64_t bound) {
  state = state * 6364136223846793005ull + 1442695040888963407ull;
  return (state >> 24) % bound;
}

static void fail(const char* what, uint64_t offset, uint64_t length) {
  fprintf(stderr, "fsx: operation %lu: %s at %lu, %lu bytes: %s\n", operation, what, offset, length,
          strerror(errno));
  exit(1);
}

static void compare(const char* what, const char* data, uint64_t offset, uint64_t length) {
  for (uint64_t i = 0; i < length; i++) {
    if (data[i] == model[offset + i]) continue;
    fprintf(stderr, "fsx: operation %lu: %s at %lu, %lu bytes: byte %lu is %02x, not %02x\n",
            operation, what, offset, length, offset + i, data[i] & 255, model[offset + i] & 255);
    exit(1);
  }
}

static void do_read(bool is_direct, uint64_t offset, uint64_t length) {
  if (offset + length > size) length = offset < size ? size - offset : 0;
  if (is_direct) length -= length % kBlock;
  if (length == 0) return;
  if (pread(is_direct ? direct : cached, buffer, length, (off_t)offset) != (ssize_t)length)
    fail("read", offset, length);
  compare(is_direct ? "direct read" : "read", buffer, offset, length);
}

static void fill(char* into, uint64_t length) {
  const uint64_t seed = below(1 << 30);
  for (uint64_t i = 0; i < length; i++) into[i] = (char)(seed + i * 7 + (i >> 8));
}

static void do_write(bool is_direct, uint64_t offset, uint64_t length) {
  if (offset + length > limit) length = limit - offset;
  if (is_direct) length -= length % kBlock;
  if (length == 0) return;
  fill(buffer, length);
  if (pwrite(is_direct ? direct : cached, buffer, length, (off_t)offset) != (ssize_t)length)
    fail("write", offset, length);
  memcpy(model + offset, buffer, length);
  if (offset + length > size) size = offset + length;
}

static void do_map(bool write, uint64_t offset, uint64_t length) {
  offset -= offset % kBlock;
  if (offset + length > size) length = offset < size ? size - offset : 0;
  if (length == 0) return;
  char* map = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, cached, (off_t)offset);
  if (map == MAP_FAILED) fail("mmap", offset, length);
  if (write) {
    fill(map, length);
    memcpy(model + offset, map, length);
  } else {
    compare("mapped read", map, offset, length);
  }
  if (below(4) == 0 && msync(map, length, MS_SYNC)) fail("msync", offset, length);
  munmap(map, length);
}

static void do_zero(uint64_t offset, uint64_t length) {
  offset -= offset % kBlock;
  length += kBlock - length % kBlock;
  if (offset + length > size) return;
  uint64_t range[2] = {offset, length};
  if (disk ? ioctl(cached, below(2) ? BLKZEROOUT : BLKDISCARD, range)
           : fallocate(cached, below(2) ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
                                        : FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
                       (off_t)offset, (off_t)length))
    fail("zero", offset, length);
  memset(model + offset, 0, length);
}

static void do_truncate(uint64_t bytes) {
  if (disk) return;
  if (ftruncate(cached, (off_t)bytes)) fail("truncate", bytes, 0);
  if (bytes < size) memset(model + bytes, 0, size - bytes);
  size = bytes;
}

static void step(void) {
  const uint64_t offset = below(limit), length = 1 + below(kMaxOperation);
  const uint64_t block = offset - offset % kBlock;
  switch (below(12)) {
    case 0:
      if (fsync(cached)) fail("fsync", 0, 0);
      break;
    case 1:
      do_zero(offset, length);
      break;
    case 2:
      do_truncate(offset);
      break;
    case 3:
    case 4:
      do_map(below(2), offset, length);
      break;
    case 5:
    case 6:
      do_write(true, block, length);
      break;
    case 7:
    case 8:
      do_write(false, offset, length);
      break;
    case 9:
      do_read(true, block, length);
      break;
    default:
      do_read(false, offset, length);
  }
}

int main(int argc, char** argv) {
  if (argc < 4) return fprintf(stderr, "usage: see the head of tests/vm/tools/fsx.c\n"), 2;
  struct stat status;
  state = strtoull(argv[1], NULL, 0);
  const uint64_t operations = strtoull(argv[2], NULL, 0);
  limit = argc > 4 ? strtoull(argv[4], NULL, 0) : 8 << 20;
  cached = open(argv[3], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  direct = open(argv[3], O_RDWR | O_DIRECT | O_CLOEXEC);
  if (cached < 0 || direct < 0 || fstat(cached, &status)) fail(argv[3], 0, 0);
  disk = S_ISBLK(status.st_mode);
  model = calloc(1, limit + kBlock);
  if (model == NULL || posix_memalign((void**)&buffer, kBlock, kMaxOperation + kBlock))
    fail("memory", 0, 0);
  if (disk) {
    uint64_t all[2] = {0, limit};
    if (ioctl(cached, BLKZEROOUT, all)) fail("zero", 0, limit);
    size = limit;
  } else if (ftruncate(cached, 0)) {
    fail("truncate", 0, 0);
  }
  for (; operation < operations; operation++) step();
  if (fsync(cached)) fail("fsync", 0, 0);
  posix_fadvise(cached, 0, 0, POSIX_FADV_DONTNEED);
  for (uint64_t at = 0; at < size; at += kMaxOperation) do_read(false, at, kMaxOperation);
  printf("seed=%s operations=%lu size=%lu\n", argv[1], operations, size);
  return 0;
}
