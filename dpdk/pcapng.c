/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <string.h>

#include "pcapng.h"

/* Blocks are padded to 32 bits. */
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
static_assert(PCAPNG_START == sizeof(struct section_block) + sizeof(struct interface_block),
	"what a file begins with");

struct packet_block {
	uint32_t type, length, interface, time_high, time_low, captured, original;
};
static_assert(sizeof(struct packet_block) == PCAPNG_HEAD, "as in the file");

struct packet_tail {
	struct option_header flags;
	uint32_t direction, end_of_options, length_again;
};
static_assert(sizeof(struct packet_tail) + 3 == PCAPNG_TAIL_MAX, "as in the file");

static uint32_t padding_of(const struct pcapng_packet *packet)
{
	return -packet->captured & 3;
}

void pcapng_start(uint8_t out[PCAPNG_START], uint32_t snap)
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
	memcpy(out, &section, sizeof(section));
	memcpy(out + sizeof(section), &interface, sizeof(interface));
}

uint32_t pcapng_size(const struct pcapng_packet *packet)
{
	return (uint32_t)(sizeof(struct packet_block) + packet->captured + padding_of(packet) +
			  sizeof(struct packet_tail));
}

void pcapng_head(const struct pcapng_packet *packet, uint8_t out[PCAPNG_HEAD])
{
	const struct packet_block block = {.type = BLOCK_PACKET,
		.length = pcapng_size(packet),
		.time_high = (uint32_t)(packet->unix_us >> 32),
		.time_low = (uint32_t)packet->unix_us,
		.captured = packet->captured,
		.original = packet->original};
	memcpy(out, &block, sizeof(block));
}

size_t pcapng_tail(const struct pcapng_packet *packet, uint8_t out[PCAPNG_TAIL_MAX])
{
	const struct packet_tail tail = {.flags = {OPTION_FLAGS, 4},
		.direction = packet->inbound ? 1 : 2,
		.length_again = pcapng_size(packet)};
	const uint32_t padding = padding_of(packet);
	memset(out, 0, padding);
	memcpy(out + padding, &tail, sizeof(tail));
	return padding + sizeof(tail);
}
