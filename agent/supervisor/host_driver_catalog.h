// SPDX-License-Identifier: Apache-2.0
//
// The driver executables of this machine: diskd-driver-NAME in the driver directories.
#ifndef DISKD_AGENT_SUPERVISOR_HOST_DRIVER_CATALOG_H_
#define DISKD_AGENT_SUPERVISOR_HOST_DRIVER_CATALOG_H_

#include <sys/stat.h>

#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "agent/supervisor/driver_process.h"

namespace diskd::agent {

inline constexpr absl::Duration kDescribeLimit = absl::Seconds(5);
inline constexpr int kDriverProtocolVersion = 1;

class HostDriverCatalog : public DriverCatalog {
 public:
  // The first directory that has a name wins. Missing directories are skipped.
  explicit HostDriverCatalog(std::vector<std::string> directories,
                             absl::Duration describe_limit = kDescribeLimit);

  // Runs `describe` of executables that are new or have changed.
  std::vector<diskd::v1::DriverInfo> List() override;
  absl::StatusOr<std::string> FindExecutable(const std::string& name) override;
  absl::StatusOr<Program> FindProgram(const std::string& name) override;

 private:
  struct Entry {
    timespec modified{};
    ino_t inode = 0;
    diskd::v1::DriverInfo info;
    absl::Time ask_again = absl::InfiniteFuture();
  };
  std::map<std::string, std::string> Executables() const;  // path by name
  const diskd::v1::DriverInfo& Describe(const std::string& name, const std::string& path)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::vector<std::string> directories_;
  const absl::Duration describe_limit_;
  absl::Mutex mutex_;
  std::map<std::string, Entry> described_ ABSL_GUARDED_BY(mutex_);  // by path
};

}  // namespace diskd::agent

#endif  // DISKD_AGENT_SUPERVISOR_HOST_DRIVER_CATALOG_H_
