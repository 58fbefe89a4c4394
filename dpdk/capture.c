/* SPDX-License-Identifier: BSD-3-Clause */
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
#include "mask.h"
#include "pcapng.h"
#include "pool.h"

#define COPIES 4096
#define BURST 64
#define LIMIT_DEFAULT (1ull << 30)
#define FILE_BUFFER (256 * 1024)
#define IDLE_NS 2000000

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
	uint64_t unix_start_us;      /* at the herd's time 0 */
	bool credentials;
	pthread_t writer;
	atomic_bool stop;         /* control thread -> writer */
	atomic_bool full;         /* writer -> workers: no more copies are wanted */
	_Atomic uint64_t written; /* writer -> anyone */
};

static struct pool_shape pool_shape(uint16_t snap)
{
	return (struct pool_shape){.frames = COPIES - 1,
		.room = snap,
		.note = sizeof(struct note),
		.cache = 64,
		.socket = SOCKET_ID_ANY};
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
	uint8_t start[PCAPNG_START];
	pcapng_start(start, snap);
	capture->bytes = sizeof(start);
	return fwrite(start, sizeof(start), 1, capture->file);
}

static bool write_packet(struct capture *capture, struct rte_mbuf *copy)
{
	const struct note *note = rte_mbuf_to_priv(copy);
	uint8_t *bytes = rte_pktmbuf_mtod(copy, uint8_t *);
	const uint32_t length = rte_pktmbuf_data_len(copy);
	uint8_t head[PCAPNG_HEAD], tail[PCAPNG_TAIL_MAX];
	const struct pcapng_packet packet = {.unix_us = capture->unix_start_us + note->now_us,
		.captured = length,
		.original = length,
		.inbound = note->inbound};
	if (capture->bytes + pcapng_size(&packet) > capture->limit_bytes)
		return false;
	capture->bytes += pcapng_size(&packet);
	mask_frame(bytes, length, capture->credentials, note->open);
	pcapng_head(&packet, head);
	const size_t tail_length = pcapng_tail(&packet, tail);
	return fwrite(head, sizeof(head), 1, capture->file) &&
	       fwrite(bytes, 1, length, capture->file) == length &&
	       fwrite(tail, 1, tail_length, capture->file) == tail_length;
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
	uint64_t unix_start_us, struct wire_error *error)
{
	struct capture *capture = calloc(1, sizeof(*capture));
	if (!capture)
		return failure(error, -ENOMEM, "capture %s: out of memory", config->path);
	capture->unix_start_us = unix_start_us;
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
