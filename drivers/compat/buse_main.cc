// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/errno_status.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "drivers/compat/buse.h"
#include "drivers/compat/callback_driver.h"
#include "drivers/compat/compat_disk.h"
#include "drivers/compat/dev_link.h"
#include "drivers/sdk/transport/queue_threads.h"

namespace diskd::compat {
namespace {

constexpr char kDirectory[] = "/run/buse";
constexpr char kNamePrefix[] = "buse.";
// How often to look whether the device has been taken from us.
constexpr absl::Duration kLookInterval = absl::Seconds(1);
// After the first signal: what is mounted may be unmounted for so long.
constexpr absl::Duration kGrace = absl::Seconds(10);
constexpr absl::Duration kRetryInterval = absl::Milliseconds(100);

void Say(const std::string& text) { fprintf(stderr, "buse: %s\n", text.c_str()); }

// SIGINT and SIGTERM, blocked here and in all threads to come until the end of the scope.
class EndSignals {
 public:
  EndSignals() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGINT);
    sigaddset(&signals_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals_, &before_);
  }
  ~EndSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  // False: none came within the limit.
  bool Wait(absl::Duration limit) const {
    const timespec time = absl::ToTimespec(limit);
    return sigtimedwait(&signals_, nullptr, &time) > 0;
  }

 private:
  sigset_t signals_, before_;
};

// One process per device file. Held until the process or the returned descriptor goes.
absl::StatusOr<Fd> LockName(const std::string& dev_file, const std::string& name) {
  if (mkdir(kDirectory, 0700) != 0 && errno != EEXIST) {
    return ErrnoStatus(errno, absl::StrCat("create ", kDirectory));
  }
  const std::string path = absl::StrCat(kDirectory, "/", name, ".lock");
  Fd lock(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock.valid()) return ErrnoStatus(errno, absl::StrCat("open ", path));
  if (flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
  return absl::FailedPreconditionError(
      absl::StrCat(dev_file, " is served by another process: stop it, or use another name"));
}

// Takes the disk away after the first signal. While it is in use there is time to unmount it;
// a second signal, or the end of that time, takes it away by force, as nbd does at once.
absl::Status Disconnect(CompatDisk& disk, const EndSignals& signals) {
  const absl::Time deadline = absl::Now() + kGrace;
  bool told = false;
  for (;;) {
    const absl::Status status = disk.Unpublish(/*force=*/false);
    if (!absl::IsFailedPrecondition(status)) return status;
    if (!told) {
      Say(absl::StrCat(status.message(), "; it goes away in ", absl::FormatDuration(kGrace),
                       ", or at the next signal, and what is not written by then is lost"));
      told = true;
      sync();
    }
    if (signals.Wait(kRetryInterval) || absl::Now() > deadline) break;
  }
  Say(absl::StrCat("disconnecting ", disk.path(), " in use"));
  return disk.Unpublish(/*force=*/true);
}

// Until a signal has taken the disk away, or somebody else has.
absl::Status ServeUntilSignal(CompatDisk& disk, sdk::QueueThreads& threads,
                              const EndSignals& signals) {
  while (!signals.Wait(kLookInterval)) {
    if (!threads.running()) {
      return absl::UnavailableError(absl::StrCat(disk.path(), " was taken away"));
    }
  }
  return Disconnect(disk, signals);
}

absl::Status Run(const std::string& dev_file, const buse_operations& operations, void* userdata) {
  ASSIGN_OR_RETURN(const sdk::Geometry geometry, GeometryOf(operations));
  ASSIGN_OR_RETURN(const DevPath at_path, CheckDevPath(dev_file));
  const std::string name = absl::StrCat(kNamePrefix, NameOfDevPath(dev_file));
  ASSIGN_OR_RETURN(const Fd lock, LockName(dev_file, name));
  const EndSignals signals;

  ASSIGN_OR_RETURN(const std::unique_ptr<CompatDisk> disk,
                   CompatDisk::Make(name, kDirectory, geometry));
  CallbackDriver driver(operations, userdata, geometry);
  std::vector<std::unique_ptr<sdk::QueueTransport>> queues(1);
  ASSIGN_OR_RETURN(queues[0], disk->OpenQueue(driver));
  ASSIGN_OR_RETURN(std::unique_ptr<sdk::QueueThreads> threads,
                   sdk::QueueThreads::Start(std::move(queues)));
  const auto end = absl::MakeCleanup([&] {
    threads.reset();
    if (operations.disc != nullptr) operations.disc(userdata);
  });
  RETURN_IF_ERROR(disk->Publish());
  const std::string path = disk->path();
  if (at_path == DevPath::kDevice) {
    Say(absl::StrCat("serving ", path, "; ", dev_file, " is a device of its own, and not used"));
    return ServeUntilSignal(*disk, *threads, signals);
  }
  const absl::Status linked = MakeDevLink(dev_file, path);
  Say(linked.ok() ? absl::StrCat("serving ", path, ", ", dev_file, " leads there")
                  : absl::StrCat("serving ", path, "; ", linked.message()));
  const absl::Status status = ServeUntilSignal(*disk, *threads, signals);
  RemoveDevLink(dev_file, path);
  return status;
}

}  // namespace
}  // namespace diskd::compat

extern "C" int buse_main(const char* dev_file, const struct buse_operations* bop, void* userdata) {
  if (dev_file == nullptr || bop == nullptr) {
    diskd::compat::Say("buse_main() needs a device file and operations");
    return EXIT_FAILURE;
  }
  diskd::InitLog("buse", "warning");
  const absl::Status status = diskd::compat::Run(dev_file, *bop, userdata);
  if (status.ok()) return EXIT_SUCCESS;
  diskd::compat::Say(std::string(status.message()));
  return EXIT_FAILURE;
}
