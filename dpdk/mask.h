/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Credentials in captured frames: overwritten by 'x', same length, checksum made right again.
 *
 * Masked are the values of response, nonce, cnonce, opaque, username, nextnonce and rspauth in the
 * headers that carry challenges and credentials. Whoever is in doubt is masked too: a text that
 * looks like such a header anywhere in the frame, and the whole payload of an IP fragment.
 */
#ifndef SIPHERD_MASK_H
#define SIPHERD_MASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Mask a SIP text in place. True when anything was overwritten. */
bool mask_text(uint8_t *text, size_t length);

/* Mask a whole Ethernet frame in place. open: its UDP checksum was left to hardware. */
void mask_frame(uint8_t *frame, size_t length, bool credentials, bool open);

#endif
