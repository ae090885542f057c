// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/main.h"

#include "drivers/object/object_driver.h"
#include "drivers/object/runtime/allocator.h"

int main(int argc, char** argv) {
  diskd::object::LimitAllocator();
  return diskd::sdk::DriverMain(argc, argv, diskd::object::Definition());
}
