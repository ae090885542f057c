// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/main.h"

#include "drivers/memory/memory_driver.h"

int main(int argc, char** argv) {
  return diskd::sdk::DriverMain(argc, argv, diskd::memory_driver::Definition());
}
