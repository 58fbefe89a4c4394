/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fanout.h"

/* Nonzero only inside make_device, for the driver that this thread probes. */
static _Thread_local pid_t stand_in;

/* The driver is a shared library and finds this one instead of libc's. */
pid_t getpid(void)
{
	return stand_in ? stand_in : (pid_t)syscall(SYS_getpid);
}

/* Join the group as the driver will, and leave it again. */
static bool may_join(unsigned ifindex, uint16_t group)
{
	const struct sockaddr_ll here = {.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)ifindex};
	const uint32_t fanout = group | (uint32_t)(PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_DEFRAG |
						   PACKET_FANOUT_FLAG_ROLLOVER)
						<< 16;
	const int trial = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (trial < 0)
		return true; /* not for us to judge: the driver will fail and say why */
	const bool joined = !bind(trial, (const struct sockaddr *)&here, sizeof(here)) &&
			    !setsockopt(trial, SOL_PACKET, PACKET_FANOUT, &fanout, sizeof(fanout));
	close(trial);
	return joined;
}

void fanout_begin(const char *interface)
{
	const pid_t own = getpid();
	const unsigned ifindex = if_nametoindex(interface);
	for (uint32_t i = 0; i < FANOUT_TRIES; i++) {
		/* Far apart, so that neighbours in the table of processes do not meet again. */
		const pid_t candidate = (pid_t)((uint32_t)own + i * 4099);
		if (!may_join(ifindex, (uint16_t)((uint32_t)candidate ^ ifindex)))
			continue;
		stand_in = candidate;
		return;
	}
}

void fanout_end(void)
{
	stand_in = 0;
}
