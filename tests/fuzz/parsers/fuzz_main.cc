// SPDX-License-Identifier: Apache-2.0
//
// One target under libFuzzer: DISKD_FUZZ_TARGET is its name, DISKD_FUZZ_SEEDS a directory that its
// seeds are written to. Without a target, prints their names.
#include <cstdint>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "tests/fuzz/parsers/target.h"

namespace {
bool (*run)(absl::string_view) = nullptr;
}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  const char* const name = getenv("DISKD_FUZZ_TARGET");
  const char* const seeds = getenv("DISKD_FUZZ_SEEDS");
  for (const diskd::fuzz::Target& target : diskd::fuzz::AllTargets()) {
    if (name == nullptr) puts(target.name);
    if (name == nullptr || absl::string_view(name) != target.name) continue;
    run = target.run;
    int number = 0;
    for (const std::string& seed : target.seeds()) {
      if (seeds != nullptr) {
        std::ofstream(absl::StrCat(seeds, "/seed-", number++), std::ios::binary) << seed;
      }
    }
  }
  if (name == nullptr) exit(0);
  diskd::fuzz::Require(run != nullptr, "DISKD_FUZZ_TARGET is a target");
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  (void)run(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
