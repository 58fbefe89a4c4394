/* SPDX-License-Identifier: BSD-3-Clause */
/* Other people's parsers, behind a name of ours: their headers and DPDK's use the same words. */
#ifndef SIPHERD_PARSERS_PEERS_H
#define SIPHERD_PARSERS_PEERS_H

#include <stddef.h>

int peers_open(void); /* 1 when they are ready; libre has a bool of its own */
void peers_close(void);
/* Parse and free one response; its status. Ends the program when it is refused. */
unsigned peer_osip(const char *text, size_t length);
unsigned peer_re(const char *text, size_t length);

#endif
