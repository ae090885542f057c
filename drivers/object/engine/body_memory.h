// SPDX-License-Identifier: Apache-2.0
//
// The memory of objects' bodies, used again: new memory costs a page fault and a clearing for each
// 4 KiB of a body, more than its checksums. At most one body that nobody has is kept, and only as
// long as that and all the others stay within the limit together.
//
// Any thread: the last user of a body may be a store's. So it belongs to its bodies, too.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_BODY_MEMORY_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_BODY_MEMORY_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace diskd::object {

class BodyMemory : public std::enable_shared_from_this<BodyMemory> {
 public:
  explicit BodyMemory(uint64_t limit_bytes) : limit_bytes_(limit_bytes) {}

  // For a body of so many bytes: memory with whatever was in it, of any size, or none. Everybody
  // who makes a body asks, so that what is kept is used or freed. Ends with Share().
  std::string Take(uint64_t bytes) ABSL_LOCKS_EXCLUDED(mutex_) {
    std::string kept;
    const absl::MutexLock lock(&mutex_);
    asked_ = keeping_ = true;
    out_bytes_ += bytes;
    kept.swap(kept_);
    // What is much larger would be more than was asked for.
    if (kept.capacity() < bytes || kept.capacity() - bytes > bytes / kSlackPart) return {};
    return kept;
  }

  // The body that was made after Take(bytes). Its memory comes back with its last user.
  std::shared_ptr<const std::string> Share(std::string body, uint64_t bytes) {
    return {new std::string(std::move(body)),
            [memory = shared_from_this(), bytes](std::string* done) {
              const std::unique_ptr<std::string> owned(done);
              memory->GiveBack(std::move(*owned), bytes);
            }};
  }

  // False: somebody has asked since the last call. Else frees what is kept, and keeps nothing until
  // somebody asks again.
  bool FreeUnused() ABSL_LOCKS_EXCLUDED(mutex_) {
    std::string unused;
    const absl::MutexLock lock(&mutex_);
    if (std::exchange(asked_, false)) return false;
    keeping_ = false;
    unused.swap(kept_);
    return true;
  }
  uint64_t kept_bytes() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    return kept_.empty() ? 0 : kept_.capacity();
  }

 private:
  static constexpr uint64_t kSlackPart = 4;

  void GiveBack(std::string body, uint64_t bytes) ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    out_bytes_ -= bytes;
    const bool fits = out_bytes_ + body.capacity() <= limit_bytes_;
    if (keeping_ && fits && kept_.capacity() < body.capacity()) kept_.swap(body);
  }

  const uint64_t limit_bytes_;
  mutable absl::Mutex mutex_;
  bool asked_ ABSL_GUARDED_BY(mutex_) = false;  // lately
  bool keeping_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t out_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // taken and not given back
  std::string kept_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_BODY_MEMORY_H_
