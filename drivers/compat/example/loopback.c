/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk whose data are in a file or block device. Seeks and then reads or writes, as only a
 * program can whose callbacks come one at a time. usage: loopback DEVICE FILE
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "buse.h"

static int move(int fd, char *buf, u_int32_t len, u_int64_t offset, int writing)
{
	if (lseek(fd, (off_t)offset, SEEK_SET) < 0)
		return errno;
	while (len > 0) {
		ssize_t n = writing ? write(fd, buf, len) : read(fd, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : EIO;
		buf += n;
		len -= (u_int32_t)n;
	}
	return 0;
}

static int loopback_read(void *buf, u_int32_t len, u_int64_t offset, void *userdata)
{
	return move(*(int *)userdata, buf, len, offset, 0);
}

static int loopback_write(const void *buf, u_int32_t len, u_int64_t offset, void *userdata)
{
	return move(*(int *)userdata, (char *)buf, len, offset, 1);
}

static int loopback_flush(void *userdata)
{
	return fsync(*(int *)userdata) ? errno : 0;
}

static void loopback_disc(void *userdata)
{
	close(*(int *)userdata);
	printf("disconnected\n");
}

int main(int argc, char *argv[])
{
	struct buse_operations operations;
	int fd;

	if (argc != 3) {
		fprintf(stderr, "usage: %s DEVICE FILE\n", argv[0]);
		return 2;
	}
	fd = open(argv[2], O_RDWR);
	if (fd < 0) {
		perror(argv[2]);
		return 1;
	}
	memset(&operations, 0, sizeof(operations));
	operations.read = loopback_read;
	operations.write = loopback_write;
	operations.flush = loopback_flush;
	operations.disc = loopback_disc;
	operations.size = (u_int64_t)lseek(fd, 0, SEEK_END);
	return buse_main(argv[1], &operations, &fd);
}
