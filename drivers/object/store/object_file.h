// SPDX-License-Identifier: Apache-2.0
//
// The file operations below DirStore: everything relative to an open directory, never through a
// symbolic link. Thread-safe as the kernel is.
#ifndef DISKD_DRIVERS_OBJECT_STORE_OBJECT_FILE_H_
#define DISKD_DRIVERS_OBJECT_STORE_OBJECT_FILE_H_

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/fd.h"
#include "drivers/object/env/store.h"

namespace diskd::object {

// Of the kernel: unlike a generator of our own, also different in a forked process.
uint64_t RandomNumber();

// errno in the statuses of env/store.h, except NOT_FOUND: ENOENT is UNAVAILABLE here, because only
// the caller knows whether it was the object that was missing.
absl::Status FileStatus(int error, absl::string_view what);

// open() of a path below `directory`; -1 and errno as usual.
Fd OpenBelow(int directory, const std::string& path, int flags, mode_t mode = 0);

// The directory that holds `path`, and the last component. With `create`, makes and syncs the
// directories that are missing.
absl::StatusOr<Fd> OpenParent(int directory, const std::string& path, bool create);
std::string BaseName(const std::string& path);

// The tag of the file's present content; see WriteNewFile.
Etag EtagOfFile(const struct stat& status);

// Writes `body`, past the page cache where the file system can, and syncs it. The modification
// time's nanoseconds are drawn at random, which makes the tag unique.
absl::Status WriteNewFile(int fd, absl::string_view body, absl::string_view what);

// Bytes [offset, offset + size) into `out`; DATA_LOSS at an early end, UNKNOWN where the medium
// can't be read.
absl::Status ReadFully(int fd, uint64_t offset, uint64_t size, std::string* out,
                       absl::string_view what);

// Modes of what is below a store: whoever may pass its directory may work on all of it, whatever
// user that is by then.
inline constexpr mode_t kFolderMode = 0777;
inline constexpr mode_t kObjectMode = 0666;

// One holder at a time, of all threads of all processes that have the file. Thread-safe. A process
// that dies lets go.
class FileLock {
 public:
  explicit FileLock(Fd file) : file_(std::move(file)) {}

  class Guard {
   public:
    explicit Guard(FileLock* lock) : lock_(lock) {}
    Guard(Guard&& other) noexcept : lock_(std::exchange(other.lock_, nullptr)) {}
    ~Guard() {
      if (lock_ != nullptr) lock_->Release();
    }

   private:
    FileLock* lock_;
  };
  // ABORTED after `timeout`.
  absl::StatusOr<Guard> Acquire(absl::Duration timeout);

 private:
  void Release();

  const Fd file_;
  absl::Mutex mutex_;  // the file's lock is one for the whole process
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_STORE_OBJECT_FILE_H_
