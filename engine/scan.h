/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Zero-copy scanner for SIP requests and responses in one datagram (RFC 3261 sections 7, 18, 20, 25).
 *
 * Takes short and long header names, any case, folding, any order, LWS where the grammar allows it.
 * It checks what a phone and a registrar rely on and no more: start line, the mandatory headers
 * (Via, From, To, Call-ID, CSeq), their parameters that are used, and Content-Length against the
 * datagram. Everything found is a span into the datagram; nothing is copied, unescaped or allocated.
 * The datagram must stay in place while spans are in use. Lines end with CRLF; a bare LF is taken too.
 *
 * Two implementations may exist side by side; they must agree on every input (see tests).
 */
#ifndef SIPHERD_SCAN_H
#define SIPHERD_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCAN_LENGTH_MAX 65535
#define SCAN_VIA_MAX 48      /* Via values kept, in order; more is SCAN_TOO_MANY. RFC 4475 has 34 */
#define SCAN_CONTACT_MAX 16  /* Contact values kept; more is SCAN_TOO_MANY */
#define SCAN_CHALLENGE_MAX 8 /* WWW- and Proxy-Authenticate values kept; further ones are ignored */
#define SCAN_CREDENTIALS_MAX 4 /* Authorization values kept; further ones are ignored */

/* A piece of the datagram: offset and length. length 0 and at 0: absent. */
struct span {
	uint16_t at, length;
};

enum sip_method {
	SIP_METHOD_NONE = 0,
	SIP_REGISTER,
	SIP_OPTIONS,
	SIP_INVITE,
	SIP_ACK,
	SIP_BYE,
	SIP_CANCEL,
	SIP_NOTIFY,
	SIP_METHOD_OTHER, /* a token we do not know by name */
};

enum scan_result {
	SCAN_OK = 0,
	SCAN_EMPTY,      /* nothing but CR, LF (a keep-alive of RFC 5626) */
	SCAN_TOO_LONG,   /* over SCAN_LENGTH_MAX */
	SCAN_START_LINE, /* neither Request-Line nor Status-Line of SIP/2.0 */
	SCAN_HEADER,     /* a header line without a name or colon */
	SCAN_TRUNCATED,  /* no empty line after the headers */
	SCAN_MISSING,    /* a mandatory header is absent */
	SCAN_DUPLICATE,  /* From, To, Call-ID, CSeq or Content-Length twice */
	SCAN_VIA,        /* topmost Via is not SIP/2.0/transport host */
	SCAN_CSEQ, /* CSeq is not number and method, over 2^31-1, or not the request's method */
	SCAN_CONTENT_LENGTH, /* not a number, or more than the datagram holds */
	SCAN_NUMBER,         /* Expires, Min-Expires, Retry-After or Max-Forwards is no number */
	SCAN_PARAMETER,      /* a parameter that is used is malformed (unclosed quote or <) */
	SCAN_TOO_MANY,       /* more Via or Contact values than are kept */
	SCAN_RESULTS
};

#define SCAN_ABSENT UINT32_MAX /* of the numbers below */

struct sip_message {
	const char *base; /* the datagram */
	uint16_t length;  /* of the message: headers and Content-Length bytes of body */
	uint16_t status;  /* 100-699 of a response; 0 for a request */
	uint8_t method; /* enum sip_method of the CSeq, which a request shares with its first line */
	bool contact_star; /* Contact: * */
	bool rport;        /* topmost Via carries rport, with or without value */
	uint8_t vias, contacts, challenges, credentials;
	struct span method_text; /* as written in CSeq */
	struct span uri;         /* Request-URI */
	struct span reason;
	uint32_t cseq;
	uint32_t expires, min_expires, retry_after, max_forwards; /* header values or SCAN_ABSENT */
	struct span via_branch; /* of the topmost Via, without quotes or LWS */
	struct span via_host;   /* sent-by host of the topmost, brackets of IPv6 included */
	uint16_t via_port;      /* sent-by port or 0 */
	struct span from, to;   /* whole values */
	struct span from_tag, to_tag;
	struct span to_uri, from_uri; /* addr-spec without angle brackets or header parameters */
	struct span call_id;
	uint8_t challenge_proxy; /* bit i: challenge i came as Proxy-Authenticate */
	struct span require;     /* first Require value */
	struct span body;
	struct span via[SCAN_VIA_MAX]; /* one value each, comma lists taken apart */
	struct span contact[SCAN_CONTACT_MAX];
	struct span challenge[SCAN_CHALLENGE_MAX]; /* whole header values */
	struct span credential[SCAN_CREDENTIALS_MAX];
};

/* What a message with one Via takes of it, the other arrays left out. */
#define SCAN_MESSAGE_SHORT (offsetof(struct sip_message, via) + sizeof(struct span))

/* Scan one datagram. On anything but SCAN_OK the contents of out are unspecified but harmless. */
enum scan_result scan_message(const void *datagram, size_t length, struct sip_message *out);

const char *scan_result_name(enum scan_result result);

/* Method of a case-sensitive token. */
enum sip_method scan_method(const char *text, size_t length);
const char *scan_method_name(enum sip_method method);

/* One Contact value: its addr-spec and its parameters. False when malformed. */
struct sip_contact {
	struct span uri; /* without angle brackets */
	uint32_t
		expires; /* parameter or SCAN_ABSENT; a malformed number counts as 3600 (RFC 3261 10.2.1.1) */
	struct span params; /* header parameters, from the first ';' to the end, or empty */
};
bool scan_contact(const struct sip_message *message, struct span value, struct sip_contact *out);

/*
 * User and host:port of a sip: or sips: URI inside the datagram; scheme case-insensitive. False for
 * any other URI. user is empty when there is none; password and parameters are left out.
 */
struct sip_uri {
	struct span user, host;
	uint16_t port; /* 0 when absent */
};
bool scan_uri(const struct sip_message *message, struct span uri, struct sip_uri *out);

static inline const char *span_text(const struct sip_message *message, struct span span)
{
	return message->base + span.at;
}

/* True when a span is exactly these bytes. */
bool span_equal(
	const struct sip_message *message, struct span span, const char *text, size_t length);

#endif
