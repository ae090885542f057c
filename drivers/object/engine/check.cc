// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/engine/check.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "drivers/object/engine/aligned_buffer.h"
#include "drivers/object/engine/tree_diff.h"

namespace diskd::object {
namespace {

constexpr int kParallel = 16;
constexpr size_t kMaxRunBlocks = 256;
// Looks at one place that changes all the time.
constexpr int kProbes = 10;

uint64_t Key(uint16_t stream, uint32_t sequence) { return uint64_t{stream} << 32 | sequence; }

}  // namespace

bool IsCheckFinding(const absl::Status& status) {
  return absl::IsDataLoss(status) || absl::IsNotFound(status) || absl::IsUnimplemented(status);
}

Check::Check(StoreClient* store, Scheduler* scheduler, const Uuid& volume, const Options& options)
    : store_(store),
      options_(options),
      volume_(volume),
      keeper_(store, scheduler, volume, options),
      tree_(
          store, [this](uint16_t id) { return head_.FindStream(id); }, options),
      reader_(
          store, &tree_, [this]() -> const Head& { return head_; }, options),
      workers_(scheduler, kParallel) {}

Task<absl::StatusOr<CheckReport>> Check::Run() {
  CO_RETURN_IF_ERROR(co_await keeper_.Load());
  head_ = keeper_.head();
  CO_RETURN_IF_ERROR(CheckKey(head_, options_));
  const Head head = head_;
  PagePointer before;
  for (const SnapshotEntry& entry : head.snapshots) {
    CO_RETURN_IF_ERROR(co_await CheckRoot(entry.id, before, entry.root));
    before = entry.root;
  }
  CO_RETURN_IF_ERROR(co_await CheckRoot(0, before, head.checkpoint.root));
  CO_RETURN_IF_ERROR(co_await workers_.Finish());
  CO_RETURN_IF_ERROR(co_await Confirm());
  CO_RETURN_IF_ERROR(co_await CheckTail());
  CO_RETURN_IF_ERROR(co_await LookForGarbage());
  report_.objects = reached_.size();
  co_return std::move(report_);
}

std::string Check::NameOf(uint16_t id, uint32_t sequence) const {
  const Stream* stream = head_.FindStream(id);
  if (stream == nullptr) return absl::StrCat("unknown stream ", id);
  return ObjectName(stream->volume, stream->epoch, stream->nonce, sequence);
}

void Check::Suspect(uint64_t snapshot, Lba lba, uint64_t blocks) {
  if (suspicions_.size() >= kMaxProblems) {
    more_suspicions_ = true;
    return;
  }
  suspicions_.push_back({snapshot, lba, blocks});
}

void Check::AddProblem(CheckProblem problem) {
  if (report_.problems.size() >= kMaxProblems) {
    report_.more_problems = true;
    return;
  }
  report_.problems.push_back(std::move(problem));
}

Task<absl::Status> Check::CheckRoot(uint64_t snapshot, PagePointer before, PagePointer root) {
  Lba at = 0;  // for the pages above the first leaf, any block will do
  TreeDiff::Visitor visitor;
  visitor.page = [&](const PagePointer& page) {
    ++report_.pages;
    new_objects_.push_back({page.stream, page.sequence});
    return absl::OkStatus();
  };
  visitor.leaf = [&](Lba first, uint64_t, const MapPage* from,
                     const MapPage* to) -> Task<absl::Status> {
    at = first;
    co_return co_await CheckLeaf(snapshot, first, from, to);
  };
  visitor.broken = [&](Lba first, const PagePointer&, const absl::Status& problem) {
    if (!IsCheckFinding(problem)) return problem;
    Suspect(snapshot, first, 0);
    return absl::OkStatus();
  };
  TreeDiff walk(&tree_, Lane::kCollect, std::move(visitor));
  CO_RETURN_IF_ERROR(co_await walk.Run(before, root, 0));
  co_return co_await CheckNewObjects(snapshot, at);
}

Task<absl::Status> Check::CheckLeaf(uint64_t snapshot, Lba first, const MapPage* from,
                                    const MapPage* to) {
  if (to == nullptr) co_return absl::OkStatus();
  std::vector<BlockLocation> run;
  Lba run_lba = first;
  for (size_t i = 0; i <= to->blocks.size(); ++i) {
    const bool take = i < to->blocks.size() && !to->blocks[i].hole() &&
                      (from == nullptr || from->blocks[i] != to->blocks[i]);
    const bool goes_on = take && !run.empty() && to->blocks[i].Follows(run.back()) &&
                         run_lba + run.size() == first + i && run.size() < kMaxRunBlocks;
    if (!run.empty() && !goes_on) {
      new_objects_.push_back({run[0].stream, run[0].sequence});
      report_.blocks += run.size();
      co_await workers_.Start(CheckRun(snapshot, run_lba, std::exchange(run, {})));
      CO_RETURN_IF_ERROR(workers_.status());
    }
    if (!take) continue;
    if (run.empty()) run_lba = first + i;
    run.push_back(to->blocks[i]);
  }
  co_return co_await CheckNewObjects(snapshot, first);
}

Task<absl::Status> Check::CheckNewObjects(uint64_t snapshot, Lba lba) {
  for (const auto& [stream, sequence] : std::exchange(new_objects_, {})) {
    if (!reached_.insert(Key(stream, sequence)).second) continue;
    co_await workers_.Start(CheckHeader(snapshot, lba, stream, sequence));
    CO_RETURN_IF_ERROR(workers_.status());
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Check::CheckHeader(uint64_t snapshot, Lba lba, uint16_t id, uint32_t sequence) {
  const Stream* stream = head_.FindStream(id);
  absl::Status status = absl::DataLossError("unknown stream");
  if (stream != nullptr) {
    status = (co_await store_->GetHeader(Lane::kCollect, stream->volume, stream->epoch,
                                         stream->nonce, sequence))
                 .status();
  }
  if (status.ok()) co_return status;
  if (!IsCheckFinding(status)) co_return status;
  Suspect(snapshot, lba, 0);
  co_return absl::OkStatus();
}

Task<absl::Status> Check::CheckRun(uint64_t snapshot, Lba lba, std::vector<BlockLocation> places) {
  const uint64_t key = Key(places[0].stream, places[0].sequence);
  const size_t blocks = places.size();
  if (missing_.contains(key)) {
    Suspect(snapshot, lba, blocks);
    co_return absl::OkStatus();
  }
  AlignedBuffer buffer(blocks);
  const absl::Status status = co_await reader_.Read(Lane::kCollect, places, buffer.block(0));
  if (status.ok()) co_return status;
  if (!IsCheckFinding(status)) co_return status;
  const Stream* stream = head_.FindStream(places[0].stream);
  const bool missing =
      stream == nullptr ||
      absl::IsNotFound((co_await store_->GetHeader(Lane::kCollect, stream->volume, stream->epoch,
                                                   stream->nonce, places[0].sequence))
                           .status());
  if (missing) missing_.insert(key);
  if (missing || blocks == 1) {
    Suspect(snapshot, lba, blocks);
    co_return absl::OkStatus();
  }
  for (size_t i = 0; i < blocks; ++i) {
    std::vector<BlockLocation> one(1, places[i]);
    CO_RETURN_IF_ERROR(co_await CheckRun(snapshot, lba + i, std::move(one)));
  }
  co_return absl::OkStatus();
}

// A place that two looks in a row find broken was reached by a HEAD before the first of them ended
// and by one read after that: it was needed when it was not there.
Task<absl::Status> Check::Confirm() {
  for (const Suspicion& suspicion : std::exchange(suspicions_, {})) {
    Finding before;
    for (int i = 0; i < kProbes; ++i) {
      absl::StatusOr<Finding> now = co_await Probe(suspicion.snapshot, suspicion.lba);
      if (!now.ok()) co_return now.status();
      if (now->object.empty()) break;
      if (now->object == before.object) {
        AddProblem(
            {suspicion.snapshot, suspicion.lba, suspicion.blocks, now->object, now->message});
        break;
      }
      before = *std::move(now);
    }
  }
  report_.more_problems |= more_suspicions_ && !report_.problems.empty();
  co_return absl::OkStatus();
}

// Looks at the path to a block with a HEAD and pages read anew.
Task<absl::StatusOr<Check::Finding>> Check::Probe(uint64_t snapshot, Lba lba) {
  CO_RETURN_IF_ERROR(co_await keeper_.Load());
  head_ = keeper_.head();
  const SnapshotEntry* entry = head_.FindSnapshot(snapshot);
  if (snapshot != 0 && entry == nullptr) co_return Finding{};
  PagePointer at = snapshot == 0 ? head_.checkpoint.root : entry->root;
  MapTree tree(
      store_, [this](uint16_t id) { return head_.FindStream(id); }, options_);
  BlockLocation block;
  for (bool top = true; !at.hole(); top = false) {
    const std::string name = NameOf(at.stream, at.sequence);
    const auto page = co_await tree.Load(Lane::kCollect, at);
    if (IsCheckFinding(page.status()))
      co_return Finding{name, std::string(page.status().message())};
    if (!page.ok()) co_return page.status();
    const Finding header = co_await ProbeHeader(at.stream, at.sequence);
    if (!header.object.empty()) co_return header;
    const uint8_t bits = (*page)->fanout_bits;
    const uint8_t level = (*page)->level;
    if (top && lba >= PageSpan(bits, level)) break;
    if (level == 0) {
      block = (*page)->blocks[lba % PageSpan(bits, 0)];
      break;
    }
    at = (*page)->pages[lba % PageSpan(bits, level) / PageSpan(bits, level - 1)];
  }
  if (block.hole()) co_return Finding{};
  AlignedBuffer buffer(1);
  std::vector<BlockLocation> places(1, block);
  const absl::Status status =
      co_await reader_.Read(Lane::kCollect, std::move(places), buffer.block(0));
  if (IsCheckFinding(status)) {
    co_return Finding{NameOf(block.stream, block.sequence), std::string(status.message())};
  }
  CO_RETURN_IF_ERROR(status);
  co_return co_await ProbeHeader(block.stream, block.sequence);
}

Task<Check::Finding> Check::ProbeHeader(uint16_t id, uint32_t sequence) {
  const Stream* stream = head_.FindStream(id);
  if (stream == nullptr) co_return Finding{NameOf(id, sequence), "unknown stream"};
  const absl::Status status = (co_await store_->GetHeader(Lane::kCollect, stream->volume,
                                                          stream->epoch, stream->nonce, sequence))
                                  .status();
  if (!IsCheckFinding(status)) co_return Finding{};
  co_return Finding{NameOf(id, sequence), absl::StrCat("header: ", status.message())};
}

}  // namespace diskd::object
