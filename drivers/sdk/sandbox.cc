// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/sandbox.h"

#include <linux/prctl.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace diskd::sdk {
namespace {

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

absl::Status DropCapabilities() {
  const bool keep_lock = HasLockCapability();
  for (cap_value_t value = 0; cap_get_bound(value) >= 0; ++value) {
    if (value == CAP_IPC_LOCK || cap_get_bound(value) == 0) continue;
    // EPERM: no CAP_SETPCAP, so the process has been confined by someone else.
    if (cap_drop_bound(value) != 0 && errno != EPERM) {
      return ErrnoStatus(errno, absl::StrCat("drop capability ", value));
    }
  }
  const Capabilities wanted(cap_init(), cap_free);
  if (wanted == nullptr) return ErrnoStatus(errno, "allocate a capability set");
  constexpr cap_value_t kLock[] = {CAP_IPC_LOCK};
  if (keep_lock && (cap_set_flag(wanted.get(), CAP_PERMITTED, 1, kLock, CAP_SET) != 0 ||
                    cap_set_flag(wanted.get(), CAP_EFFECTIVE, 1, kLock, CAP_SET) != 0)) {
    return ErrnoStatus(errno, "fill a capability set");
  }
  if (cap_set_proc(wanted.get()) != 0) return ErrnoStatus(errno, "drop capabilities");
  return absl::OkStatus();
}

}  // namespace

absl::Status EnterSandbox() {
  umask(077);
  if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) != 0) {
    SPDLOG_DEBUG("PR_SET_IO_FLUSHER is refused ({}): needs CAP_SYS_RESOURCE", strerror(errno));
  }
  LockMemory();
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return ErrnoStatus(errno, "set no_new_privs");
  }
  return DropCapabilities();
}

}  // namespace diskd::sdk
