// SPDX-License-Identifier: Apache-2.0
//
// A directory as a Store: one file per object.
//
//   PATH/diskd-store   marks a store (and that its file system is mounted)
//   PATH/lock          flock: orders conditional replacements, also of other processes
//   PATH/objects/NAME  the objects; a name can't be another one's folder
//   PATH/tmp/          objects being written, each with a flock while its writer lives
//
// PATH has mode 0700, and everything below it is open to all: once opened, the store works on for a
// process that has become another user, and objects can be read by the next one's user. The
// process's umask must not narrow that (umask 0).
//
// Several processes of one machine may use one directory at a time. A success means that file and
// directory have been fsync'ed. I/O on a hanging file system can't be timed out.
#ifndef DISKD_DRIVERS_OBJECT_STORE_DIR_STORE_H_
#define DISKD_DRIVERS_OBJECT_STORE_DIR_STORE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "drivers/object/env/send_gate.h"
#include "drivers/object/env/store.h"

namespace diskd::object {

// Threads of each lane.
inline constexpr int kDirReadThreads = 8;
inline constexpr int kDirUploadThreads = 3;
inline constexpr int kDirCollectThreads = 2;
inline constexpr int kDirLeaseThreads = 1;
inline constexpr absl::Duration kDirLockTimeout = absl::Seconds(10);
inline constexpr size_t kDirPageNames = 8192;  // of one List

struct DirOptions {
  std::string path;     // absolute
  bool create = false;  // make the store if PATH is missing or an empty directory
  size_t page_names = kDirPageNames;
  // Of Put and Delete, which end with UNAVAILABLE while it is shut; nullptr: always open.
  std::shared_ptr<const SendGate> gate;
};

// Removes what crashed writers left in tmp/. FAILED_PRECONDITION: PATH is not a store (not mounted?
// `create` needed? something else in it?).
absl::StatusOr<std::unique_ptr<Store>> OpenDirStore(const DirOptions& options);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_STORE_DIR_STORE_H_
