// SPDX-License-Identifier: Apache-2.0
#include "agent/volume/names.h"

#include <sys/random.h>

#include <algorithm>
#include <cstdint>
#include <random>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace diskd::agent {
namespace {

constexpr absl::string_view kIdPrefix = "vol-";
constexpr size_t kIdDigits = 16;
constexpr size_t kShownNameBytes = 40;

bool IsNameByte(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-';
}

}  // namespace

std::string NewVolumeId() {
  uint64_t bits = 0;
  if (getrandom(&bits, sizeof(bits), 0) != sizeof(bits)) {
    std::random_device device;
    bits = static_cast<uint64_t>(device()) << 32 | device();
  }
  return absl::StrCat(kIdPrefix, absl::StrFormat("%016x", bits));
}

bool IsVolumeId(absl::string_view text) {
  if (text.size() != kIdPrefix.size() + kIdDigits || text.substr(0, 4) != kIdPrefix) return false;
  const absl::string_view digits = text.substr(4);
  return std::all_of(digits.begin(), digits.end(), [](char c) {
    return absl::ascii_isdigit(static_cast<unsigned char>(c)) || (c >= 'a' && c <= 'f');
  });
}

absl::Status CheckName(absl::string_view name) {
  if (IsVolumeId(name)) {
    return absl::InvalidArgumentError(
        absl::StrCat("name \"", name, "\" looks like a volume id: choose another name"));
  }
  if (!name.empty() && name.size() <= kMaxNameBytes &&
      absl::ascii_isalnum(static_cast<unsigned char>(name[0])) &&
      std::all_of(name.begin(), name.end(), IsNameByte)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "name \"", name.substr(0, kShownNameBytes), name.size() > kShownNameBytes ? "..." : "",
      "\" is not allowed: use 1 to ", kMaxNameBytes,
      " letters, digits, '.', '_' and '-', and begin with a letter or digit"));
}

}  // namespace diskd::agent
