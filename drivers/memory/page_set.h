// SPDX-License-Identifier: Apache-2.0
//
// Which pages of a sparse file are known to have memory behind them. Touching the mapping of such
// a page can't fail; touching any other could find the tmpfs full, which is SIGBUS.
//
// Thread-safe, lock-free.
#ifndef DISKD_DRIVERS_MEMORY_PAGE_SET_H_
#define DISKD_DRIVERS_MEMORY_PAGE_SET_H_

#include <atomic>
#include <cstdint>
#include <vector>

namespace diskd::memory_driver {

inline constexpr uint64_t kPageBytes = 4096;
inline constexpr uint64_t kWordBits = 64;  // of the map with a bit per page

class PageSet {
 public:
  explicit PageSet(uint64_t size_bytes);

  // All pages touched by a non-empty byte range.
  bool Contains(uint64_t offset, uint64_t length) const;
  // The same, short: false for ranges of several pages, whatever they contain.
  bool ContainsOnePage(uint64_t offset, uint64_t length) const {
    const uint64_t page = offset / kPageBytes;
    if (page != (offset + length - 1) / kPageBytes) return false;
    const uint64_t word = words_[page / kWordBits].load(std::memory_order_acquire);
    return (word >> page % kWordBits & 1) != 0;
  }
  void Add(uint64_t offset, uint64_t length);
  // The pages that lie wholly within the range.
  void RemoveWhole(uint64_t offset, uint64_t length);

 private:
  std::vector<std::atomic<uint64_t>> words_;
};

}  // namespace diskd::memory_driver

#endif  // DISKD_DRIVERS_MEMORY_PAGE_SET_H_
