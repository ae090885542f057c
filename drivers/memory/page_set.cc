// SPDX-License-Identifier: Apache-2.0
#include "drivers/memory/page_set.h"

#include <algorithm>

namespace diskd::memory_driver {
namespace {

// Calls visit(word, mask) for the bits [first, last) of a bit map; stops when it returns false.
template <typename Visit>
bool ForEachWord(uint64_t first, uint64_t last, Visit visit) {
  while (first < last) {
    const uint64_t word = first / kWordBits;
    const uint64_t end = std::min(last, (word + 1) * kWordBits);
    const uint64_t count = end - first;
    const uint64_t ones = count == kWordBits ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
    if (!visit(word, ones << (first % kWordBits))) return false;
    first = end;
  }
  return true;
}

}  // namespace

PageSet::PageSet(uint64_t size_bytes)
    : words_((size_bytes + kPageBytes * kWordBits - 1) / (kPageBytes * kWordBits)) {}

bool PageSet::Contains(uint64_t offset, uint64_t length) const {
  const uint64_t last = (offset + length + kPageBytes - 1) / kPageBytes;
  return ForEachWord(offset / kPageBytes, last, [this](uint64_t word, uint64_t mask) {
    return (words_[word].load(std::memory_order_acquire) & mask) == mask;
  });
}

void PageSet::Add(uint64_t offset, uint64_t length) {
  const uint64_t last = (offset + length + kPageBytes - 1) / kPageBytes;
  ForEachWord(offset / kPageBytes, last, [this](uint64_t word, uint64_t mask) {
    words_[word].fetch_or(mask, std::memory_order_release);
    return true;
  });
}

void PageSet::RemoveWhole(uint64_t offset, uint64_t length) {
  const uint64_t first = (offset + kPageBytes - 1) / kPageBytes;
  ForEachWord(first, (offset + length) / kPageBytes, [this](uint64_t word, uint64_t mask) {
    words_[word].fetch_and(~mask, std::memory_order_release);
    return true;
  });
}

}  // namespace diskd::memory_driver
