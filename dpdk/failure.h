/* SPDX-License-Identifier: BSD-3-Clause */
/* The one message at the edge: what failed, why, and what helps. */
#ifndef SIPHERD_FAILURE_H
#define SIPHERD_FAILURE_H

#include "wire.h"

/* Put a message into error and return code, so that callers can `return failure(...)`. */
__attribute__((format(printf, 3, 4))) int failure(
	struct wire_error *error, int code, const char *format, ...);

#endif
