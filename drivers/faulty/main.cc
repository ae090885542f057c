// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/main.h"

#include "drivers/faulty/faulty_driver.h"

int main(int argc, char** argv) {
  return diskd::sdk::DriverMain(argc, argv, diskd::faulty_driver::Definition());
}
