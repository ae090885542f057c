// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/main.h"

#include "drivers/object/object_driver.h"

int main(int argc, char** argv) {
  return diskd::sdk::DriverMain(argc, argv, diskd::object::Definition());
}
