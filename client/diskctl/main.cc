// SPDX-License-Identifier: Apache-2.0
#include <iostream>
#include <string>
#include <vector>

#include "client/diskctl/run.h"

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  return diskd::diskctl::Run(args, diskd::diskctl::RealWorld(), std::cout, std::cerr);
}
