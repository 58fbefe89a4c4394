/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A Redis that tells `sipherd fleet` whatever it likes. Input: everything that it says, whatever it is
 * asked; then it closes the connection and takes no other. The calls come in an order that the first
 * byte chooses, so that each can be the first whose answer is bad.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "reader.h"

#define CALLS 7
#define NODES 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Nothing that a terminal obeys reaches anybody, be it of seven bits or of eight. */
static void check_text(const char *text, size_t size)
{
	const size_t length = strnlen(text, size);
	if (length == size)
		abort();
	for (size_t i = 0; i < length; i++)
		if (text[i] < ' ' || text[i] > '~')
			abort();
}

static void on_line(void *context, uint32_t shard, const char *line)
{
	(void)context, (void)shard;
	if (line[0] == '\0')
		abort();
	check_text(line, 256);
}

static void on_total(void *context, const char *name, uint64_t value)
{
	(void)context, (void)value;
	check_text(name, 64);
}

static void read_nodes(struct reader *reader)
{
	struct reader_node node[NODES];
	size_t count;
	if (reader_nodes(reader, node, NODES, &count) != 0)
		return;
	for (size_t i = 0; i < count && i < NODES; i++) {
		check_text(node[i].node, sizeof(node[i].node));
		check_text(node[i].host, sizeof(node[i].host));
		check_text(node[i].state, sizeof(node[i].state));
		check_text(node[i].version, sizeof(node[i].version));
	}
}

static void read_lease(struct reader *reader)
{
	struct reader_lease lease;
	if (reader_lease(reader, 0, &lease) == 0)
		check_text(lease.owner, sizeof(lease.owner));
}

static void read_one(struct reader *reader, unsigned which)
{
	static uint8_t records[SHARD_PHONES * RECORD_SIZE];
	struct reader_fleet fleet;
	switch (which) {
	case 0:
		reader_fleet(reader, &fleet);
		break;
	case 1:
		read_nodes(reader);
		break;
	case 2:
		read_lease(reader);
		break;
	case 3:
		reader_phone(reader, 1, records);
		break;
	case 4:
		reader_slab(reader, 0, records);
		break;
	case 5:
		reader_totals(reader, on_total, NULL);
		break;
	default:
		reader_feed(reader, 1, on_line, NULL);
	}
	check_text(reader_reason(reader), READER_REASON_MAX);
}

static int begin(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	unlink(path);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
		listen(fd, 1) != 0)
		abort();
	return fd;
}

/* Opening it asks nothing yet, so that everything can be said before the first question. What the
 * socket does not hold is left out. Open to the end: what is asked may still be sent. */
static int talk(int fd, const uint8_t *data, size_t size)
{
	const int peer = accept(fd, NULL, NULL);
	close(fd);
	if (peer < 0)
		abort();
	if (size > 0 && send(peer, data, size, MSG_NOSIGNAL | MSG_DONTWAIT) <= 0)
		abort();
	shutdown(peer, SHUT_WR);
	return peer;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct target target = {.kind = TARGET_UNIX};
	struct reader *reader;
	char reason[READER_REASON_MAX];
	if (size == 0)
		return 0;
	snprintf(target.path, sizeof(target.path), "/tmp/sipherd-fuzz-reader-%d", (int)getpid());
	const int fd = begin(target.path);
	if (reader_open(&reader, &target, "f1", reason) != 0)
		abort();
	const int peer = talk(fd, data + 1, size - 1);
	for (unsigned i = 0; i < CALLS; i++)
		read_one(reader, (data[0] + i) % CALLS);
	reader_close(reader);
	close(peer);
	unlink(target.path);
	return 0;
}
