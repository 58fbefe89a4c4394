/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_lcore.h>

#include "capture.h"
#include "failure.h"
#include "frame.h"
#include "mask.h"
#include "pool.h"

#define COPIES 4096
#define BURST 64
#define LIMIT_DEFAULT (1ull << 30)
#define FILE_BUFFER (256 * 1024)
#define IDLE_NS 2000000

/* pcapng, draft-ietf-opsawg-pcapng: blocks in the writer's byte order, padded to 32 bits. */
#define BLOCK_SECTION 0x0a0d0d0au
#define BLOCK_INTERFACE 1u
#define BLOCK_PACKET 6u
#define BYTE_ORDER_MAGIC 0x1a2b3c4du
#define LINKTYPE_ETHERNET 1
#define OPTION_APPLICATION 4 /* shb_userappl */
#define OPTION_RESOLUTION 9  /* if_tsresol: a power of ten */
#define OPTION_FLAGS 2       /* epb_flags: 1 inbound, 2 outbound */

struct option_header {
	uint16_t code, length;
};

struct section_block {
	uint32_t type, length, magic;
	uint16_t major, minor;
	int64_t section_length; /* -1: not known */
	struct option_header application;
	char name[8];
	uint32_t end_of_options, length_again;
} __attribute__((packed));
static_assert(sizeof(struct section_block) == 44, "as in the file");

struct interface_block {
	uint32_t type, length;
	uint16_t link_type, reserved;
	uint32_t snap;
	struct option_header resolution;
	uint8_t exponent, padding[3];
	uint32_t end_of_options, length_again;
};
static_assert(sizeof(struct interface_block) == 32, "as in the file");

struct packet_block {
	uint32_t type, length, interface, time_high, time_low, captured, original;
};
static_assert(sizeof(struct packet_block) == 28, "as in the file");

struct packet_tail {
	struct option_header flags;
	uint32_t direction, end_of_options, length_again;
};
static_assert(sizeof(struct packet_tail) == 16, "as in the file");

/* Travels with each copy in the private part of its buffer. */
struct note {
	uint64_t now_us;
	bool inbound, open;
};

struct capture {
	struct rte_mempool *pool;
	struct rte_ring *ring; /* workers put, the writer takes */
	FILE *file;            /* the writer's own once it runs */
	char *buffer;
	uint64_t limit_bytes, bytes; /* the writer's */
	uint64_t start_us;           /* wall clock at the herd's time 0 */
	bool credentials;
	pthread_t writer;
	atomic_bool stop;         /* control thread -> writer */
	atomic_bool full;         /* writer -> workers: no more copies are wanted */
	_Atomic uint64_t written; /* writer -> anyone */
};

static struct pool_shape pool_shape(uint16_t snap)
{
	return (struct pool_shape){
		.frames = COPIES - 1, .room = snap, .note = sizeof(struct note), .cache = 64};
}

uint64_t capture_memory(uint16_t snap)
{
	const struct pool_shape shape = pool_shape(snap);
	return pool_memory(&shape);
}

bool capture_frame(
	struct capture *capture, struct rte_mbuf *frame, const struct capture_place *place)
{
	if (atomic_load_explicit(&capture->full, memory_order_relaxed))
		return true;
	struct rte_mbuf *copy = rte_pktmbuf_copy(frame, capture->pool, 0, UINT32_MAX);
	if (!copy)
		return false;
	struct note *note = rte_mbuf_to_priv(copy);
	*note = (struct note){place->now_us, place->inbound, place->open};
	if (!rte_ring_enqueue(capture->ring, copy))
		return true;
	rte_pktmbuf_free(copy);
	return false;
}

uint64_t capture_written(const struct capture *capture)
{
	return atomic_load_explicit(&capture->written, memory_order_relaxed);
}

static bool write_start(struct capture *capture, uint16_t snap)
{
	const struct section_block section = {.type = BLOCK_SECTION,
		.length = sizeof(section),
		.magic = BYTE_ORDER_MAGIC,
		.major = 1,
		.section_length = -1,
		.application = {OPTION_APPLICATION, 7},
		.name = "sipherd",
		.length_again = sizeof(section)};
	const struct interface_block interface = {.type = BLOCK_INTERFACE,
		.length = sizeof(interface),
		.link_type = LINKTYPE_ETHERNET,
		.snap = snap,
		.resolution = {OPTION_RESOLUTION, 1},
		.exponent = 6,
		.length_again = sizeof(interface)};
	capture->bytes = sizeof(section) + sizeof(interface);
	return fwrite(&section, sizeof(section), 1, capture->file) &&
	       fwrite(&interface, sizeof(interface), 1, capture->file);
}

