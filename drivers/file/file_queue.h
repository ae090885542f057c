// SPDX-License-Identifier: Apache-2.0
//
// One queue of a file disk: each request is one io_uring operation, sometimes two, or, where it
// comes alone (LoneRequests), one system call. Queue's thread.
#ifndef DISKD_DRIVERS_FILE_FILE_QUEUE_H_
#define DISKD_DRIVERS_FILE_FILE_QUEUE_H_

#include <cstdint>
#include <vector>

#include "drivers/sdk/driver.h"
#include "drivers/sdk/lone_requests.h"
#include "drivers/sdk/queue_io.h"

namespace diskd::file_driver {

class FileQueue final : public sdk::Queue {
 public:
  // `fd` and `io` must outlive the queue; `io` has been started. `prefer_allocated`: zeroes are
  // written without giving the space back.
  FileQueue(int fd, bool prefer_allocated, sdk::QueueIo& io);

  void Submit(sdk::Request& request) override;

 private:
  struct Operation : sdk::IoOperation {
    FileQueue* queue = nullptr;
    sdk::Request* request = nullptr;
    uint32_t moved = 0;        // bytes read or written so far
    int retries = 0;           // of transient errors
    bool alternative = false;  // the other way to write zeroes is being tried
    bool syncing = false;      // zeroes are written, FUA is left
  };

  void Start(Operation& operation);
  // A read, write or flush, blocking; as cqe->res.
  int Perform(const sdk::Request& request) const;
  void PrepareZeroes(io_uring_sqe* sqe, const Operation& operation) const;
  void Done(Operation& operation, int result);
  // True: the operation goes on, and has been started again.
  bool Continue(Operation& operation, int result);
  void Finish(Operation& operation, int error);

  const int fd_;
  const bool prefer_allocated_;
  sdk::QueueIo& io_;
  std::vector<Operation> operations_;
  std::vector<Operation*> free_;
  sdk::LoneRequests lone_;
};

}  // namespace diskd::file_driver

#endif  // DISKD_DRIVERS_FILE_FILE_QUEUE_H_
