// SPDX-License-Identifier: Apache-2.0
#include "client/diskctl/host_facts.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/fd.h"
#include "client/lib/status.h"

namespace diskd::diskctl {
namespace {

absl::Status TryOpen(const char* path) {
  const Fd fd(open(path, O_RDWR | O_CLOEXEC));
  return fd.valid() ? absl::OkStatus() : ErrnoStatus(errno, absl::StrCat("open ", path));
}

absl::Status TryStat(const char* path) {
  struct stat info;
  return stat(path, &info) == 0 ? absl::OkStatus()
                                : ErrnoStatus(errno, absl::StrCat("stat ", path));
}

// Where `make install`, DKMS and distribution packages put it.
std::string FindModule(const std::string& release) {
  for (const char* folder : {"updates", "updates/dkms", "extra", "kernel/drivers/block", ""}) {
    for (const char* suffix : {"", ".xz", ".zst", ".gz"}) {
      const std::string path = absl::StrCat("/lib/modules/", release, "/", folder,
                                            *folder ? "/" : "", "buse.ko", suffix);
      if (access(path.c_str(), F_OK) == 0) return path;
    }
  }
  return "";
}

}  // namespace

HostFacts ReadHostFacts(const std::string& socket_path) {
  HostFacts facts;
  facts.root = geteuid() == 0;
  utsname name{};
  if (uname(&name) == 0) facts.kernel_release = name.release;
  facts.socket = client::CheckSocket(socket_path);
  facts.fuse = TryOpen("/dev/fuse");
  facts.loop = TryOpen("/dev/loop-control");
  facts.buse = TryStat("/dev/buse-control");
  facts.module_file = FindModule(facts.kernel_release);
  return facts;
}

}  // namespace diskd::diskctl
