/* SPDX-License-Identifier: Apache-2.0 */
/* A disk in the memory of this process. usage: ram_disk DEVICE MIB */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buse.h"

static char *memory;
static unsigned long trims;

static int ram_read(void *buf, u_int32_t len, u_int64_t offset, void *userdata)
{
	(void)userdata;
	memcpy(buf, memory + offset, len);
	return 0;
}

static int ram_write(const void *buf, u_int32_t len, u_int64_t offset, void *userdata)
{
	(void)userdata;
	memcpy(memory + offset, buf, len);
	return 0;
}

static void ram_disc(void *userdata)
{
	printf("disconnected %s, %lu trims\n", (const char *)userdata, trims);
}

static int ram_flush(void *userdata)
{
	(void)userdata;
	return 0;
}

static int ram_trim(u_int64_t from, u_int32_t len, void *userdata)
{
	(void)userdata;
	memset(memory + from, 0, len);
	trims++;
	return 0;
}

static struct buse_operations operations = {
	.read = ram_read,
	.write = ram_write,
	.disc = ram_disc,
	.flush = ram_flush,
	.trim = ram_trim,
	.blksize = 1024,
};

int main(int argc, char *argv[])
{
	unsigned long mib;

	if (argc != 3 || (mib = strtoul(argv[2], NULL, 10)) == 0) {
		fprintf(stderr, "usage: %s DEVICE MIB\n", argv[0]);
		return 2;
	}
	operations.size_blocks = (u_int64_t)mib * 1024;
	memory = calloc(mib, 1 << 20);
	if (!memory) {
		perror("memory");
		return 1;
	}
	return buse_main(argv[1], &operations, argv[1]);
}
