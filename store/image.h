/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The image file: the phones' records and the lease tokens, mapped and shared with the kernel, so
 * that a process that was killed finds everything it had written (STORE.md section 5).
 *
 * DIR/FLEET.SLOT.image, SLOT the first of 0..15 that no living process has locked: two generators of
 * one fleet on one host have a file each, and a restarted one finds its own. The node's name is
 * HOSTNAME-SLOT-TAG, TAG drawn when the file was made: hosts of one name stay apart. A file of
 * another fleet size is kept as far as it fits; one that is damaged or of
 * another version is moved aside to *.old and said so.
 */
#ifndef SIPHERD_IMAGE_H
#define SIPHERD_IMAGE_H

#include "record.h"

#define IMAGE_SLOTS 16
#define IMAGE_NODE_MAX 80
#define IMAGE_REASON_MAX 400

/* What survives of a shard besides its records. The store's thread writes. */
struct image_shard {
	/* Token of the last lease under which these records were the truth; 0: never. */
	_Atomic uint64_t mine;
};

struct image {
	uint32_t phones, shards;
	unsigned slot;
	bool fresh;                /* no usable file was there */
	char node[IMAGE_NODE_MAX]; /* HOSTNAME-SLOT-TAG */
	char path[4096];
	struct phone_record *record; /* [phones] */
	struct image_shard *shard;   /* [shards] */
	int fd;
	void *map;
	size_t length;
};

/* dir is made (0700) when it is missing. 0, or -errno with reason and remedy. `warning` gets a text
 * when an old file was moved aside, else it is empty. */
int image_open(struct image *image, const char *dir, const char *fleet, uint32_t phones,
	char warning[IMAGE_REASON_MAX], char reason[IMAGE_REASON_MAX]);
/* The file stays; it is flushed and unlocked. */
void image_close(struct image *image);

#endif
