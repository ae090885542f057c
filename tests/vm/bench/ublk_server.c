// SPDX-License-Identifier: Apache-2.0
/*
 * The peer in the benchmarks: a ublk server without or with RAM behind it, as plain and as fast as
 * the UAPI allows with copies by the kernel.
 *
 *   bench_ublk null|ram SIZE_MB QUEUES default|batch SPIN_US
 *
 * Prints the disk's path when it serves; SIGTERM removes it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/ublk_cmd.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

/* Younger than Debian 12's header. */
#ifndef UBLK_F_CMD_IOCTL_ENCODE
#define UBLK_F_CMD_IOCTL_ENCODE (1UL << 6)
#define UBLK_U_CMD_ADD_DEV _IOWR('u', UBLK_CMD_ADD_DEV, struct ublksrv_ctrl_cmd)
#define UBLK_U_CMD_DEL_DEV _IOWR('u', UBLK_CMD_DEL_DEV, struct ublksrv_ctrl_cmd)
#define UBLK_U_CMD_START_DEV _IOWR('u', UBLK_CMD_START_DEV, struct ublksrv_ctrl_cmd)
#define UBLK_U_CMD_STOP_DEV _IOWR('u', UBLK_CMD_STOP_DEV, struct ublksrv_ctrl_cmd)
#define UBLK_U_CMD_SET_PARAMS _IOWR('u', UBLK_CMD_SET_PARAMS, struct ublksrv_ctrl_cmd)
#define UBLK_U_IO_FETCH_REQ _IOWR('u', UBLK_IO_FETCH_REQ, struct ublksrv_io_cmd)
#define UBLK_U_IO_COMMIT_AND_FETCH_REQ _IOWR('u', UBLK_IO_COMMIT_AND_FETCH_REQ, struct ublksrv_io_cmd)
#endif

enum { DEPTH = 128, MAX_IO_BYTES = 1 << 20, PAGE = 4096, MAX_QUEUES = 64, OPEN_TRIES = 1000 };
enum { REQUESTS_BYTES = (DEPTH * sizeof(struct ublksrv_io_desc) + PAGE - 1) / PAGE * PAGE };

static struct {
  uint64_t bytes;
  int queues, batch, control_fd, device_fd;
  long spin_ns;
  char* ram; /* NULL: no data */
  struct io_uring control;
  struct ublksrv_ctrl_dev_info info;
  pthread_barrier_t ready;
} server;

struct queue {
  int id;
  struct io_uring ring;
  const struct ublksrv_io_desc* requests; /* by tag */
  char* buffers[DEPTH];
  int results[DEPTH];
};

static void die(const char* what, int error) {
  fprintf(stderr, "bench_ublk: %s: %s\n", what, strerror(error));
  exit(1);
}

static int control(unsigned op, void* address, unsigned length, uint64_t data) {
  struct io_uring_sqe* sqe = io_uring_get_sqe(&server.control);
  struct ublksrv_ctrl_cmd command = {.dev_id = server.info.dev_id,
                                     .queue_id = -1,
                                     .addr = (uintptr_t)address,
                                     .len = length,
                                     .data = {data}};
  struct io_uring_cqe* cqe;
  int result;

  if (!sqe) die("control ring", EBUSY);
  memset(sqe, 0, 2 * sizeof(*sqe)); /* SQE128 */
  sqe->opcode = IORING_OP_URING_CMD;
  sqe->fd = server.control_fd;
  sqe->cmd_op = op;
  memcpy(sqe->cmd, &command, sizeof(command));
  io_uring_submit(&server.control);
  while (io_uring_wait_cqe(&server.control, &cqe) == -EINTR) {
  }
  result = cqe->res;
  io_uring_cqe_seen(&server.control, cqe);
  return result;
}

static void issue(struct queue* q, unsigned op, int tag) {
  struct io_uring_sqe* sqe = io_uring_get_sqe(&q->ring);
  struct ublksrv_io_cmd* command = (void*)sqe->cmd;

  io_uring_prep_rw(IORING_OP_URING_CMD, sqe, 0, NULL, 0, 0);
  sqe->cmd_op = op;
  sqe->flags = IOSQE_FIXED_FILE;
  sqe->user_data = tag;
  command->q_id = q->id;
  command->tag = tag;
  command->result = q->results[tag];
  command->addr = (uintptr_t)q->buffers[tag];
}

static int answer(const struct ublksrv_io_desc* request, char* buffer) {
  uint32_t length = request->nr_sectors << 9;
  uint64_t offset = request->start_sector << 9;

  switch (ublksrv_get_op(request)) {
    case UBLK_IO_OP_READ:
      if (server.ram) memcpy(buffer, server.ram + offset, length);
      return length;
    case UBLK_IO_OP_WRITE:
      if (server.ram) memcpy(server.ram + offset, buffer, length);
      return length;
    case UBLK_IO_OP_FLUSH:
      return 0;
    default:
      return -EOPNOTSUPP;
  }
}

static long now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000L + t.tv_nsec;
}

/* Submits the answers; returns when there may be requests. */
static void turn(struct queue* q) {
  if (server.spin_ns) {
    long end;
    io_uring_submit(&q->ring);
    end = now_ns() + server.spin_ns;
    do {
      if (io_uring_cq_ready(&q->ring)) return;
      if (IO_URING_READ_ONCE(*q->ring.sq.kflags) & IORING_SQ_TASKRUN) {
        io_uring_get_events(&q->ring);
        if (io_uring_cq_ready(&q->ring)) return;
      }
      __builtin_ia32_pause();
    } while (now_ns() < end);
  }
  io_uring_submit_and_wait(&q->ring, 1);
}

