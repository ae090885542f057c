// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/runtime/write_back_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"

namespace diskd::object {
namespace {

constexpr char kWhat[] = "the write log";
constexpr long kPageBytes = 4096;  // records lie at multiples of it

}  // namespace

WriteBackLog::WriteBackLog(EngineThread* thread, LogFile file,
                           std::function<uint64_t()> available_memory)
    : thread_(thread),
      direct_(thread, std::move(file.fd), file.size_bytes, kWhat),
      cached_(thread, std::move(file.cached), file.size_bytes, kWhat),
      available_memory_(std::move(available_memory)),
      pages_fit_(sysconf(_SC_PAGESIZE) == kPageBytes) {}

void WriteBackLog::Read(uint64_t offset, absl::Span<std::byte> into, Done done) {
  const bool cached =
      open_.Has(offset) || std::any_of(pieces_.begin(), pieces_.end(),
                                       [offset](const Piece& piece) { return piece.Has(offset); });
  (cached ? cached_ : direct_).Read(offset, into, std::move(done));
}

bool WriteBackLog::UseCache() {
  const absl::Duration now = thread_->Now();
  if (!pages_fit_ || since_flush_ < kStreamBytes || now < past_cache_until_) return false;
  if (now >= look_at_memory_) {
    enough_memory_ = available_memory_() >= kEnoughMemory;
    look_at_memory_ = now + kMemoryLook;
  }
  return enough_memory_;
}

void WriteBackLog::Write(uint64_t offset, absl::Span<const std::byte> from, Done done) {
  if (!failure_.ok()) {
    return thread_->After(absl::ZeroDuration(), [this, done = std::move(done)] { done(failure_); });
  }
  const bool cached = UseCache();
  since_flush_ += from.size();
  if (!cached) return direct_.Write(offset, from, std::move(done));
  if (!TooDirty() && waiting_.empty()) {
    return WriteCached(offset, from, std::move(done));
  }
  waiting_.push_back({offset, from, std::move(done)});
}

void WriteBackLog::WriteCached(uint64_t offset, absl::Span<const std::byte> from, Done done) {
  if (offset != open_.end) {
    WriteBack();
    open_ = {offset, offset, false};
  }
  open_.end = offset + from.size();
  ++copying_;
  const absl::Duration start = thread_->Now();
  cached_.WriteCached(
      offset, from,
      [this, start, offset, from, done = std::move(done)](const absl::Status& status) {
        Took(thread_->Now() - start, !status.ok());
        if (--copying_ == 0 && open_.end - open_.begin >= kPieceBytes) WriteBack();
        if (!status.ok()) return direct_.Write(offset, from, done);
        done(status);
      });
}

void WriteBackLog::Took(absl::Duration time, bool failed) {
  slow_ = time >= kSlow ? slow_ + 1 : 0;
  if (slow_ < kSlowInARow && time < kVerySlow && !failed) return;
  slow_ = 0;
  past_cache_until_ = thread_->Now() + kAfterSlow;
}

void WriteBackLog::WriteBack() {
  const uint64_t begin = std::exchange(open_.begin, open_.end);
  const uint64_t bytes = open_.end - begin;
  if (bytes == 0) return;
  pieces_.push_back({begin, open_.end, false});
  dirty_bytes_ += bytes;
  cached_bytes_ += bytes;
  cached_.WriteBack(begin, bytes,
                    [this, begin](const absl::Status& status) { OnWrittenBack(begin, status); });
}

void WriteBackLog::OnWrittenBack(uint64_t begin, const absl::Status& status) {
  failure_.Update(status);
  const auto piece = std::find_if(pieces_.begin(), pieces_.end(), [begin](const Piece& piece) {
    return piece.begin == begin && !piece.on_disk;
  });
  piece->on_disk = true;
  dirty_bytes_ -= piece->end - piece->begin;
  while (cached_bytes_ - dirty_bytes_ > kKeptBytes && pieces_.front().on_disk) {
    const Piece oldest = pieces_.front();
    pieces_.pop_front();
    cached_bytes_ -= oldest.end - oldest.begin;
    cached_.Forget(oldest.begin, oldest.end - oldest.begin);
  }
  while (!TooDirty() && !waiting_.empty()) {
    Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    if (!failure_.ok()) {
      next.done(failure_);
    } else {
      WriteCached(next.offset, next.from, std::move(next.done));
    }
  }
}

void WriteBackLog::Flush(Done done) {
  since_flush_ = 0;
  // Of the whole file. The kernel tells a descriptor once of a failure: the other one's write-backs
  // may have been told although that has not come here yet.
  direct_.Flush([this, done = std::move(done)](absl::Status status) {
    done(failure_.ok() ? std::move(status) : failure_);
  });
}

uint64_t AvailableMemory() {
  static const int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
  char text[512];
  const ssize_t size = pread(fd, text, sizeof text, 0);
  if (size <= 0) return 0;
  absl::string_view rest(text, static_cast<size_t>(size));
  constexpr absl::string_view kName = "MemAvailable:";
  const size_t at = rest.find(kName);
  if (at == rest.npos) return 0;
  rest.remove_prefix(at + kName.size());
  rest = absl::StripLeadingAsciiWhitespace(rest.substr(0, rest.find(" kB")));
  uint64_t kib = 0;
  return absl::SimpleAtoi(rest, &kib) ? kib << 10 : 0;
}

}  // namespace diskd::object
