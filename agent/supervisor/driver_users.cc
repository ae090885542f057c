// SPDX-License-Identifier: Apache-2.0
#include "agent/supervisor/driver_users.h"

#include <cstdint>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace diskd::agent {
namespace {

// The last numbers mean "none" to system calls.
constexpr uint64_t kEnd = uint64_t{0xfffffffe};

bool IsMapped(uint64_t first, uint64_t count, absl::string_view uid_map) {
  for (const absl::string_view line : absl::StrSplit(uid_map, '\n')) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ', absl::SkipEmpty());
    uint64_t inside, length;
    if (fields.size() != 3 || !absl::SimpleAtoi(fields[0], &inside) ||
        !absl::SimpleAtoi(fields[2], &length)) {
      continue;
    }
    if (first >= inside && first + count <= inside + length) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<DriverUsers> DriverUsers::Parse(absl::string_view text, absl::string_view uid_map) {
  DriverUsers users;
  if (text == "root") return users;
  const std::vector<absl::string_view> parts = absl::StrSplit(text, ':');
  uint64_t first = 0, count = 0;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &first) ||
      !absl::SimpleAtoi(parts[1], &count) || first == 0 || count == 0 || first >= kEnd ||
      count > kEnd - first) {
    return absl::InvalidArgumentError(absl::StrCat("driver users \"", text,
                                                   "\" are neither FIRST:COUNT, such as ",
                                                   kDefaultDriverUsers, ", nor root"));
  }
  if (!IsMapped(first, count, uid_map)) {
    return absl::FailedPreconditionError(
        absl::StrCat("the agent's user namespace does not have the driver users ", text,
                     ": choose others by --driver-users FIRST:COUNT from /proc/self/uid_map"));
  }
  users.first_ = static_cast<uid_t>(first);
  users.count_ = static_cast<uint32_t>(count);
  return users;
}

uid_t DriverUsers::Of(const std::string& volume_id) const {
  if (count_ == 0) return 0;
  // The ids are random; this is FNV-1a, the same in every release.
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : volume_id) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return first_ + static_cast<uid_t>(hash % count_);
}

}  // namespace diskd::agent
