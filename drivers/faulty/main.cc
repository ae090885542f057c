// SPDX-License-Identifier: Apache-2.0
#include "drivers/faulty/faulty_driver.h"
#include "drivers/sdk/main.h"

int main(int argc, char** argv) {
  return diskd::sdk::DriverMain(argc, argv, diskd::faulty_driver::Definition());
}
