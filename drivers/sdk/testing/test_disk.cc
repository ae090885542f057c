// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/testing/test_disk.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/status_macros.h"
#include "drivers/sdk/check.h"
#include "drivers/sdk/geometry.h"

namespace diskd::sdk {
namespace {

constexpr size_t kPage = 4096;

}  // namespace

TestRequest::TestRequest()
    : Request([](Request* request, int error) {
        auto* test = static_cast<TestRequest*>(request);
        ++test->completions;
        test->error = error;
      }) {}

TestRequest::TestRequest(Op operation, uint64_t where, uint32_t bytes, std::byte* memory)
    : TestRequest() {
  op = operation;
  offset = where;
  length = bytes;
  data = memory;
}

AlignedBuffer::AlignedBuffer(size_t bytes)
    : memory_(static_cast<std::byte*>(
                  aligned_alloc(kPage, std::max<size_t>((bytes + kPage - 1) / kPage, 1) * kPage)),
              free) {}

absl::Status TestDisk::Open(int index) {
  ASSIGN_OR_RETURN(queue_, driver_.OpenQueue(index, io_));
  return absl::OkStatus();
}

void TestDisk::Run(const std::vector<TestRequest*>& requests) {
  Check(requests.size() <= kDepth, "a test submitted more than the queue depth");
  for (TestRequest* request : requests) {
    const int error = CheckRequest(driver_.geometry(), *request);
    if (error != 0) {
      request->Complete(error);
    } else {
      queue_->Submit(*request);
    }
  }
  queue_->CommitBatch();
  for (TestRequest* request : requests) {
    while (request->completions == 0) io_.SubmitAndReap(true);
  }
}

int TestDisk::Run(TestRequest request) {
  Run(std::vector<TestRequest*>{&request});
  return request.completions == 1 ? request.error : -request.completions;
}

int TestDisk::Write(uint64_t offset, const std::vector<std::byte>& data, bool fua) {
  AlignedBuffer buffer(data.size());
  memcpy(buffer.data(), data.data(), data.size());
  TestRequest request(Op::kWrite, offset, static_cast<uint32_t>(data.size()), buffer.data());
  request.fua = fua;
  return Run(request);
}

int TestDisk::Read(uint64_t offset, std::vector<std::byte>& data) {
  AlignedBuffer buffer(data.size());
  memset(buffer.data(), 0xa5, data.size());
  const int error =
      Run(TestRequest(Op::kRead, offset, static_cast<uint32_t>(data.size()), buffer.data()));
  memcpy(data.data(), buffer.data(), data.size());
  return error;
}

}  // namespace diskd::sdk
