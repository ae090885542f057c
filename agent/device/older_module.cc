// SPDX-License-Identifier: Apache-2.0
#include "agent/device/older_module.h"

namespace diskd::agent {
namespace {

// They only make a disk faster.
constexpr uint32_t kDispensable = BUSE_ATTR_BIO;

}  // namespace

absl::Status CreateOnAnyModule(buse_info& info,
                               absl::FunctionRef<absl::Status(buse_info&)> create) {
  const buse_info wanted = info;
  absl::Status created = create(info);
  if (!absl::IsInvalidArgument(created) || (wanted.params.attributes & kDispensable) == 0) {
    return created;
  }
  info = wanted;
  info.params.attributes &= ~kDispensable;
  return create(info);
}

}  // namespace diskd::agent
