// SPDX-License-Identifier: Apache-2.0
#include "drivers/file/file_driver.h"
#include "drivers/sdk/main.h"

int main(int argc, char** argv) {
  return diskd::sdk::DriverMain(argc, argv, diskd::file_driver::Definition());
}
