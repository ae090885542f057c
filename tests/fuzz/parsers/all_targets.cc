// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/parsers/target.h"

namespace diskd::fuzz {

std::vector<Target> AllTargets() {
  std::vector<Target> all = FormatTargets();
  for (const Target& target : StoreTargets()) all.push_back(target);
  for (const Target& target : TextTargets()) all.push_back(target);
  return all;
}

}  // namespace diskd::fuzz
