// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/ring_queue_io.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/log.h"
#include "gtest/gtest.h"

namespace diskd::sdk {
namespace {

struct Nop : IoOperation {
  explicit Nop(RingQueueIo* ring = nullptr) : io(ring) {
    done = [](IoOperation* operation, int result) {
      auto* nop = static_cast<Nop*>(operation);
      ++nop->finished;
      nop->result = result;
      if (nop->again > 0) {
        --nop->again;
        nop->Start();
      }
    };
  }
  void Start() {
    io_uring_sqe* sqe = io->Prepare(this);
    io_uring_prep_nop(sqe);
    io->SetOperation(sqe, this);
  }
  RingQueueIo* io;
  int finished = 0;
  int result = -1;
  int again = 0;
};

TEST(RingQueueIo_New, HasNoRingUntilStarted) {
  RingQueueIo io(4);
  EXPECT_FALSE(io.started());
  EXPECT_EQ(io.queue_depth(), 4);
  ASSERT_TRUE(io.Start().ok());
  EXPECT_TRUE(io.started());
  EXPECT_TRUE(io.Start().ok()) << "starting again is fine";
}

TEST(RingQueueIo_Prepare, MoreThanTheRingHolds_SubmitsWhatIsThereFirst) {
  RingQueueIo io(2);
  ASSERT_TRUE(io.Start().ok());
  std::vector<Nop> nops(20, Nop(&io));
  for (Nop& nop : nops) nop.Start();
  for (const Nop& nop : nops) {
    while (nop.finished == 0) io.SubmitAndReap(true);
    EXPECT_EQ(nop.result, 0);
  }
}

TEST(RingQueueIo_Done, MayStartTheNextOperation) {
  RingQueueIo io(2);
  ASSERT_TRUE(io.Start().ok());
  Nop nop(&io);
  nop.again = 9;
  nop.Start();
  while (nop.finished < 10) io.SubmitAndReap(true);
  EXPECT_EQ(nop.finished, 10);
}

// Containers' seccomp profiles and the sysctl kernel.io_uring_disabled look like this.
[[noreturn]] void ReportStartWithoutIoUring() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{.len = std::size(filter), .filter = filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    fprintf(stderr, "no seccomp\n");
    exit(1);
  }
  RingQueueIo io(4);
  const absl::Status status = io.Start();
  fprintf(stderr, "%s\n", status.ToString().c_str());
  exit(absl::IsFailedPrecondition(status) && !io.started() ? 0 : 1);
}

TEST(RingQueueIo_Start, WithoutIoUring_SaysWhatToDo) {
  EXPECT_EXIT(ReportStartWithoutIoUring(), testing::ExitedWithCode(0), "io_uring_disabled");
}

void PrepareWithoutStart() {
  InitLog("death-test", "info");  // to standard error, where the test looks
  RingQueueIo io(4);
  Nop(&io).Start();
}

TEST(RingQueueIo_Prepare, WithoutStart_EndsTheProcess) {
  EXPECT_DEATH(PrepareWithoutStart(), "Prepare");
}

}  // namespace
}  // namespace diskd::sdk
