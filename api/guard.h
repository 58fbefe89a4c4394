/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who may ask, judged by a request's headers. Pure: texts in, verdicts out; nothing here allocates,
 * reads a clock or knows the server. The fuzzer's target (tests/fuzz/guard.c).
 *
 * A web page of somebody else may make a browser ask us. That is why the Host header must be a name
 * of ours (a name that was turned to 127.0.0.1 is none), and an Origin, where there is one, must be
 * the very place that was asked.
 */
#ifndef SIPHERD_GUARD_H
#define SIPHERD_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "address.h"

#define GUARD_HOST_MAX 256
#define GUARD_TOKEN_LENGTH 64 /* hexadecimal digits of 256 random bits */

/* Where to listen: a numeric address or localhost, and a port; 0: one that is free. */
struct guard_listen {
	struct address address;
	uint16_t port;
	bool loopback; /* nobody outside this host can reach it */
	bool any;      /* all addresses of this host */
};

/* "127.0.0.1:8470", "[::1]:8470", "localhost:8470". -EINVAL. */
int guard_listen_parse(const char *text, struct guard_listen *out);

/* Takes "NAME", "NAME:PORT", "[ADDRESS]:PORT" apart: the name in small letters, IPv6 in its brackets and
 * its canonical form. False: that is no host. */
bool guard_host_parse(const char *text, char name[GUARD_HOST_MAX]);

/* Is this Host header one of ours: localhost, 127.0.0.1, [::1], the address we listen on, or one of
 * names? */
bool guard_host_is_ours(const char *host, const struct guard_listen *listen,
	const char *const *names, size_t count);

/* Is this Origin header the place that was asked, "SCHEME://" and the Host header? */
bool guard_origin_is_ours(const char *origin, const char *scheme, const char *host);

/* The token of "Bearer TOKEN", or NULL when the header is not of that kind. */
const char *guard_bearer(const char *authorization);

/* Is this Content-Type JSON: application/json, with or without parameters? */
bool guard_is_json(const char *type);

/* Takes as long for a token that is wrong in its first digit as for one that is wrong in its last. */
bool guard_token_equal(const char *given, const char token[GUARD_TOKEN_LENGTH + 1]);

/* A whole decimal number between low and high; nothing else around it. */
bool guard_number(const char *text, uint32_t low, uint32_t high, uint32_t *out);

#endif
