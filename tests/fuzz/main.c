// SPDX-License-Identifier: Apache-2.0
// busefuzz SEED SECONDS [LIMIT_S]: hostile servers, hostile controllers and clients of their disks
// against the module, all at once. Afterwards every device must let itself be stopped by force and
// destroyed, and every process must end. What the kernel has to say is the caller's to look at.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

enum {
  kServers = 3,
  kControllers = 1,
  kClients = 2,
  kProcesses = kServers + kControllers + kClients,
  kStuckClientMs = 4000,
  kTickUs = 50000,
  kMoreTimes = 6,
};

struct Shared* shared;
static uint64_t seed;
static unsigned end_limit_s = 60;
static struct Process {
  enum Role role;
  unsigned life;
  pid_t pid;
} processes[kProcesses];

struct Random random_of(uint64_t run, enum Role role, unsigned process, unsigned life,
                        unsigned thread) {
  struct Random r = {run * 0x9e3779b97f4a7c15ull + role * 1000003 + process * 10007 + life * 101 +
                     thread};
  draw(&r);
  return r;
}

uint64_t draw(struct Random* r) {
  uint64_t z = (r->state += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

uint32_t below(struct Random* r, uint32_t bound) { return (uint32_t)(draw(r) >> 32) % bound; }
bool one_in(struct Random* r, uint32_t n) { return below(r, n) == 0; }

uint64_t odd_number(struct Random* r) {
  switch (below(r, 4)) {
    case 0:
      return draw(r);
    case 1:
      return below(r, 2) ? UINT64_MAX : UINT32_MAX;
    default:
      return (1ull << below(r, 64)) + below(r, 3) - 1;
  }
}

void fill(struct Random* r, void* memory, size_t bytes) {
  const bool odd = one_in(r, 2);
  for (size_t i = 0; i + 4 <= bytes; i += 4) {
    const uint32_t word = (uint32_t)(odd ? odd_number(r) : draw(r));
    memcpy((char*)memory + i, &word, sizeof(word));
  }
}

uint64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void count(uint64_t* counter) { __atomic_add_fetch(counter, 1, __ATOMIC_RELAXED); }
void pause_us(uint32_t microseconds) { usleep(microseconds); }

static void* run_thread(void* argument) {
  static void (*const roles[kRoles])(struct Thread*) = {server_thread, controller_thread,
                                                        client_thread};
  struct Thread* thread = argument;
  roles[processes[thread->process].role](thread);
  return NULL;
}

static void run_process(unsigned number) {
  const struct Process* process = &processes[number];
  struct Thread threads[kThreads];
  pthread_t ids[kThreads];
  for (unsigned i = 0; i < kThreads; i++) {
    threads[i] = (struct Thread){
        .random = random_of(seed, process->role, number, process->life, i),
        .process = number,
        .thread = i,
    };
    if (pthread_create(&ids[i], NULL, run_thread, &threads[i])) _exit(6);
  }
  for (;;) pause();
}

static void spawn(unsigned number) {
  struct Process* process = &processes[number];
  process->life++;
  process->pid = fork();
  if (process->pid < 0) {
    perror("busefuzz: fork");
    exit(1);
  }
  if (process->pid == 0) {
    setpgid(0, 0);
    run_process(number);
  }
  setpgid(process->pid, process->pid);
}

static int open_control(void) {
  const int fd = open("/dev/buse-control", O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    perror("busefuzz: /dev/buse-control");
    exit(1);
  }
  return fd;
}

// In a process of its own, so that a call that hangs is noticed.
static bool call_with_limit(unsigned long request, uint32_t index, uint32_t flags, int* error) {
  const pid_t pid = fork();
  if (pid == 0) _exit(control_call(open_control(), request, index, flags, 0));
  const uint64_t end = now_ms() + end_limit_s * 1000ull;
  int status = 0;
  while (waitpid(pid, &status, WNOHANG) == 0) {
    if (now_ms() > end) return false;
    usleep(5000);
  }
  *error = WEXITSTATUS(status);
  return true;
}

// Clients that wait for a server that never answers would wait for ever.
static bool release_stuck_clients(void) {
  const uint64_t now = now_ms();
  for (unsigned p = 0; p < kProcesses; p++) {
    for (unsigned t = 0; t < kThreads; t++) {
      const uint64_t since = __atomic_load_n(&shared->io_since[p][t], __ATOMIC_ACQUIRE);
      int error;
      if (since == 0 || now < since + kStuckClientMs) continue;
      if (!call_with_limit(BUSE_CTL_STOP, (uint32_t)shared->io_device[p][t], BUSE_STOP_FORCE,
                           &error)) {
        fprintf(stderr, "busefuzz: a forced stop of device %lu hangs\n",
                (unsigned long)shared->io_device[p][t]);
        return false;
      }
      shared->io_since[p][t] = now_ms();
    }
  }
  return true;
}

static bool reached_everything(void) {
  return shared->starts && shared->served && shared->io_ok && shared->broken && shared->forged &&
         shared->taken_over;
}

static bool run(unsigned seconds) {
  struct Random r = random_of(seed, kRoles, 0, 0, 0);
  const uint64_t end = now_ms() + seconds * 1000ull;
  for (unsigned i = 0; i < kProcesses; i++) {
    processes[i].role = i < kServers                  ? kServer
                        : i < kServers + kControllers ? kController
                                                      : kClient;
    spawn(i);
  }
  // A slow machine gets more time to reach everything.
  while (now_ms() < end ||
         (!reached_everything() && now_ms() < end + kMoreTimes * seconds * 1000)) {
    usleep(kTickUs);
    for (unsigned i = 0; i < kProcesses; i++) {
      // Servers die, most of all.
      if (one_in(&r, processes[i].role == kServer ? 60 : 400)) kill(processes[i].pid, SIGKILL);
      if (waitpid(processes[i].pid, NULL, WNOHANG) == processes[i].pid) {
        memset(shared->io_since[i], 0, sizeof(shared->io_since[i]));
        spawn(i);
      }
    }
    if (!release_stuck_clients()) return false;
  }
  return true;
}

static bool end_device(uint32_t index) {
  int error = 0;
  if (!call_with_limit(BUSE_CTL_STOP, index, BUSE_STOP_FORCE, &error)) {
    fprintf(stderr, "busefuzz: device %u: a forced stop hangs\n", index);
    return false;
  }
  if (error == ENODEV) return true;
  if (error == 0 && !call_with_limit(BUSE_CTL_DESTROY, index, 0, &error)) {
    fprintf(stderr, "busefuzz: device %u: destroy hangs\n", index);
    return false;
  }
  if (error == 0) return true;
  fprintf(stderr, "busefuzz: device %u can't be removed: %s\n", index, strerror(error));
  return false;
}

static bool end_all(void) {
  bool good = true;
  for (unsigned i = 0; i < kProcesses; i++) kill(-processes[i].pid, SIGKILL);
  // Controllers may have been in the middle of a create.
  for (unsigned i = kServers; i < kServers + kControllers; i++) waitpid(processes[i].pid, NULL, 0);
  struct buse_list list = {0};
  if (ioctl(open_control(), BUSE_CTL_LIST, &list)) return false;
  for (uint32_t i = 0; i < list.count; i++) good &= end_device(list.index[i]);
  const uint64_t end = now_ms() + end_limit_s * 1000ull;
  for (unsigned i = 0; i < kProcesses; i++) {
    while (waitpid(processes[i].pid, NULL, WNOHANG) == 0) {
      if (now_ms() > end) {
        fprintf(stderr, "busefuzz: process %d (role %d) does not end\n", processes[i].pid,
                processes[i].role);
        return false;
      }
      usleep(10000);
    }
  }
  return good;
}

#define SHOW(member) printf(#member "=%lu ", (unsigned long)shared->member)

int main(int argc, char** argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: busefuzz SEED SECONDS [LIMIT_S of the end]\n");
    return 2;
  }
  seed = strtoull(argv[1], NULL, 0);
  if (argc > 3) end_limit_s = (unsigned)strtoul(argv[3], NULL, 0);
  shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return 2;
  printf("seed=%s ", argv[1]);
  fflush(stdout);
  const bool ran = run((unsigned)strtoul(argv[2], NULL, 0));
  const bool ended = end_all();
  SHOW(creates), SHOW(starts), SHOW(stops), SHOW(destroys), SHOW(quiesces), SHOW(control_errors);
  SHOW(attaches), SHOW(enters), SHOW(broken), SHOW(taken_over), SHOW(served), SHOW(forged),
      SHOW(forks);
  SHOW(faults), SHOW(io_ok), SHOW(io_errors);
  printf("\n");
  if (!ran || !ended) return 1;
  if (!reached_everything()) {
    fprintf(stderr, "busefuzz: the run did not reach everything: see the counts\n");
    return 1;
  }
  return 0;
}
