// SPDX-License-Identifier: Apache-2.0
//
// object_figures: counts that depend on no machine, each with its target: requests, bytes and
// virtual time of engines on a simulated store that answers every request after 2 ms.
// Prints lines "WHAT VALUE UNIT (target)". The volumes for write amplification, their objects and
// their log are a quarter of real ones, the latency is 1/32.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "drivers/object/sim/node.h"

namespace diskd::object {
namespace {

constexpr uint64_t kGib = uint64_t{1} << 30;
constexpr int kDepth = 32;
constexpr absl::Duration kLatency = absl::Milliseconds(1);  // each way

void Print(const std::string& what, double value, const char* unit, const char* target) {
  printf("%-46s %12.3f %s (%s)\n", what.c_str(), value, unit, target);
  fflush(stdout);
}

void Require(bool holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "object_figures: %s\n", what);
  exit(1);
}

// A volume and its store.
class Rig {
 public:
  Rig(uint64_t size_blocks, uint64_t log_bytes, const Options& options)
      : size_blocks_(size_blocks),
        options_(options),
        disk_(std::make_shared<SimDisk>(&scheduler_, log_bytes / kBlockBytes, 0)) {
    store_.latency = kLatency;
    Wait("create", [&](auto done) { process_.volumes().Create(volume_, size_blocks, done); });
    Open();
  }

  // The time from the start of a process to its first answer.
  absl::Duration Open() {
    node_.reset();
    RunUntil([&] { return disk_->idle(); });
    const absl::Duration begin = scheduler_.Now();
    node_ = std::make_unique<Node>(&scheduler_, &store_, disk_, nullptr, volume_, options_);
    Wait("open", [&](auto done) { engine().Open(done); });
    AlignedBuffer buffer(1);
    Wait("read", [&](auto done) {
      engine().Submit({RequestKind::kRead, false, 0, 1, buffer.block(0), done});
    });
    return scheduler_.Now() - begin;
  }
  void Write(uint64_t count, const std::function<Lba()>& next, const std::function<void()>& each) {
    uint64_t in_flight = 0;
    for (uint64_t i = 0; i < count; ++i) {
      RunUntil([&] { return in_flight < kDepth; });
      ++in_flight;
      engine().Submit({RequestKind::kWrite, false, next(), 1, buffer_.block(0),
                       [&in_flight](absl::Status status) {
                         Require(status.ok(), "a write failed");
                         --in_flight;
                       }});
      if (i % 1024 == 0) each();
    }
    RunUntil([&] { return in_flight == 0; });
  }
  // Until everything is in the store and nothing more happens.
  void Settle() {
    RunUntil([&] { return engine().stats().uploaded_sequence == engine().stats().last_sequence; });
    RunFor(absl::Minutes(1));
  }
  void RunFor(absl::Duration length) {
    bool over = false;
    scheduler_.After(length, [&over] { over = true; });
    RunUntil([&] { return over; });
  }
  void Wait(const char* what, const std::function<void(std::function<void(absl::Status)>)>& start) {
    bool ended = false;
    start([&](absl::Status status) {
      if (!status.ok()) fprintf(stderr, "%s: %s\n", what, status.ToString().c_str());
      Require(status.ok(), what);
      ended = true;
    });
    RunUntil([&] { return ended; });
  }
  void RunUntil(const std::function<bool()>& done) {
    while (!done()) Require(scheduler_.RunOne(), "nothing happens any more");
  }

  Engine& engine() { return node_->engine(); }
  SimStore& store() { return store_; }
  Volumes& volumes() { return process_.volumes(); }
  const Uuid& volume() const { return volume_; }
  std::function<Lba()> Uniform() {
    return [this] { return random_() % size_blocks_; };
  }

