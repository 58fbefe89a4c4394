/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Blocks of a pcapng file (draft-ietf-opsawg-pcapng), in the writer's byte order: one section, one
 * Ethernet interface, times in microseconds, each packet with its direction.
 *
 * A file is pcapng_start once, then for each packet its head, its `captured` bytes, and its tail.
 */
#ifndef SIPHERD_PCAPNG_H
#define SIPHERD_PCAPNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PCAPNG_START 76 /* bytes before the first packet */
#define PCAPNG_HEAD 28
#define PCAPNG_TAIL_MAX 19

struct pcapng_packet {
	uint64_t unix_us;
	uint32_t captured, original; /* bytes in the file, bytes on the link */
	bool inbound;
};

/* snap: no packet has more bytes in the file. */
void pcapng_start(uint8_t out[PCAPNG_START], uint32_t snap);
/* All that a packet takes in the file. */
uint32_t pcapng_size(const struct pcapng_packet *packet);
void pcapng_head(const struct pcapng_packet *packet, uint8_t out[PCAPNG_HEAD]);
/* Padding included; returns its length. */
size_t pcapng_tail(const struct pcapng_packet *packet, uint8_t out[PCAPNG_TAIL_MAX]);

#endif
