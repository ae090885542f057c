// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/engine/log_gather.h"

#include <algorithm>
#include <numeric>

namespace diskd::object {
namespace {

// Blocks of one transfer. So many others between two are read rather than left out.
constexpr uint64_t kTransferBlocks = 64;
constexpr uint64_t kWorthwhileGap = 8;

}  // namespace

LogGather::LogGather(WriteLog* log, const std::vector<LogBlock>* sources)
    : log_(log), sources_(*sources), order_(sources_.size()), buffer_(kTransferBlocks) {
  std::iota(order_.begin(), order_.end(), 0);
  std::sort(order_.begin(), order_.end(),
            [this](uint32_t a, uint32_t b) { return sources_[a].position < sources_[b].position; });
}

Task<absl::Status> LogGather::Next() {
  const auto position = [this](size_t i) { return sources_[order_[i]].position; };
  found_.clear();
  const uint64_t begin = position(next_);
  // The ring's end and its start are not neighbours on the device.
  const uint64_t end =
      std::min(begin + kTransferBlocks, (begin / log_->ring_blocks() + 1) * log_->ring_blocks());
  uint64_t last = begin;
  while (next_ < order_.size() && position(next_) < end &&
         position(next_) <= last + 1 + kWorthwhileGap) {
    last = position(next_);
    found_.push_back({order_[next_++], buffer_.block(last - begin)});
  }
  absl::Status status = co_await log_->Read(begin, last + 1 - begin, buffer_.block(0));
  if (absl::IsDataLoss(status)) status = co_await ReadSingly();
  co_return status;
}

// What can't be read may lie between the blocks that count.
Task<absl::Status> LogGather::ReadSingly() {
  for (const Found& found : found_) {
    CO_RETURN_IF_ERROR(co_await log_->Read(sources_[found.index].position, 1, found.block));
  }
  co_return absl::OkStatus();
}

}  // namespace diskd::object
