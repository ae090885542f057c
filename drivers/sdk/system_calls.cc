// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/system_calls.h"

#include <sched.h>
#include <seccomp.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace diskd::sdk {
namespace {

using Filter = std::unique_ptr<void, void (*)(scmp_filter_ctx)>;

constexpr int kRefused[] = {
    // other programs
    SCMP_SYS(execve), SCMP_SYS(execveat),
    // other processes
    SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(kcmp),
    SCMP_SYS(pidfd_getfd), SCMP_SYS(process_madvise),
    // mounts and namespaces
    SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(unshare),
    SCMP_SYS(setns), SCMP_SYS(fsopen), SCMP_SYS(fsconfig), SCMP_SYS(fsmount), SCMP_SYS(fspick),
    SCMP_SYS(move_mount), SCMP_SYS(open_tree), SCMP_SYS(mount_setattr),
    // the system
    SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load), SCMP_SYS(reboot), SCMP_SYS(swapon), SCMP_SYS(swapoff),
    SCMP_SYS(settimeofday), SCMP_SYS(clock_settime), SCMP_SYS(adjtimex), SCMP_SYS(sethostname),
    SCMP_SYS(acct), SCMP_SYS(quotactl), SCMP_SYS(syslog), SCMP_SYS(iopl), SCMP_SYS(ioperm),
    // parts of the kernel that drivers have no use for
    SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(add_key),
    SCMP_SYS(request_key), SCMP_SYS(keyctl), SCMP_SYS(open_by_handle_at), SCMP_SYS(personality)};

absl::Status Rule(scmp_filter_ctx filter, uint32_t action, int call) {
  const int result = seccomp_rule_add(filter, action, call, 0);
  // EDOM: this architecture does not have the call.
  if (result == 0 || result == -EDOM) return absl::OkStatus();
  return ErrnoStatus(-result, absl::StrCat("refuse system call ", call));
}

}  // namespace

absl::Status RefuseSystemCalls() {
  const Filter filter(seccomp_init(SCMP_ACT_ALLOW), seccomp_release);
  if (filter == nullptr) return ErrnoStatus(ENOMEM, "make a seccomp filter");
  for (const int call : kRefused) {
    RETURN_IF_ERROR(Rule(filter.get(), SCMP_ACT_ERRNO(EPERM), call));
  }
  // Its flags are in memory, where a filter can't look; libraries then fall back to clone().
  RETURN_IF_ERROR(Rule(filter.get(), SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3)));
  int result = seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER));
  if (result == 0) result = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1);
  if (result == 0) result = seccomp_load(filter.get());
  if (result == -EOPNOTSUPP || result == -ENOSYS || result == -EINVAL) {
    SPDLOG_WARN("system calls are not restricted: {}", strerror(-result));
    return absl::OkStatus();
  }
  return result == 0 ? absl::OkStatus() : ErrnoStatus(-result, "load a seccomp filter");
}

}  // namespace diskd::sdk