static bool write_packet(struct capture *capture, struct rte_mbuf *copy)
{
	static const uint8_t zeros[4];
	const struct note *note = rte_mbuf_to_priv(copy);
	uint8_t *bytes = rte_pktmbuf_mtod(copy, uint8_t *);
	const uint32_t length = rte_pktmbuf_data_len(copy), padding = -length & 3;
	const uint64_t time_us = capture->start_us + note->now_us;
	const struct packet_block block = {.type = BLOCK_PACKET,
		.length = (uint32_t)(sizeof(block) + length + padding + sizeof(struct packet_tail)),
		.time_high = (uint32_t)(time_us >> 32),
		.time_low = (uint32_t)time_us,
		.captured = length,
		.original = length};
	const struct packet_tail tail = {.flags = {OPTION_FLAGS, 4},
		.direction = note->inbound ? 1 : 2,
		.length_again = block.length};
	if (capture->bytes + block.length > capture->limit_bytes)
		return false;
	capture->bytes += block.length;
	mask_frame(bytes, length, capture->credentials, note->open);
	return fwrite(&block, sizeof(block), 1, capture->file) &&
	       fwrite(bytes, 1, length, capture->file) == length &&
	       fwrite(zeros, 1, padding, capture->file) == padding &&
	       fwrite(&tail, sizeof(tail), 1, capture->file);
}

static void *write_frames(void *argument)
{
	struct capture *capture = argument;
	struct rte_mbuf *copy[BURST];
	const struct timespec pause = {.tv_nsec = IDLE_NS};
	for (;;) {
		/* Asked before looking, so that nothing put before the stop is left behind. */
		const bool stop = atomic_load_explicit(&capture->stop, memory_order_acquire);
		const unsigned n = rte_ring_dequeue_burst(
			capture->ring, (void **)copy, BURST, NULL);
		for (unsigned i = 0; i < n; i++) {
			if (atomic_load_explicit(&capture->full, memory_order_relaxed))
				continue;
			if (write_packet(capture, copy[i]))
				atomic_fetch_add_explicit(
					&capture->written, 1, memory_order_relaxed);
			else
				atomic_store_explicit(&capture->full, true, memory_order_relaxed);
		}
		rte_pktmbuf_free_bulk(copy, n);
		if (n)
			continue;
		fflush(capture->file);
		if (stop)
			return NULL;
		nanosleep(&pause, NULL);
	}
}

static void capture_free(struct capture *capture)
{
	if (capture->file)
		fclose(capture->file);
	rte_ring_free(capture->ring);
	rte_mempool_free(capture->pool);
	free(capture->buffer);
	free(capture);
}

static int capture_start(struct capture *capture, const struct wire_capture *config, uint16_t snap,
	struct wire_error *error)
{
	/* With credentials in it, the file is for its owner only. */
	const int fd = open(config->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
		config->credentials ? 0600 : 0666);
	capture->file = fd < 0 ? NULL : fdopen(fd, "wb");
	if (!capture->file)
		return failure(error, -errno, "capture %s: %s. Choose a file that can be written",
			config->path, strerror(errno));
	if (capture->buffer)
		setvbuf(capture->file, capture->buffer, _IOFBF, FILE_BUFFER);
	if (!write_start(capture, snap))
		return failure(
			error, -EIO, "capture %s: cannot write: %s", config->path, strerror(errno));
	const int result = rte_ctrl_thread_create(
		&capture->writer, "capture", NULL, write_frames, capture);
	if (result)
		return failure(error, result, "capture %s: no thread for it: %s", config->path,
			strerror(-result));
	return 0;
}

int capture_open(struct capture **out, const struct wire_capture *config, uint16_t snap,
	struct wire_error *error)
{
	struct timespec now;
	struct capture *capture = calloc(1, sizeof(*capture));
	if (!capture)
		return failure(error, -ENOMEM, "capture %s: out of memory", config->path);
	clock_gettime(CLOCK_REALTIME, &now);
	capture->start_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
	capture->limit_bytes = config->limit_bytes ? config->limit_bytes : LIMIT_DEFAULT;
	capture->credentials = config->credentials;
	capture->buffer = malloc(FILE_BUFFER);
	const struct pool_shape shape = pool_shape(snap);
	capture->pool = pool_open("capture", &shape);
	capture->ring = rte_ring_create("capture", COPIES, SOCKET_ID_ANY, RING_F_SC_DEQ);
	const int result = capture->pool && capture->ring
				   ? capture_start(capture, config, snap, error)
				   : failure(error, -ENOMEM, "capture %s: no buffers for copies",
					     config->path);
	if (result)
		capture_free(capture);
	else
		*out = capture;
	return result;
}

void capture_close(struct capture *capture)
{
	if (!capture)
		return;
	atomic_store_explicit(&capture->stop, true, memory_order_release);
	pthread_join(capture->writer, NULL);
	capture_free(capture);
}
