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
  bool Contains(uint64_t offset, uint64_t length) const {
    const uint64_t first = offset / kPageBytes;
    const uint64_t last = (offset + length - 1) / kPageBytes;
    if (first / kWordBits != last / kWordBits) return ContainsAcrossWords(first, last);
    const uint64_t mask = (~uint64_t{0} >> (kWordBits - 1 - (last - first))) << first % kWordBits;
    return (words_[first / kWordBits].load(std::memory_order_acquire) & mask) == mask;
  }
  void Add(uint64_t offset, uint64_t length);
  // The pages that lie wholly within the range.
  void RemoveWhole(uint64_t offset, uint64_t length);

 private:
  bool ContainsAcrossWords(uint64_t first, uint64_t last) const;

  std::vector<std::atomic<uint64_t>> words_;
};

}  // namespace diskd::memory_driver

#endif  // DISKD_DRIVERS_MEMORY_PAGE_SET_H_
