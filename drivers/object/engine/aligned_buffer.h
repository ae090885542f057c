// SPDX-License-Identifier: Apache-2.0
//
// Memory for O_DIRECT transfers: block-aligned, whole blocks.
#ifndef DISKD_DRIVERS_OBJECT_ENGINE_ALIGNED_BUFFER_H_
#define DISKD_DRIVERS_OBJECT_ENGINE_ALIGNED_BUFFER_H_

#include <cstddef>
#include <cstdlib>
#include <memory>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "drivers/object/types.h"

namespace diskd::object {

class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  // `blocks` > 0. The content is undefined.
  explicit AlignedBuffer(uint64_t blocks)
      : memory_(static_cast<std::byte*>(aligned_alloc(kBlockBytes, blocks * kBlockBytes))),
        blocks_(blocks) {
    if (memory_ == nullptr) abort();
  }

  std::byte* block(uint64_t index) const { return memory_.get() + index * kBlockBytes; }
  uint64_t blocks() const { return blocks_; }
  uint64_t bytes() const { return blocks_ * kBlockBytes; }
  bool empty() const { return blocks_ == 0; }
  absl::Span<std::byte> span() const { return {memory_.get(), bytes()}; }
  void Reset() {
    memory_.reset();
    blocks_ = 0;
  }

 private:
  struct Free {
    void operator()(std::byte* p) const { free(p); }
  };
  std::unique_ptr<std::byte, Free> memory_;
  uint64_t blocks_ = 0;
};

inline absl::string_view BlockView(const std::byte* block) {
  return {reinterpret_cast<const char*>(block), kBlockBytes};
}

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_ENGINE_ALIGNED_BUFFER_H_
