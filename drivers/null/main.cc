// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/main.h"

#include "drivers/null/null_driver.h"

int main(int argc, char** argv) {
  return diskd::sdk::DriverMain(argc, argv, diskd::null_driver::Definition());
}
