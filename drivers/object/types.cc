// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/types.h"

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"

namespace diskd::object {

std::string Uuid::Hex() const {
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

}  // namespace diskd::object
