/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interface of the original BUSE library (block devices in user space over nbd), for programs
 * that were written for it: they compile unchanged and run on diskd's devices. docs/compat.md says
 * what is different.
 */
#ifndef BUSE_H_INCLUDED
#define BUSE_H_INCLUDED

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Callbacks return 0, or an errno (positive or negative) that fails the request. One at a time,
 * on one thread, which is not the caller of buse_main(). Any may be NULL.
 */
struct buse_operations {
  int (*read)(void* buf, u_int32_t len, u_int64_t offset, void* userdata);
  int (*write)(const void* buf, u_int32_t len, u_int64_t offset, void* userdata);
  void (*disc)(void* userdata); /* once, after the last of the others */
  int (*flush)(void* userdata); /* answered writes become durable */
  int (*trim)(u_int64_t from, u_int32_t len, void* userdata);

  /* Either size, or blksize and size_blocks. Bytes. */
  u_int64_t size;
  u_int32_t blksize;
  u_int64_t size_blocks;
};

/*
 * Serves a disk until SIGINT or SIGTERM. `dev_file` becomes a link to it, unless a device is there
 * already; what the disk is called is printed on standard error. Returns 0 after a clean end, 1
 * otherwise, with the reason on standard error.
 */
int buse_main(const char* dev_file, const struct buse_operations* bop, void* userdata);

#ifdef __cplusplus
}
#endif

#endif /* BUSE_H_INCLUDED */