static void open_queue(struct queue* q) {
  struct io_uring_params params = {
      .flags = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SINGLE_ISSUER |
               IORING_SETUP_CQSIZE,
      .cq_entries = 2 * DEPTH};
  off_t offset = UBLKSRV_CMD_BUF_OFFSET +
                 (off_t)q->id * UBLK_MAX_QUEUE_DEPTH * sizeof(struct ublksrv_io_desc);
  int error = io_uring_queue_init_params(DEPTH, &q->ring, &params);

  if (error) die("io_uring", -error);
  io_uring_register_ring_fd(&q->ring);
  io_uring_register_files(&q->ring, &server.device_fd, 1);
  q->requests =
      mmap(NULL, REQUESTS_BYTES, PROT_READ, MAP_SHARED | MAP_POPULATE, server.device_fd, offset);
  if (q->requests == MAP_FAILED) die("mmap", errno);
  for (int tag = 0; tag < DEPTH; tag++) {
    if (posix_memalign((void**)&q->buffers[tag], PAGE, MAX_IO_BYTES)) die("buffer", ENOMEM);
    issue(q, UBLK_U_IO_FETCH_REQ, tag);
  }
  io_uring_submit(&q->ring);
}

static void* serve(void* argument) {
  struct queue* q = argument;
  struct sched_param none = {0};

  if (server.batch) sched_setscheduler(0, SCHED_BATCH, &none);
  open_queue(q);
  pthread_barrier_wait(&server.ready);
  for (;;) {
    struct io_uring_cqe* cqe;
    unsigned head, count = 0;

    turn(q);
    io_uring_for_each_cqe(&q->ring, head, cqe) {
      int tag = cqe->user_data;

      count++;
      if (cqe->res != UBLK_IO_RES_OK) { /* the disk is being removed */
        munmap((void*)q->requests, REQUESTS_BYTES);
        io_uring_queue_exit(&q->ring);
        return NULL;
      }
      q->results[tag] = answer(&q->requests[tag], q->buffers[tag]);
      issue(q, UBLK_U_IO_COMMIT_AND_FETCH_REQ, tag);
    }
    io_uring_cq_advance(&q->ring, count);
  }
}

static void add_device(void) {
  struct ublk_params params = {
      .len = sizeof(params),
      .types = UBLK_PARAM_TYPE_BASIC,
      .basic = {.logical_bs_shift = 9,
                .physical_bs_shift = 12,
                .io_opt_shift = 12,
                .io_min_shift = 9,
                .max_sectors = MAX_IO_BYTES >> 9,
                .dev_sectors = server.bytes >> 9}};
  char path[64];
  int result;

  server.control_fd = open("/dev/ublk-control", O_RDWR | O_CLOEXEC);
  if (server.control_fd < 0) die("/dev/ublk-control", errno);
  result = io_uring_queue_init(8, &server.control, IORING_SETUP_SQE128);
  if (result) die("io_uring", -result);
  server.info = (struct ublksrv_ctrl_dev_info){.nr_hw_queues = server.queues,
                                               .queue_depth = DEPTH,
                                               .max_io_buf_bytes = MAX_IO_BYTES,
                                               .dev_id = -1,
                                               .ublksrv_pid = getpid(),
                                               .flags = UBLK_F_CMD_IOCTL_ENCODE};
  result = control(UBLK_U_CMD_ADD_DEV, &server.info, sizeof(server.info), 0);
  if (result < 0) die("add", -result);
  result = control(UBLK_U_CMD_SET_PARAMS, &params, sizeof(params), 0);
  if (result < 0) die("set parameters", -result);
  snprintf(path, sizeof(path), "/dev/ublkc%u", server.info.dev_id);
  for (int i = 0; (server.device_fd = open(path, O_RDWR | O_CLOEXEC)) < 0; i++) {
    if (i == OPEN_TRIES) die(path, errno);
    usleep(10000);
  }
}

int main(int argc, char** argv) {
  static struct queue queues[MAX_QUEUES];
  pthread_t threads[MAX_QUEUES];
  sigset_t signals;
  int result, signal_number;

  if (argc != 6) return 2;
  server.bytes = strtoull(argv[2], NULL, 0) << 20;
  server.queues = atoi(argv[3]);
  server.batch = !strcmp(argv[4], "batch");
  server.spin_ns = atol(argv[5]) * 1000;
  if (server.queues < 1 || server.queues > MAX_QUEUES) return 2;
  if (!strcmp(argv[1], "ram")) {
    server.ram = mmap(NULL, server.bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (server.ram == MAP_FAILED) die("memory", errno);
  }
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, NULL);
  add_device();
  pthread_barrier_init(&server.ready, NULL, server.queues + 1);
  for (int i = 0; i < server.queues; i++) {
    queues[i].id = i;
    if ((result = pthread_create(&threads[i], NULL, serve, &queues[i]))) die("thread", result);
  }
  pthread_barrier_wait(&server.ready);
  result = control(UBLK_U_CMD_START_DEV, NULL, 0, getpid());
  if (result < 0) die("start", -result);
  printf("/dev/ublkb%u\n", server.info.dev_id);
  fflush(stdout);
  sigwait(&signals, &signal_number);
  control(UBLK_U_CMD_STOP_DEV, NULL, 0, 0);
  for (int i = 0; i < server.queues; i++) pthread_join(threads[i], NULL);
  close(server.device_fd);
  control(UBLK_U_CMD_DEL_DEV, NULL, 0, 0);
  return 0;
}
