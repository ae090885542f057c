// SPDX-License-Identifier: Apache-2.0
// Prints how many thousand cycles a second this machine's time stamp counter makes. The emulated
// machine shows the same counter; on a busy host its kernel can't measure it.
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

// The clock and the counter at the same moment: of many tries the one that was disturbed least.
static void sample(uint64_t* ns, uint64_t* cycles) {
  uint64_t best = UINT64_MAX;
  for (int i = 0; i < 1000; i++) {
    struct timespec t;
    const uint64_t before = __rdtsc();
    clock_gettime(CLOCK_MONOTONIC_RAW, &t);
    const uint64_t took = __rdtsc() - before;
    if (took >= best) continue;
    best = took;
    *cycles = before + took / 2;
    *ns = (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
  }
}

int main(void) {
  uint64_t ns[2], cycles[2];
  const struct timespec wait = {.tv_nsec = 300000000};
  sample(&ns[0], &cycles[0]);
  nanosleep(&wait, NULL);
  sample(&ns[1], &cycles[1]);
  printf("%lu\n", (cycles[1] - cycles[0]) * 1000000 / (ns[1] - ns[0]));
  return 0;
}
