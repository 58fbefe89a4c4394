/* SPDX-License-Identifier: BSD-3-Clause */
#include "answer_shape.h"

#include <string.h>

#include "hex.h"

/* A shape being made. */
struct draft {
	struct answer_shape *shape;
	const struct sip_message *request;
	const struct scan_skeleton *skeleton;
	size_t tag_at, nonce_at; /* from the answer's start, received and rport left out */
	bool overflow;
};

static void add_run(struct draft *d, enum answer_source source, size_t at, size_t length)
{
	struct answer_shape *shape = d->shape;
	if (shape->runs == ANSWER_SHAPE_RUNS) {
		d->overflow = true;
		return;
	}
	shape->run[shape->runs++] = (struct answer_run){
		(uint16_t)at, (uint16_t)length, (uint8_t)source};
}

static struct answer_run *last_run(struct draft *d, enum answer_source source)
{
	struct answer_shape *shape = d->shape;
	if (shape->runs == 0 || shape->run[shape->runs - 1].source != source)
		return NULL;
	return &shape->run[shape->runs - 1];
}

static void add_own(struct draft *d, const char *text, size_t length)
{
	struct answer_shape *shape = d->shape;
	if (shape->text_length + length > ANSWER_SHAPE_TEXT) {
		d->overflow = true;
		return;
	}
	memcpy(shape->text + shape->text_length, text, length);
	struct answer_run *run = last_run(d, ANSWER_OWN);
	if (run != NULL)
		run->length = (uint16_t)(run->length + length);
	else
		add_run(d, ANSWER_OWN, shape->text_length, length);
	shape->text_length = (uint16_t)(shape->text_length + length);
}

/* What stands before a piece of the request may stand there in all requests of this skeleton: then the
 * copy begins sooner, and what we had of our own is left out. */
static size_t taken_back(struct draft *d, size_t at)
{
	struct answer_shape *shape = d->shape;
	struct answer_run *own = last_run(d, ANSWER_OWN);
	size_t back = 0;
	while (own != NULL && back < own->length && back < at &&
		scan_skeleton_is_fixed(d->skeleton, at - back - 1) &&
		d->request->base[at - back - 1] == shape->text[own->at + own->length - 1 - back])
		back++;
	if (back == 0)
		return 0;
	own->length = (uint16_t)(own->length - back);
	shape->text_length = (uint16_t)(shape->text_length - back);
	shape->runs -= own->length == 0;
	return back;
}

static void add_request(struct draft *d, size_t at, size_t length)
{
	const size_t back = taken_back(d, at);
	at -= back;
	length += back;
	struct answer_run *run = last_run(d, ANSWER_REQUEST);
	if (run != NULL && (size_t)run->at + run->length == at)
		run->length = (uint16_t)(run->length + length);
	else
		add_run(d, ANSWER_REQUEST, at, length);
}

/* Line ends within a value are never varied by a skeleton: where there is none now there never is. */
static bool has_line_end(const char *text, size_t length)
{
	return memchr(text, '\r', length) != NULL || memchr(text, '\n', length) != NULL;
}

static void add_foreign(struct draft *d, const struct answer_piece *piece)
{
	const size_t at = (uintptr_t)piece->text - (uintptr_t)d->request->base;
	if (at > d->skeleton->length || piece->length > d->skeleton->length - at ||
		has_line_end(piece->text, piece->length))
		d->overflow = true;
	else
		add_request(d, at, piece->length);
}

/* The number as the request has it, unless there are zeros before it. */
static void add_cseq(struct draft *d, const struct answer_piece *piece)
{
	const size_t at = d->skeleton->cseq_at;
	d->shape->cseq_at = (uint16_t)at;
	if (piece->length != d->skeleton->cseq_digits)
		d->overflow = true;
	else
		add_request(d, at, piece->length);
}

static void add_piece(struct draft *d, const struct answer_piece *piece, size_t at)
{
	switch ((enum answer_source)piece->source) {
	case ANSWER_OWN:
		add_own(d, piece->text, piece->length);
		return;
	case ANSWER_REQUEST:
		add_foreign(d, piece);
		return;
	case ANSWER_CSEQ:
		add_cseq(d, piece);
		return;
	case ANSWER_TAG:
		d->tag_at = at;
		add_own(d, piece->text, piece->length);
		return;
	case ANSWER_NONCE:
		d->overflow |= d->nonce_at > 0;
		d->nonce_at = at;
		d->shape->nonce_length = (uint16_t)piece->length;
		add_own(d, piece->text, piece->length);
		return;
	case ANSWER_SOURCE:
		add_run(d, ANSWER_SOURCE, 0, 0);
		return;
	}
}

bool answer_shape_make(struct answer_shape *shape, const struct answer *answer,
	const struct sip_message *request, const struct scan_skeleton *skeleton)
{
	struct draft d = {.shape = shape, .request = request, .skeleton = skeleton};
	size_t length = 0;
	*shape = (struct answer_shape){0};
	/* Without rport it depends on the source address what the Via says. */
	d.overflow = !request->rport || !answer_fits(answer);
	for (uint32_t i = 0; i < answer->pieces && !d.overflow; i++) {
		const struct answer_piece *piece = &answer->piece[i];
		add_piece(&d, piece, length);
		if (piece->source != ANSWER_SOURCE)
			length += piece->length;
	}
	if (d.overflow || length + ANSWER_SOURCE_MAX > ANSWER_MAX) {
		*shape = (struct answer_shape){.refused = true};
		return false;
	}
	shape->tag_from_end = d.tag_at > 0 ? (uint16_t)(length - d.tag_at) : 0;
	shape->nonce_from_end = d.nonce_at > 0 ? (uint16_t)(length - d.nonce_at) : 0;
	shape->length = (uint16_t)length;
	return true;
}

void answer_fill(struct answer_filling *filling, const struct endpoint *from, uint32_t tag)
{
	filling->source_length = (uint16_t)answer_source(from, filling->source);
	hex8_write(tag, filling->tag);
	filling->nonce = NULL;
}

struct sixteen {
	uint64_t low, high;
};

static inline void copy_sixteen(uint8_t *out, const char *from)
{
	struct sixteen piece;
	memcpy(&piece, from, sizeof(piece));
	memcpy(out, &piece, sizeof(piece));
}

/* memcpy for runs that are mostly a few times sixteen bytes long: calling it takes longer. */
static inline void copy_run(uint8_t *out, const char *from, size_t length)
{
	if (length < sizeof(struct sixteen)) {
		for (size_t i = 0; i < length; i++)
			out[i] = (uint8_t)from[i];
		return;
	}
	const size_t last = length - sizeof(struct sixteen);
	for (size_t i = 0; i < last; i += sizeof(struct sixteen))
		copy_sixteen(out + i, from + i);
	copy_sixteen(out + last, from + last);
}

void answer_shape_write(const struct answer_shape *shape, const struct sip_message *request,
	const struct answer_filling *filling, uint8_t *out)
{
	for (unsigned i = 0; i < shape->runs; i++) {
		const struct answer_run *run = &shape->run[i];
		const char *from = shape->text + run->at;
		size_t length = run->length;
		if (run->source == ANSWER_REQUEST) {
			from = request->base + run->at;
		} else if (run->source == ANSWER_SOURCE) {
			from = filling->source;
			length = filling->source_length;
		}
		copy_run(out, from, length);
		out += length;
	}
	if (shape->tag_from_end > 0)
		memcpy(out - shape->tag_from_end, filling->tag, sizeof(filling->tag));
	if (shape->nonce_from_end > 0)
		memcpy(out - shape->nonce_from_end, filling->nonce, shape->nonce_length);
}