 private:
  const uint64_t size_blocks_;
  const Options options_;
  SimScheduler scheduler_{1};
  SimStore store_{&scheduler_};
  std::mt19937_64 random_{1};
  const Uuid volume_ = [] {
    Uuid id;
    id.bytes[0] = 1;
    return id;
  }();
  Operator process_{&scheduler_, &store_, options_};
  const std::shared_ptr<SimDisk> disk_;
  std::unique_ptr<Node> node_;
  AlignedBuffer buffer_{1};
};

void Requests() {
  Rig rig(kGib / kBlockBytes, 256 << 20, Options());  // the log's size if nothing is said
  const uint64_t before = rig.store().requests.puts;
  // Every block once, in an order without any order: what collection costs is counted elsewhere.
  uint64_t step = 0;
  rig.Write(
      kGib / kBlockBytes, [&step] { return step++ * 0x9e3779b1 % (kGib / kBlockBytes); }, [] {});
  rig.Settle();
  Print("PUTs for 1 GiB of random 4 KiB writes",
        static_cast<double>(rig.store().requests.puts - before), "requests", "<= 135");
  const SimStore::Requests quiet = rig.store().requests;
  rig.RunFor(absl::Hours(1));
  Print("requests of an idle volume in an hour",
        static_cast<double>(rig.store().requests.all() - quiet.all()), "requests", "0");
  // The first one also brings the changed map pages there.
  for (const char* name : {"first", "second"}) {
    const uint64_t puts = rig.store().requests.puts;
    rig.Wait("snapshot", [&](auto done) {
      rig.engine().CreateSnapshot(name, [done](auto id) { done(id.status()); });
    });
    Print(absl::StrCat("PUTs of the ", name, " snapshot"),
          static_cast<double>(rig.store().requests.puts - puts), "requests", "1 if nothing is new");
  }
  const uint64_t puts = rig.store().requests.puts;
  Uuid clone = rig.volume();
  clone.bytes[1] = 1;
  rig.Wait("clone", [&](auto done) {
    rig.volumes().Clone(rig.volume(), rig.engine().head().snapshots[0].id, clone, done);
  });
  Print("PUTs of a clone", static_cast<double>(rig.store().requests.puts - puts), "requests",
        "2: pin and HEAD");
}

void Recovery() {
  constexpr uint64_t kLogBytes = 64 << 20;
  const struct {
    const char* name;
    uint64_t blocks;
  } sizes[] = {{"1 GiB", kGib / kBlockBytes},
               {"64 GiB", 64 * kGib / kBlockBytes},
               {"16 TiB", 16384 * kGib / kBlockBytes}};
  for (const auto& size : sizes) {
    Rig rig(size.blocks, kLogBytes, Options());
    uint64_t most = 0;
    rig.Write(256 << 8, rig.Uniform(), [&] {
      const EngineStats stats = rig.engine().stats();
      most = std::max(most, stats.map_cache_bytes + stats.map_entries * 48);
    });
    rig.Settle();
    rig.Write(kLogBytes / 2 / kBlockBytes, rig.Uniform(), [] {});
    const uint64_t gets = rig.store().requests.gets;
    const double seconds = absl::ToDoubleSeconds(rig.Open());
    Print(absl::StrCat("recovery after kill, ", size.name), seconds * 1000, "ms", "<= 1000");
    Print(absl::StrCat("GETs of that, ", size.name),
          static_cast<double>(rig.store().requests.gets - gets), "requests", "equal");
    Print(absl::StrCat("map in memory at most, ", size.name), static_cast<double>(most) / (1 << 20),
          "MiB", "of 64");
  }
}

// 0.99, over blocks in a random order.
std::function<Lba()> Zipf(uint64_t blocks, std::mt19937_64& random) {
  auto sums = std::make_shared<std::vector<double>>();
  auto places = std::make_shared<std::vector<Lba>>();
  double sum = 0;
  for (uint64_t i = 0; i < blocks; ++i) {
    sums->push_back(sum += 1 / std::pow(static_cast<double>(i + 1), 0.99));
    places->push_back(i);
  }
  std::shuffle(places->begin(), places->end(), random);
  return [=, &random] {
    const double at = std::uniform_real_distribution<double>(0, sum)(random);
    const auto it = std::lower_bound(sums->begin(), sums->end(), at);
    return (*places)[std::min<size_t>(it - sums->begin(), sums->size() - 1)];
  };
}

void Amplification(bool zipf) {
  constexpr uint64_t kScale = 4;
  constexpr uint64_t kBlocks = 2 * kGib / kBlockBytes / kScale;
  constexpr int kWarmUp = 6, kMeasured = 6;  // times the volume
  Options options;
  options.object_bytes /= kScale;
  options.map_object_bytes /= kScale;
  options.checkpoint_blocks /= kScale;
  options.collect_bytes /= kScale;
  Rig rig(kBlocks, (256 << 20) / kScale, options);
  // Collection has to keep up with a writer that nothing slows down.
  rig.store().latency = kLatency / 32;
  Lba at = 0;
  rig.Write(
      kBlocks, [&at] { return at++; }, [] {});
  std::mt19937_64 random(2);
  const std::function<Lba()> next = zipf ? Zipf(kBlocks, random) : rig.Uniform();
  rig.Write(kWarmUp * kBlocks, next, [] {});
  const uint64_t before = rig.store().requests.put_bytes;
  double used = 0;
  int samples = 0;
  rig.Write(kMeasured * kBlocks, next, [&] {
    used +=
        static_cast<double>(kBlocks * kBlockBytes) / static_cast<double>(rig.store().StoredBytes());
    ++samples;
  });
  const char* name = zipf ? "zipf" : "uniform";
  Print(absl::StrCat("write amplification, ", name),
        static_cast<double>(rig.store().requests.put_bytes - before) /
            static_cast<double>(kMeasured * kBlocks * kBlockBytes),
        "x", zipf ? "<= 1.3" : "<= 2.0");
  Print(absl::StrCat("utilisation of the store, ", name), used / samples, "", "0.7");
}

}  // namespace
}  // namespace diskd::object

int main() {
  spdlog::set_level(spdlog::level::off);
  diskd::object::Requests();
  diskd::object::Recovery();
  diskd::object::Amplification(/*zipf=*/false);
  diskd::object::Amplification(/*zipf=*/true);
  return 0;
}
