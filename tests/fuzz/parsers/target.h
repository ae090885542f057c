// SPDX-License-Identifier: Apache-2.0
//
// The parsers of bytes that others wrote (a disk, a store, a network, a user), each as a fuzz
// target. libFuzzer runs them one at a time (parser_fuzz), the unit test parser_replay_test runs
// all of them on the seeds, on what fuzzing has found before, and on deterministic changes of both.
#ifndef DISKD_TESTS_FUZZ_PARSERS_TARGET_H_
#define DISKD_TESTS_FUZZ_PARSERS_TARGET_H_

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace diskd::fuzz {

struct Target {
  const char* name;
  // Must survive any bytes; aborts where a promise of the parser is broken. Whether it takes them.
  bool (*run)(absl::string_view bytes);
  // At least one of them is taken.
  std::vector<std::string> (*seeds)();
};

std::vector<Target> FormatTargets();  // log, objects, map, HEAD
std::vector<Target> StoreTargets();   // what an S3 service answers; files and names of a store
std::vector<Target> TextTargets();    // what users and clients write; what the S3 double is sent

std::vector<Target> AllTargets();

inline void Require(bool kept, const char* promise) {
  if (kept) return;
  fprintf(stderr, "broken: %s\n", promise);
  abort();
}

}  // namespace diskd::fuzz

#endif  // DISKD_TESTS_FUZZ_PARSERS_TARGET_H_
