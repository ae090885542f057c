// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/runtime/uring_log.h"

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace diskd::object {
namespace {

bool Again(int result) { return result == -EINTR || result == -EAGAIN; }

}  // namespace

absl::Status UringLog::Problem(const char* call, int result) const {
  const std::string message =
      absl::StrCat(what_, ": ", call, ": ", result < 0 ? strerror(-result) : "transfer cut short");
  // As the block layer says of a bad medium or checksum, of what the disk itself refuses, and as
  // others do. What the way to the disk is at fault for has other numbers.
  const bool unreadable =
      result == -EIO || result == -ENODATA || result == -EILSEQ || result == -EREMOTEIO;
  return unreadable ? absl::DataLossError(message) : absl::InternalError(message);
}

void UringLog::Read(uint64_t offset, absl::Span<std::byte> into, Done done) {
  thread_->StartOperation({FileOperation::Kind::kRead, file_.get(), into.data(), into.size(),
                           offset, [this, offset, into, done = std::move(done)](int result) {
                             if (Again(result)) return Read(offset, into, done);
                             ++reads_;
                             const bool whole =
                                 result >= 0 && static_cast<size_t>(result) == into.size();
                             done(whole ? absl::OkStatus() : Problem("read", result));
                           }});
}

void UringLog::Write(uint64_t offset, absl::Span<const std::byte> from, Done done) {
  thread_->StartOperation(
      {FileOperation::Kind::kWrite, file_.get(), const_cast<std::byte*>(from.data()), from.size(),
       offset, [this, offset, from, done = std::move(done)](int result) {
         if (Again(result)) return Write(offset, from, done);
         const bool whole = result >= 0 && static_cast<size_t>(result) == from.size();
         // A failed write is no proof that old data is lost.
         done(whole ? absl::OkStatus() : absl::InternalError(Problem("write", result).message()));
       }});
}

void UringLog::Flush(Done done) {
  thread_->StartOperation({FileOperation::Kind::kFlush, file_.get(), nullptr, 0, 0,
                           [this, done = std::move(done)](int result) {
                             if (Again(result)) return Flush(done);
                             done(result == 0
                                      ? absl::OkStatus()
                                      : absl::InternalError(Problem("flush", result).message()));
                           }});
}

}  // namespace diskd::object
