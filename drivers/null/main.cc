// SPDX-License-Identifier: Apache-2.0
#include "drivers/null/null_driver.h"
#include "drivers/sdk/main.h"

int main(int argc, char** argv) {
  return diskd::sdk::DriverMain(argc, argv, diskd::null_driver::Definition());
}
