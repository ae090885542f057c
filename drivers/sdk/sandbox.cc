// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/sandbox.h"

#include <grp.h>
#include <linux/prctl.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "drivers/sdk/system_calls.h"

namespace diskd::sdk {
namespace {

constexpr size_t kGrownStackBytes = 1 << 20;
constexpr size_t kPageBytes = 4096;

using Capabilities = std::unique_ptr<std::remove_pointer_t<cap_t>, int (*)(void*)>;

bool HasLockCapability() {
  const Capabilities current(cap_get_proc(), cap_free);
  cap_flag_value_t value = CAP_CLEAR;
  return current != nullptr &&
         cap_get_flag(current.get(), CAP_IPC_LOCK, CAP_EFFECTIVE, &value) == 0 && value == CAP_SET;
}

void LockMemory() {
  const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  const bool raised = setrlimit(RLIMIT_MEMLOCK, &unlimited) == 0;
  // With a limit in force, locking future memory would make later mmap() calls fail.
  if (!raised && !HasLockCapability()) {
    SPDLOG_WARN(
        "memory is not locked: neither CAP_IPC_LOCK nor an unlimited RLIMIT_MEMLOCK; "
        "avoid swap on this disk");
    return;
  }
  if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0) {
    SPDLOG_WARN("memory is not locked: mlockall: {}", strerror(errno));
  }
}

// Keeps those of `kept` that are there.
absl::Status KeepCapabilities(std::initializer_list<cap_value_t> kept) {
  const Capabilities current(cap_get_proc(), cap_free);
  const Capabilities wanted(cap_init(), cap_free);
  if (current == nullptr || wanted == nullptr) {
    return ErrnoStatus(errno, "allocate a capability set");
  }
  for (const cap_value_t value : kept) {
    cap_flag_value_t has = CAP_CLEAR;
    if (cap_get_flag(current.get(), value, CAP_EFFECTIVE, &has) != 0 || has == CAP_CLEAR) continue;
    if (cap_set_flag(wanted.get(), CAP_PERMITTED, 1, &value, CAP_SET) != 0 ||
        cap_set_flag(wanted.get(), CAP_EFFECTIVE, 1, &value, CAP_SET) != 0) {
      return ErrnoStatus(errno, "fill a capability set");
    }
  }
  if (cap_set_proc(wanted.get()) != 0) return ErrnoStatus(errno, "drop capabilities");
  return absl::OkStatus();
}

absl::Status DropBounds() {
  for (cap_value_t value = 0; cap_get_bound(value) >= 0; ++value) {
    if (value == CAP_IPC_LOCK || cap_get_bound(value) == 0) continue;
    // EPERM: no CAP_SETPCAP, so the process has been confined by someone else.
    if (cap_drop_bound(value) != 0 && errno != EPERM) {
      return ErrnoStatus(errno, absl::StrCat("drop capability ", value));
    }
  }
  return absl::OkStatus();
}

// A stack that is locked grows only as far as RLIMIT_MEMLOCK, and the process dies beyond.
void GrowStack() {
  volatile char stack[kGrownStackBytes];
  for (size_t i = 0; i < sizeof(stack); i += kPageBytes) stack[i] = 0;
}

// Without CAP_IPC_LOCK and with a limit in force, mmap() fails for a process that locks what it
// will map. What is mapped now stays locked.
void StopLockingLater() {
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY) return;
  if (!HasLockCapability()) return;  // nothing was locked
  GrowStack();
  if (mlockall(MCL_CURRENT | MCL_ONFAULT) != 0) {
    SPDLOG_WARN("mlockall: {}: memory is not locked any more", strerror(errno));
    munlockall();
  }
}

absl::Status BecomeUser(uint32_t user) {
  // glibc changes all threads. Losing user id 0 clears the capabilities.
  if (setgroups(0, nullptr) == 0 && setresgid(user, user, user) == 0 &&
      setresuid(user, user, user) == 0) {
    return absl::OkStatus();
  }
  const std::string what = absl::StrCat("become user ", user);
  if (errno != EINVAL) return ErrnoStatus(errno, what);
  return absl::InvalidArgumentError(
      absl::StrCat(what,
                   ": this user namespace does not have it: start the agent with "
                   "--driver-users and numbers that /proc/self/uid_map lists"));
}

}  // namespace

absl::Status EnterSandbox() {
  umask(077);
  if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) != 0) {
    SPDLOG_WARN(
        "PR_SET_IO_FLUSHER is refused ({}): needs CAP_SYS_RESOURCE; avoid swap on this disk",
        strerror(errno));
  }
  LockMemory();
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return ErrnoStatus(errno, "set no_new_privs");
  }
  RETURN_IF_ERROR(DropBounds());
  return KeepCapabilities({CAP_IPC_LOCK, CAP_SETUID, CAP_SETGID});
}

absl::Status LeaveRoot(uint32_t user) {
  if (user == 0) return KeepCapabilities({CAP_IPC_LOCK});
  StopLockingLater();
  RETURN_IF_ERROR(BecomeUser(user));
  // A process that was not root to begin with has kept what it had.
  RETURN_IF_ERROR(KeepCapabilities({}));
  return RefuseSystemCalls();
}

}  // namespace diskd::sdk
