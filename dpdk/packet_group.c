/* SPDX-License-Identifier: BSD-3-Clause */
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "packet_group.h"

#define TYPE_SHIFT 16 /* of a group's type, above its number */
#define TYPE_MASK (0xffu << TYPE_SHIFT)

static _Thread_local int group_shift;
static _Thread_local const struct sock_fprog *group_program;
static _Thread_local bool group_programmed;

void packet_group_shift(int shift)
{
	group_shift = shift;
}

void packet_group_program(const struct sock_fprog *program)
{
	group_program = program;
	group_programmed = false;
}

bool packet_group_programmed(void)
{
	return group_programmed;
}

/* These take the place of libc's for the whole process, drivers included. */
pid_t getpid(void)
{
	return (pid_t)(syscall(SYS_getpid) ^ group_shift);
}

static int set_option(int fd, int level, int name, const void *value, socklen_t length)
{
	return (int)syscall(SYS_setsockopt, fd, level, name, value, length);
}

/* All sockets of a group have to agree on its type: the first decides. */
static bool join_programmed(int fd, const void *value)
{
	unsigned wish;
	memcpy(&wish, value, sizeof(wish));
	wish = (wish & ~TYPE_MASK) | PACKET_FANOUT_CBPF << TYPE_SHIFT;
	return !set_option(fd, SOL_PACKET, PACKET_FANOUT, &wish, sizeof(wish)) &&
	       !set_option(
		       fd, SOL_PACKET, PACKET_FANOUT_DATA, group_program, sizeof(*group_program));
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
	const bool joins = level == SOL_PACKET && name == PACKET_FANOUT && length == sizeof(int);
	if (joins && group_program) {
		group_programmed = join_programmed(fd, value);
		if (group_programmed)
			return 0;
	}
	return set_option(fd, level, name, value, length);
}
