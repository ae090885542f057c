// SPDX-License-Identifier: Apache-2.0
//
// The file of a write log: written once in full, so that later writes change no metadata. And that
// of a read cache, which grows as it fills. Any thread.
#ifndef DISKD_DRIVERS_OBJECT_RUNTIME_LOG_FILE_H_
#define DISKD_DRIVERS_OBJECT_RUNTIME_LOG_FILE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/fd.h"

namespace diskd::object {

// Makes it, full of zeros and durable, or leaves it alone if it is there with this size.
// ALREADY_EXISTS: there is a file of another size. RESOURCE_EXHAUSTED: no room.
absl::Status MakeLogFile(const std::string& path, uint64_t size_bytes);
absl::Status RemoveLogFile(const std::string& path);  // missing is success

struct LogFile {
  Fd fd;
  uint64_t size_bytes = 0;
};
// Opens it for O_DIRECT, when no earlier process has it any more, not even by writes the kernel
// still does for a dead one. NOT_FOUND: no such file. FAILED_PRECONDITION: still in use after
// `wait`, or its file system has no O_DIRECT.
absl::StatusOr<LogFile> OpenLogFile(const std::string& path,
                                    absl::Duration wait = absl::Seconds(20));

// The same for a read cache, made or changed to this size if need be.
absl::StatusOr<LogFile> OpenCacheFile(const std::string& path, uint64_t size_bytes,
                                      absl::Duration wait = absl::Seconds(20));

// Of an open one: gives it to another process, and takes it back as OpenLogFile() does.
absl::Status UnlockLogFile(int fd);
absl::Status LockLogFile(int fd, const std::string& path, absl::Duration wait);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_RUNTIME_LOG_FILE_H_
