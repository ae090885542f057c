// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/store/object_name.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "drivers/object/env/store.h"

namespace diskd::object {
namespace {

bool Allowed(unsigned char c) {
  return absl::ascii_isdigit(c) || absl::ascii_islower(c) || c == '/' || c == '.' || c == '_' ||
         c == '-';
}

// Names are refused as they are, so the message must not carry control characters.
absl::Status Bad(absl::string_view text, absl::string_view why) {
  std::string shown(text.substr(0, kMaxNameBytes));
  std::replace_if(
      shown.begin(), shown.end(), [](unsigned char c) { return !absl::ascii_isprint(c); }, '?');
  return absl::InvalidArgumentError(absl::StrCat("object name \"", shown, "\" ", why));
}

absl::Status CheckComponents(absl::string_view text, bool last_may_be_empty) {
  const std::vector<absl::string_view> components = absl::StrSplit(text, '/');
  for (size_t i = 0; i < components.size(); ++i) {
    const bool last = i + 1 == components.size();
    if (components[i] == "." || components[i] == ".." ||
        (components[i].empty() && !(last && last_may_be_empty))) {
      return Bad(text, "has an empty, \".\" or \"..\" component");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckLetters(absl::string_view text) {
  if (text.size() > kMaxNameBytes) return Bad(text, "is longer than 512 bytes");
  if (!std::all_of(text.begin(), text.end(), Allowed)) {
    return Bad(text, "has other letters than [0-9a-z/._-]");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckName(absl::string_view name) {
  if (absl::Status status = CheckLetters(name); !status.ok()) return status;
  if (absl::EndsWith(name, ".tmp")) return Bad(name, "ends in \".tmp\"");
  return CheckComponents(name, /*last_may_be_empty=*/false);
}

absl::Status CheckPrefix(absl::string_view prefix) {
  if (absl::Status status = CheckLetters(prefix); !status.ok()) return status;
  if (prefix.empty()) return absl::OkStatus();
  // The last component may still grow, so "a/." is the beginning of "a/.b".
  const size_t slash = prefix.rfind('/');
  if (slash == absl::string_view::npos) return absl::OkStatus();
  return CheckComponents(prefix.substr(0, slash + 1), /*last_may_be_empty=*/true);
}

}  // namespace diskd::object
