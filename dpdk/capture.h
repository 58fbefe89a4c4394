/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Capture: copies of frames into a pcapng file, by a thread of its own.
 *
 * Workers copy a frame into a bounded ring and go on; when the ring or the buffers for copies are
 * used up the copy is dropped and counted. The writer masks credentials and completes checksums
 * that were left to hardware. When the limit is reached or the disk refuses, capturing ends quietly
 * and capture_written stands still.
 */
#ifndef SIPHERD_CAPTURE_H
#define SIPHERD_CAPTURE_H

#include <stdatomic.h>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "wire.h"

struct capture; /* NULL wherever nothing is captured */

struct capture_place {
	uint64_t now_us;
	bool inbound;
	bool open; /* its UDP checksum was left to hardware */
};

/* The file is made at once. snap: longest frame; unix_start_us: the wall clock at the herd's time 0. */
int capture_open(struct capture **out, const struct wire_capture *config, uint16_t snap,
	uint64_t unix_start_us, struct wire_error *error);
/* Memory that it will ask DPDK for, in bytes. */
uint64_t capture_memory(uint16_t snap);

/* Any worker. True: the copy is on its way. */
bool capture_frame(
	struct capture *capture, struct rte_mbuf *frame, const struct capture_place *place);

/* Frames in the file so far; any thread. */
uint64_t capture_written(const struct capture *capture);

/* Write what is left and close the file. No worker may be running. */
void capture_close(struct capture *capture);

#endif
