/* SPDX-License-Identifier: BSD-3-Clause */
/* The scanner's portable implementation beside the one in use. */
#ifndef SIPHERD_SCAN_PORTABLE_H
#define SIPHERD_SCAN_PORTABLE_H

#include "scan.h"

enum scan_result portable_scan_message(
	const void *datagram, size_t length, struct sip_message *out);
bool portable_scan_contact(
	const struct sip_message *message, struct span value, struct sip_contact *out);
bool portable_scan_uri(const struct sip_message *message, struct span uri, struct sip_uri *out);

#endif
