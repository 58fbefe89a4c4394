/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How much a server may make us keep of one reply. hiredis would take any number of elements at its
 * word: eleven bytes ask it for 16 GB, and endless lists of tiny things cost 20 times their bytes.
 */
#ifndef SIPHERD_MEASURE_H
#define SIPHERD_MEASURE_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdint.h>

#define MEASURE_BYTES_MAX (4u << 20)   /* of one reply; a slab has 320,000 */
#define MEASURE_OBJECTS_MAX (1u << 18) /* of one reply; a cluster's worst map has half of it */

struct measure {
	redisReplyObjectFunctions make; /* hiredis' own with our count before them */
	redisReplyObjectFunctions made_by;
	uint32_t objects; /* made for the reply that is being read; its reader sets it back to 0 */
};

/* From now on replies that this reader makes are counted: where there are too many objects it fails as
 * if there were no memory. The measure stays where it is as long as the reader lives. */
void measure_begin(struct measure *measure, redisReader *reader);

#endif
