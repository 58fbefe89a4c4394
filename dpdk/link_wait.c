/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a worker can wait at until its device has frames. The tap driver says which descriptor that is;
 * af_packet and af_xdp keep their sockets to themselves, so they are looked for among our descriptors.
 * They are opened queue by queue, each with the lowest number that is free.
 */
#include <dirent.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <rte_ethdev.h>

#include "link.h"

#define DESCRIPTORS_FOLDER "/proc/self/fd"

static bool is_socket_of(int fd, int domain, int interface)
{
	struct sockaddr_ll at = {0};
	int its = 0;
	socklen_t length = sizeof(its);
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &its, &length) || its != domain)
		return false;
	length = sizeof(at);
	/* An XDP socket does not tell where it is bound, but nobody else has any. */
	return domain == AF_XDP ||
	       (!getsockname(fd, (struct sockaddr *)&at, &length) && at.sll_ifindex == interface);
}

static void insert(int *list, unsigned count, int fd)
{
	unsigned at = count;
	for (; at && list[at - 1] > fd; at--)
		list[at] = list[at - 1];
	list[at] = fd;
}

/* The first `most` of such sockets in ascending order; returns how many there are in all. */
static unsigned find_sockets(int domain, int interface, int *list, unsigned most)
{
	unsigned count = 0;
	DIR *folder = opendir(DESCRIPTORS_FOLDER);
	if (!folder)
		return 0;
	for (struct dirent *entry; (entry = readdir(folder));) {
		const int fd = atoi(entry->d_name);
		if (*entry->d_name == '.' || !is_socket_of(fd, domain, interface))
			continue;
		if (count < most)
			insert(list, count, fd);
		count++;
	}
	closedir(folder);
	return count;
}

void link_find_waits(struct link *link)
{
	const struct link_port *port = &link->port[LINK_NEAR];
	const uint8_t kind = link->wish.kind;
	for (unsigned q = 0; q < WIRE_WORKERS_MAX; q++)
		link->wait_fd[q] = -1;
	if (kind == WIRE_TAP)
		for (uint16_t q = 0; q < port->queues; q++)
			link->wait_fd[q] = rte_eth_dev_rx_intr_ctl_q_get_fd(port->id, q);
	if (kind != WIRE_AF_PACKET && kind != WIRE_AF_XDP)
		return;
	int list[WIRE_WORKERS_MAX];
	const int interface = (int)if_nametoindex(link->wish.device);
	if (find_sockets(kind == WIRE_AF_XDP ? AF_XDP : AF_PACKET, interface, list,
		    WIRE_WORKERS_MAX) != port->queues)
		return;
	for (uint16_t q = 0; q < port->queues; q++)
		link->wait_fd[q] = list[q];
}
