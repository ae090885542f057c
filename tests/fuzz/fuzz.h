// SPDX-License-Identifier: Apache-2.0
// What the parts of busefuzz share. Every thread draws from a generator of its own, seeded by the
// run's seed and the thread's place, so a thread's choices are the same in each run of a seed; how
// the threads interleave is the machine's.
#ifndef TESTS_FUZZ_FUZZ_H_
#define TESTS_FUZZ_FUZZ_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/uapi/buse.h"

enum { kDevices = 6, kThreads = 4, kMaxProcesses = 32 };

enum Role { kServer, kController, kClient, kRoles };

// In shared memory, zero at the start; counts only grow.
struct Shared {
  uint64_t stop;
  uint64_t creates, starts, stops, destroys, quiesces, control_errors;
  uint64_t attaches, enters, broken, taken_over, served, forged, forks, faults;
  uint64_t io_ok, io_errors;
  // Since when a client process is inside a system call on a device: ms, 0 for none.
  uint64_t io_since[kMaxProcesses][kThreads];
  uint64_t io_device[kMaxProcesses][kThreads];
};
extern struct Shared* shared;

struct Random {
  uint64_t state;
};

struct Random random_of(uint64_t seed, enum Role role, unsigned process, unsigned life,
                        unsigned thread);
uint64_t draw(struct Random* r);
// Uniform in [0, bound).
uint32_t below(struct Random* r, uint32_t bound);
bool one_in(struct Random* r, uint32_t n);
// A number that tends to break things: 0, -1, powers of two and their neighbours.
uint64_t odd_number(struct Random* r);
// Random bytes, or odd numbers as 32-bit words.
void fill(struct Random* r, void* memory, size_t bytes);

uint64_t now_ms(void);
void count(uint64_t* counter);
void pause_us(uint32_t microseconds);

struct Thread {
  struct Random random;
  unsigned process, thread;
};

// Each runs in a process of its own, kThreads times, until it is killed.
void server_thread(struct Thread* thread);
void controller_thread(struct Thread* thread);
void client_thread(struct Thread* thread);

// One control call; the errno, or 0.
int control_call(int fd, unsigned long request, uint32_t index, uint32_t flags, uint64_t value);

#endif  // TESTS_FUZZ_FUZZ_H_
