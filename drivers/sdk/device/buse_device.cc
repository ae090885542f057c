// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/device/buse_device.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "drivers/sdk/device/device_node.h"

namespace diskd::sdk {
namespace {

constexpr char kControlPath[] = "/dev/buse-control";

absl::Status IoctlStatus(int error, const std::string& what) {
  if (error == ENOENT || error == ENODEV) {
    return absl::NotFoundError(absl::StrCat(what, ": no such buse device"));
  }
  if (error == EBUSY) {
    return absl::FailedPreconditionError(
        absl::StrCat(what, ": the device is in use (EBUSY): unmount and close it first"));
  }
  return ErrnoStatus(error, what);
}

absl::Status Command(int fd, unsigned long request, const char* verb, uint32_t index,
                     uint32_t flags = 0, uint64_t value = 0) {
  buse_command command{.index = index, .flags = flags, .value = value};
  if (ioctl(fd, request, &command) == 0) return absl::OkStatus();
  return IoctlStatus(errno, absl::StrCat(verb, " ", BuseControl::DiskPath(index)));
}

std::string NameOf(const buse_info& info) {
  return std::string(info.name, strnlen(info.name, sizeof(info.name)));
}

}  // namespace

std::string BuseControl::DiskPath(uint32_t index) { return absl::StrCat("/dev/buse", index); }

absl::StatusOr<BuseControl> BuseControl::Open() {
  Fd fd(open(kControlPath, O_RDWR | O_CLOEXEC));
  if (fd.valid()) return BuseControl(std::move(fd));
  if (errno == ENOENT || errno == ENXIO || errno == ENODEV) {
    return absl::NotFoundError(
        absl::StrCat(kControlPath, " is missing: load the kernel module with `modprobe buse`"));
  }
  return ErrnoStatus(errno, absl::StrCat("open ", kControlPath));
}

absl::Status BuseControl::Create(buse_info& info) {
  if (ioctl(fd_.get(), BUSE_CTL_CREATE, &info) == 0) return absl::OkStatus();
  return ErrnoStatus(errno, absl::StrCat("create buse device \"", NameOf(info), "\""));
}

absl::Status BuseControl::Start(uint32_t index) {
  return Command(fd_.get(), BUSE_CTL_START, "start", index);
}

absl::Status BuseControl::Stop(uint32_t index, bool force) {
  return Command(fd_.get(), BUSE_CTL_STOP, "stop", index, force ? BUSE_STOP_FORCE : 0);
}

absl::Status BuseControl::Destroy(uint32_t index) {
  return Command(fd_.get(), BUSE_CTL_DESTROY, "destroy", index);
}

absl::Status BuseControl::Resize(uint32_t index, uint64_t size_bytes) {
  return Command(fd_.get(), BUSE_CTL_RESIZE, "resize", index, 0, size_bytes);
}

absl::StatusOr<buse_info> BuseControl::Info(uint32_t index) {
  buse_info info{};
  info.index = index;
  if (ioctl(fd_.get(), BUSE_CTL_INFO, &info) == 0) return info;
  return IoctlStatus(errno, absl::StrCat("info of ", DiskPath(index)));
}

absl::StatusOr<buse_info> BuseControl::FindByName(const std::string& name) {
  ASSIGN_OR_RETURN(const std::vector<uint32_t> indices, List());
  for (const uint32_t index : indices) {
    auto info = Info(index);
    if (absl::IsNotFound(info.status())) continue;  // destroyed since it was listed
    if (!info.ok()) return info.status();
    if (NameOf(*info) == name) return info;
  }
  return absl::NotFoundError(absl::StrCat("no buse device is named \"", name, "\""));
}

absl::StatusOr<std::vector<uint32_t>> BuseControl::List() {
  std::vector<uint32_t> indices;
  buse_list list{};
  do {
    if (ioctl(fd_.get(), BUSE_CTL_LIST, &list) != 0) {
      return ErrnoStatus(errno, "list buse devices");
    }
    if (list.count > BUSE_LIST_MAX) {
      return absl::InternalError(absl::StrCat("buse listed ", list.count, " devices at once"));
    }
    indices.insert(indices.end(), list.index, list.index + list.count);
    if (list.count > 0) list.first = indices.back() + 1;
  } while (list.count == BUSE_LIST_MAX);
  return indices;
}

absl::StatusOr<std::vector<Fd>> BuseControl::OpenServers(const buse_info& info) {
  const std::string path = absl::StrCat("/dev/busec", info.index);
  std::vector<Fd> servers;
  for (uint32_t queue = 0; queue < info.params.nr_queues; ++queue) {
    Fd fd(open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!fd.valid() && errno == ENOENT) {
      RETURN_IF_ERROR(EnsureDeviceNode(path, S_IFCHR, info.server_major, info.server_minor));
      fd = Fd(open(path.c_str(), O_RDWR | O_CLOEXEC));
    }
    if (!fd.valid()) return ErrnoStatus(errno, absl::StrCat("open ", path));
    servers.push_back(std::move(fd));
  }
  return servers;
}

}  // namespace diskd::sdk
