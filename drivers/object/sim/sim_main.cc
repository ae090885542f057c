// SPDX-License-Identifier: Apache-2.0
//
// object_sim: runs simulated histories of object volumes and looks for violations.
//   --seeds N     how many (default 1000)
//   --first S     the first seed (default 1)
//   --planted N   N seeds at most for each planted defect (default: as many as --seeds; 0: none)
//   --fencing F   cas (default), or lease: on a store that ignores conditions
//   --trace       tells what happens; with --seeds 1
// Ends with "seeds N violations V planted CAUGHT/8" (of fencing=lease: 5); exit code 1: a
// violation, or a planted defect that was not found.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "base/log.h"
#include "drivers/object/sim/world.h"

namespace {

using diskd::object::Coverage;
using diskd::object::Fencing;
using diskd::object::Sabotage;
using diskd::object::World;

constexpr int kReported = 10;
constexpr const char* kNames[] = {"none",
                                  "no checksum check",
                                  "flush not waiting",
                                  "collection deletes early",
                                  "upload out of order",
                                  "epoch not checked",
                                  "map page lost",
                                  "zeros for a missing object",
                                  "seal skipped",
                                  "clone not pinned",
                                  "cache not checked",
                                  "memory not replayed",
                                  "no second wait",
                                  "a late answer counts",
                                  "lease counted from the end of a look",
                                  "collection beyond the lease",
                                  "HEADs overlap"};
// Of each fencing: the first one, those that the last line counts, those that come with it.
struct Defects {
  int first;
  int counted;
  int further;
};
constexpr Defects kOfCas = {1, 8, 3};
constexpr Defects kOfLease = {12, 5, 0};

struct Outcome {
  uint64_t run = 0;
  uint64_t violations = 0;
  uint64_t first_seed = 0;
  std::string first;
  Coverage coverage;
};

Outcome RunSeeds(uint64_t first, uint64_t count, Sabotage sabotage, Fencing fencing, bool stop,
                 bool trace) {
  std::atomic<uint64_t> next = first;
  absl::Mutex mutex;
  Outcome outcome;
  auto work = [&] {
    for (;;) {
      const uint64_t seed = next.fetch_add(1);
      if (seed >= first + count) return;
      World world(seed, sabotage, trace, fencing);
      const std::string violation = world.Run();
      const absl::MutexLock lock(&mutex);
      ++outcome.run;
      outcome.coverage.Add(world.coverage());
      if (violation.empty()) continue;
      if (outcome.violations++ == 0) {
        outcome.first = violation;
        outcome.first_seed = seed;
      }
      if (!stop && outcome.violations <= kReported) {
        printf("seed %lu: %s\n", seed, violation.c_str());
        fflush(stdout);
      }
      if (stop) next = first + count;
    }
  };
  std::vector<std::thread> threads;
  const unsigned parallel = trace ? 1 : std::max(1u, std::thread::hardware_concurrency());
  for (unsigned i = 0; i < parallel; ++i) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
  return outcome;
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t seeds = 1000;
  uint64_t first = 1;
  uint64_t planted = ~uint64_t{0};
  bool trace = false;
  Fencing fencing = Fencing::kCas;
  for (int i = 1; i < argc; ++i) {
    if (strcmp(argv[i], "--trace") == 0) {
      trace = true;
    } else if (i + 1 < argc && strcmp(argv[i], "--seeds") == 0) {
      seeds = strtoull(argv[++i], nullptr, 10);
    } else if (i + 1 < argc && strcmp(argv[i], "--first") == 0) {
      first = strtoull(argv[++i], nullptr, 10);
    } else if (i + 1 < argc && strcmp(argv[i], "--planted") == 0) {
      planted = strtoull(argv[++i], nullptr, 10);
    } else if (i + 1 < argc && strcmp(argv[i], "--fencing") == 0 &&
               (strcmp(argv[i + 1], "cas") == 0 || strcmp(argv[i + 1], "lease") == 0)) {
      fencing = strcmp(argv[++i], "lease") == 0 ? Fencing::kLease : Fencing::kCas;
    } else {
      fprintf(stderr,
              "usage: object_sim [--seeds N] [--first S] [--planted N] [--fencing cas|lease] "
              "[--trace]\n");
      return 2;
    }
  }
  if (planted == ~uint64_t{0}) planted = seeds;
  spdlog::set_level(spdlog::level::off);
  const Outcome plain = RunSeeds(first, seeds, Sabotage::kNone, fencing, false, trace);
  const Defects defects = fencing == Fencing::kLease ? kOfLease : kOfCas;
  const int end = defects.first + defects.counted + defects.further;
  int caught = 0;
  int more_caught = 0;
  for (int i = defects.first; i < end && planted > 0; ++i) {
    const Outcome found = RunSeeds(first, planted, static_cast<Sabotage>(i), fencing, true, false);
    if (found.violations > 0) {
      ++(i < defects.first + defects.counted ? caught : more_caught);
      printf("planted: %s: found by seed %lu: %s\n", kNames[i], found.first_seed,
             found.first.c_str());
    } else {
      printf("planted: %s: NOT FOUND in %lu seeds\n", kNames[i], found.run);
    }
  }
  const Coverage& covered = plain.coverage;
  printf(
      "covered: %lu writes, %lu kills, %lu power cuts, %lu lost logs, %lu takeovers, %lu closes, "
      "%lu openings killed, "
      "%lu checkpoints, %lu snapshots, %lu rollbacks, %lu objects deleted, %lu blocks moved, "
      "%lu store retries\n",
      covered.writes, covered.ends[0], covered.ends[1], covered.ends[2], covered.ends[3],
      covered.ends[4], covered.killed_openings, covered.checkpoints, covered.snapshots,
      covered.rollbacks, covered.deleted_objects, covered.moved_blocks, covered.retries);
  printf(
      "covered: %lu clones, %lu copies, %lu volumes deleted, %lu of them with clones, %lu of this "
      "broken off, %lu ids used again\n",
      covered.clones, covered.copies, covered.deleted_volumes, covered.deleted_with_clones,
      covered.broken_off, covered.used_again);
  printf(
      "covered: %lu resizes, %lu diffs (%lu blocks changed, %lu told), %lu checks of living "
      "volumes, "
      "%lu damages, %lu of them found\n",
      covered.resizes, covered.diffs, covered.changed_blocks, covered.told_blocks, covered.checks,
      covered.damages, covered.damages_found);
  printf("covered: %lu MiB of data, %lu MiB as stored, %lu log records that only memory had\n",
         covered.packed_bytes >> 20, covered.stored_bytes >> 20, covered.kept_records);
  printf("covered: %lu cache hits, %lu blocks found in caches, %lu damaged ones, %lu read ahead\n",
         covered.cache_hits, covered.cache_restored, covered.cache_damaged, covered.read_ahead);
  if (fencing == Fencing::kLease) {
    printf(
        "covered: %lu rivals, %lu openings refused, %lu disturbed owners taken over, %lu owners "
        "that stopped themselves\n",
        covered.rivals, covered.refused, covered.disturbed, covered.fenced);
  }
  if (planted > 0 && defects.further > 0) {
    printf("further planted %d/%d\n", more_caught, defects.further);
  }
  printf("seeds %lu violations %lu planted %d/%d\n", plain.run, plain.violations, caught,
         defects.counted);
  const bool all = caught + more_caught == defects.counted + defects.further;
  return plain.violations == 0 && (planted == 0 || all) ? 0 : 1;
}
