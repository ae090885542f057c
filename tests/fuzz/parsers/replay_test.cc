// SPDX-License-Identifier: Apache-2.0
//
// All fuzz targets without a fuzzer: seeds, former finds (found/TARGET/*), and changes of both that
// are the same in every run.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "gtest/gtest.h"
#include "tests/fuzz/parsers/target.h"

namespace diskd::fuzz {
namespace {

constexpr int kChangesOfEach = 2000;
constexpr size_t kLongestInsert = 40;

std::vector<std::string> Found(const std::string& target) {
  std::vector<std::string> found;
  const std::filesystem::path folder = std::filesystem::path(DISKD_FUZZ_FOUND) / target;
  if (!std::filesystem::exists(folder)) return found;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    std::ifstream in(file.path(), std::ios::binary);
    found.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  return found;
}

std::string Changed(std::string bytes, std::mt19937& random) {
  const auto below = [&random](size_t limit) { return limit == 0 ? 0 : random() % limit; };
  for (size_t changes = 1 + below(5); changes > 0; --changes) {
    const size_t at = below(bytes.size() + 1);
    switch (below(6)) {
      case 0:
        if (at < bytes.size()) bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
        break;
      case 1:
        if (at < bytes.size()) bytes[at] = static_cast<char>(random());
        break;
      case 2:  // numbers at their limits
        for (size_t i = at; i < bytes.size() && i < at + 8; ++i) bytes[i] = '\xff';
        break;
      case 3:
        bytes.resize(at);
        break;
      case 4:  // a part of it again
        bytes.insert(at, bytes.substr(below(bytes.size() + 1), below(kLongestInsert)));
        break;
      case 5:
        bytes.erase(at, below(kLongestInsert));
        break;
    }
  }
  return bytes;
}

class Parser : public testing::TestWithParam<Target> {};

TEST_P(Parser, KeepsItsPromises_WhateverItIsGiven) {
  const Target& target = GetParam();
  std::mt19937 random(20261121);
  std::vector<std::string> inputs = target.seeds();
  ASSERT_FALSE(inputs.empty());
  for (const std::string& found : Found(target.name)) inputs.push_back(found);
  (void)target.run("");
  int taken = 0;
  for (const std::string& input : inputs) {
    taken += target.run(input) ? 1 : 0;
    for (int i = 0; i < kChangesOfEach; ++i) (void)target.run(Changed(input, random));
  }
  EXPECT_GT(taken, 0) << "no seed gets through the parser";
}

INSTANTIATE_TEST_SUITE_P(All, Parser, testing::ValuesIn(AllTargets()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace diskd::fuzz
