// SPDX-License-Identifier: Apache-2.0
/*
 * pressure MEBIBYTES SECONDS [FILE]: writes and checks random pages of that much memory, or of a
 * shared mapping of FILE, for so long. Prints passes and the longest single access. A page that
 * does not hold what was written last is an error.
 *
 * pressure balloon MEBIBYTES: locks so much memory until it is killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { kPage = 4096, kWords = kPage / 8 };

static uint64_t random_state = 88172645463325252ull;
static uint64_t draw(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  return random_state ^= random_state << 17;
}

static uint64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int die(const char* what) {
  perror(what);
  return 1;
}

static uint64_t word_of(uint64_t page, uint32_t version, uint64_t word) {
  return (page << 40 ^ (uint64_t)version << 8 ^ word) * 0x9e3779b97f4a7c15ull;
}

static int check(const volatile uint64_t* memory, uint64_t page, uint32_t version) {
  for (uint64_t word = 0; word < kWords; word += 61) {
    const uint64_t want = version == 0 ? 0 : word_of(page, version, word);
    const uint64_t have = memory[page * kWords + word];
    if (have == want) continue;
    fprintf(stderr, "pressure: page %lu word %lu holds %lx, not %lx\n", page, word, have, want);
    return 1;
  }
  return 0;
}

static int balloon(uint64_t bytes) {
  void* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED || mlock(memory, bytes)) return die("pressure: balloon");
  printf("locked\n");
  fflush(stdout);
  for (;;) pause();
}

static int run(uint64_t bytes, uint64_t seconds, const char* path) {
  const uint64_t pages = bytes / kPage;
  int fd = -1, flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  if (path != NULL) {
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, 0) || posix_fallocate(fd, 0, (off_t)bytes)) return die(path);
    flags = MAP_SHARED;
  }
  uint64_t* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
  uint32_t* versions = calloc(pages, sizeof(*versions));
  if (memory == MAP_FAILED || versions == NULL) return die("pressure: memory");
  const uint64_t start = now_ms(), end = start + seconds * 1000;
  uint64_t accesses = 0, longest = 0, report = start;
  for (uint64_t now = start; now < end; accesses++) {
    // First all pages once, so that there is more than fits.
    const uint64_t page = accesses < pages ? accesses : draw() % pages;
    if (check(memory, page, versions[page])) return 1;
    if (accesses < pages || draw() % 2) {
      versions[page]++;
      for (uint64_t word = 0; word < kWords; word++)
        memory[page * kWords + word] = word_of(page, versions[page], word);
    }
    const uint64_t then = now_ms();
    if (then - now > longest) longest = then - now;
    if (path != NULL && accesses % 8192 == 8191 && msync(memory, bytes, MS_ASYNC)) return die("msync");
    now = now_ms();
    if (now - report > 5000) {
      printf("%lu s: %lu accesses, longest %lu ms\n", (now - start) / 1000, accesses, longest);
      fflush(stdout);
      report = now;
    }
  }
  for (uint64_t page = 0; page < pages; page++)
    if (check(memory, page, versions[page])) return 1;
  if (fd >= 0 && (msync(memory, bytes, MS_SYNC) || fsync(fd))) return die("pressure: sync");
  printf("accesses=%lu passes=%lu longest_ms=%lu\n", accesses, accesses / pages, longest);
  return accesses >= pages ? 0 : (fprintf(stderr, "pressure: not one pass\n"), 1);
}

int main(int argc, char** argv) {
  if (argc == 3 && !strcmp(argv[1], "balloon")) return balloon(strtoull(argv[2], NULL, 0) << 20);
  if (argc < 3) return fprintf(stderr, "usage: see the head of tests/vm/tools/pressure.c\n"), 2;
  return run(strtoull(argv[1], NULL, 0) << 20, strtoull(argv[2], NULL, 0), argc > 3 ? argv[3] : NULL);
}
