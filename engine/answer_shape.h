/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers to requests of one skeleton (scan_learn.h): all alike but for what they repeat of the request,
 * the source address in received and rport, the tag and a nonce. The first is put together in full, those
 * after it are a few copies, and come out byte for byte the same.
 */
#ifndef SIPHERD_ANSWER_SHAPE_H
#define SIPHERD_ANSWER_SHAPE_H

#include "answer.h"
#include "scan_learn.h"

#define ANSWER_SHAPE_TEXT 768 /* bytes an answer may have of its own */
#define ANSWER_SHAPE_RUNS 32

/* Bytes of an answer that come from one place. */
struct answer_run {
	uint16_t at, length; /* in the request, or in the shape's text */
	uint8_t source;      /* enum answer_source */
};

struct answer_shape {
	uint16_t length; /* of an answer without received and rport; 0: nothing is known */
	bool refused;    /* answers like it have no shape */
	uint16_t cseq_at;
	uint16_t tag_from_end, nonce_from_end, nonce_length; /* 0: there is none */
	uint16_t runs, text_length;
	struct answer_run run[ANSWER_SHAPE_RUNS];
	char text[ANSWER_SHAPE_TEXT];
};

/* What differs and is not in the request. */
struct answer_filling {
	uint16_t source_length;
	char source[ANSWER_SOURCE_MAX];
	char tag[8];
	const char *nonce;
};

/*
 * Learn from an answer that fits and that answer_write has not been told otherwise of. The request is the
 * one it answers, recognised as one of the skeleton. False: such answers have no shape.
 */
bool answer_shape_make(struct answer_shape *shape, const struct answer *answer,
	const struct sip_message *request, const struct scan_skeleton *skeleton);

/* Is the answer to this request, of the same skeleton, one of this shape? */
static inline bool answer_shape_fits(
	const struct answer_shape *shape, const struct sip_message *request)
{
	/* A number is never repeated with the zeros before it. */
	return shape->length > 0 && request->base[shape->cseq_at] != '0';
}

void answer_fill(struct answer_filling *filling, const struct endpoint *from, uint32_t tag);

static inline uint16_t answer_shape_length(
	const struct answer_shape *shape, const struct answer_filling *filling)
{
	return (uint16_t)(shape->length + filling->source_length);
}

/* Write that many bytes. */
void answer_shape_write(const struct answer_shape *shape, const struct sip_message *request,
	const struct answer_filling *filling, uint8_t *out);

#endif
