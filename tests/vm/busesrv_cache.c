// SPDX-License-Identifier: Apache-2.0
// A model of a disk's volatile write cache, for power cuts: clients see all they wrote; the file has
// what was flushed, and of the rest some sectors, in no order, as a disk writes back when it likes.
// When the process is killed the rest is gone, writes of many sectors torn.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/vm/busesrv.h"

enum { SECTOR = 512, PERSIST_ONE_IN = 4 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char *file, *view;
static bool* unflushed;   // by sector
static uint32_t* sectors; // those
static uint32_t nr_sectors;
static unsigned seed;

// Pages that no client has written since are the file's.
char* cache_open(const char* path, uint64_t bytes, unsigned random_seed) {
  const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || ftruncate(fd, bytes)) die(path);
  file = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  view = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd, 0);
  unflushed = calloc(bytes / SECTOR, sizeof(*unflushed));
  sectors = calloc(bytes / SECTOR, sizeof(*sectors));
  if (file == MAP_FAILED || view == MAP_FAILED || !unflushed || !sectors) die("cache");
  close(fd);
  seed = random_seed;
  return view;
}

static void persist(uint32_t sector) {
  memcpy(file + (uint64_t)sector * SECTOR, view + (uint64_t)sector * SECTOR, SECTOR);
}

uint32_t cache_wrote(uint64_t offset, uint64_t length, bool durable, bool* torn) {
  uint32_t first = offset / SECTOR, end = (offset + length) / SECTOR, kept = 0;
  pthread_mutex_lock(&mutex);
  const bool busy = rand_r(&seed) % 2;
  for (uint32_t s = first; s < end; s++) {
    if (!durable && !unflushed[s]) {
      unflushed[s] = true;
      sectors[nr_sectors++] = s;
    }
    if (!durable && (busy || rand_r(&seed) % PERSIST_ONE_IN)) continue;
    persist(s);
    kept++;
  }
  *torn = kept && kept < end - first;
  const uint32_t lost_by_a_cut = nr_sectors;
  pthread_mutex_unlock(&mutex);
  return lost_by_a_cut;
}

void cache_flush(void) {
  pthread_mutex_lock(&mutex);
  for (uint32_t i = 0; i < nr_sectors; i++) {
    persist(sectors[i]);
    unflushed[sectors[i]] = false;
  }
  nr_sectors = 0;
  pthread_mutex_unlock(&mutex);
}
