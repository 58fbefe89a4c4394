/* SPDX-License-Identifier: BSD-3-Clause */
#include "parsers_peers.h"

#include <stdint.h>
#include <stdlib.h>

#include <osipparser2/osip_message.h>
#include <osipparser2/osip_parser.h>
#include <re.h>

int peers_open(void)
{
	return parser_init() == 0 && libre_init() == 0;
}

void peers_close(void)
{
	libre_close();
}

unsigned peer_osip(const char *text, size_t length)
{
	osip_message_t *message;
	if (osip_message_init(&message) != 0 || osip_message_parse(message, text, length) != 0)
		exit(1);
	const unsigned status = (unsigned)message->status_code;
	osip_message_free(message);
	return status;
}

/* A message of libre refers to the buffer it was read from, so that one is made for it. */
unsigned peer_re(const char *text, size_t length)
{
	struct sip_msg *message;
	struct mbuf *buffer = mbuf_alloc(length);
	if (buffer == NULL || mbuf_write_mem(buffer, (const uint8_t *)text, length) != 0)
		exit(1);
	mbuf_set_pos(buffer, 0);
	if (sip_msg_decode(&message, buffer) != 0)
		exit(1);
	const unsigned status = message->scode;
	mem_deref(message);
	mem_deref(buffer);
	return status;
}
