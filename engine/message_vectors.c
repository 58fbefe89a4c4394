/* SPDX-License-Identifier: BSD-3-Clause */
/* Texts laid down in pieces of 32 bytes. Every field is made in a register, is stored once for each of
 * its places, and tells its part of the checksum on the way: nothing is written twice or read back. */
#include "message_internal.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define WITH_AVX2 __attribute__((target("avx2")))

#define EVEN 1
#define ODD 256 /* 2^16 - 1 divides 256 * 256 - 1: a byte at an odd place counts 256 fold */

/* Shuffles by how many bytes come first: what stands 8 bytes behind the first ones follows them. */
#define NONE 0x80
static const uint8_t join[9][16] = {
	[4] = {0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, NONE, NONE, NONE, NONE},
	[5] = {0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 14, 15, NONE, NONE, NONE},
	[6] = {0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15, NONE, NONE},
	[7] = {0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, NONE},
	[8] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
};

/* A window of 32 bytes into this moves eight bytes up by any distance of 0 to 16. */
static const uint8_t slide[48] = {NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE,
	NONE, NONE, NONE, NONE, NONE, 0, 1, 2, 3, 4, 5, 6, 7, NONE, NONE, NONE, NONE, NONE, NONE,
	NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE,
	NONE, NONE, NONE};

bool message_vectors_possible(void)
{
	return __builtin_cpu_supports("avx2");
}

void message_vectors_open(struct messages *m)
{
	m->vectors = message_vectors_possible();
	m->shaped = identity_user_shapes(m->identities, m->shape, &m->shape_begin);
}

static int16_t weight_at(uint16_t offset)
{
	return offset % 2 ? ODD : EVEN;
}

static void prepare_sums(struct template *t)
{
	struct template_weights *w = &t->weights;
	uint64_t sum = 0;
	for (unsigned i = 0; i < t->length; i++)
		sum += (uint64_t)(uint8_t)t->text[i] << i % 2 * 8;
	while (sum >> 16)
		sum = (sum >> 16) + (sum & 0xffff);
	t->sum = (uint32_t)sum;
	for (unsigned i = 0; i < 12; i++) {
		w->branch[i] = weight_at(t->branch);
		w->call[i] = weight_at(t->call_id);
	}
	for (unsigned i = 12; i < 16; i++)
		w->call[i] = weight_at(t->tag);
	for (unsigned i = 0; i < 8; i++)
		w->cseq[i] = weight_at(t->cseq);
	w->hostport = (int16_t)(weight_at(t->via_host) + weight_at(t->contact_host));
	w->user = (int16_t)(weight_at(t->from_user) + weight_at(t->to_user) +
			    weight_at(t->contact_user));
}

/* The first piece behind a field is laid down in its turn; those after it up to the next field cannot be
 * spoilt by what is before them, and what they spoil is not yet there. */
static uint16_t prepare_gap(struct template *t, unsigned from, unsigned end)
{
	for (unsigned at = from + MESSAGE_PIECE; at < end; at += MESSAGE_PIECE) {
		if (t->more < PIECES_MORE)
			t->piece[t->more] = (uint16_t)at;
		t->more++;
	}
	return (uint16_t)from;
}

/* Behind the last field: the last piece ends where the text does. A REGISTER's, where there is too
 * little text for that, spills over into its tail. */
static void prepare_end(struct template *t)
{
	const unsigned from = t->contact_host + (unsigned)t->hostport;
	t->after_contact_host = (uint16_t)from;
	if (t->length <= from + MESSAGE_PIECE)
		return;
	const unsigned last = (unsigned)t->length - MESSAGE_PIECE;
	prepare_gap(t, from, last);
	if (t->more < PIECES_MORE)
		t->piece[t->more] = (uint16_t)last;
	t->more++;
}

void message_vectors_prepare(struct template *t)
{
	const unsigned hostport = t->hostport, user = t->user;
	if (hostport > MESSAGE_PIECE || user > MESSAGE_PIECE)
		return;
	prepare_gap(t, 0, t->via_host);
	t->after_via_host = prepare_gap(t, t->via_host + hostport, t->branch);
	t->after_branch = prepare_gap(t, t->branch + TOKEN_HEX, t->from_user);
	t->after_from_user = prepare_gap(t, t->from_user + user, t->tag);
	t->after_tag = prepare_gap(t, t->tag + 8u, t->to_user);
	t->after_to_user = prepare_gap(t, t->to_user + user, t->call_id);
	t->after_call_id = prepare_gap(t, t->call_id + MESSAGE_CALL_ID, t->cseq);
	t->after_cseq = prepare_gap(t, t->cseq + CSEQ_DIGITS, t->contact_user);
	t->after_contact_user = prepare_gap(t, t->contact_user + user, t->contact_host);
	prepare_end(t);
	t->vectors = t->more <= PIECES_MORE;
	prepare_sums(t);
}

/* The eight digits of a number that has no more, and eight '0'. */
WITH_AVX2 static inline __m128i digits_of(uint32_t number)
{
	const uint64_t top = number / 10000, rest = number % 10000;
	/* Four digits a lane, then two in each half of it, then one in each byte. */
	__m128i four = _mm_cvtsi64_si128((int64_t)(top | rest << 32));
	__m128i high = _mm_srli_epi16(_mm_mulhi_epu16(four, _mm_set1_epi16(5243)), 3);
	__m128i low = _mm_sub_epi16(four, _mm_mullo_epi16(high, _mm_set1_epi16(100)));
	__m128i two = _mm_or_si128(high, _mm_slli_epi32(low, 16));
	high = _mm_mulhi_epu16(two, _mm_set1_epi16(6554));
	low = _mm_sub_epi16(two, _mm_mullo_epi16(high, _mm_set1_epi16(10)));
	return _mm_add_epi8(_mm_or_si128(high, _mm_slli_epi16(low, 8)), _mm_set1_epi8('0'));
}

#define EIGHT_DIGITS 100000000u

WITH_AVX2 static void write_user(
	const struct messages *m, uint32_t index, struct message_phone *out)
{
	const struct identity_shape *shape = &m->shape[identity_digits(index)];
	__m128i digits;
	if (index < EIGHT_DIGITS) {
		digits = digits_of(index);
	} else { /* the two digits above the eight begin the second half */
		digits = _mm_unpacklo_epi64(digits_of(index % EIGHT_DIGITS),
			digits_of(index / EIGHT_DIGITS * (EIGHT_DIGITS / 100)));
	}
	const __m256i number = _mm256_broadcastsi128_si256(digits);
	const __m256i text = _mm256_loadu_si256((const __m256i *)shape->text);
	const __m256i pick = _mm256_loadu_si256((const __m256i *)shape->pick);
	_mm256_store_si256(
		(__m256i *)out->user, _mm256_or_si256(text, _mm256_shuffle_epi8(number, pick)));
	out->user_length = shape->length;
}

static inline uint64_t octet_text(const struct address_octet *octet)
{
	uint32_t text;
	memcpy(&text, octet->text, 4);
	return text;
}

/* A port's four or five digits. */
static inline uint64_t port_text(uint32_t port)
{
	const uint32_t top = port / 10000, rest = port % 10000;
	const uint32_t two = rest / 100 | rest % 100 << 16, tens = two * 103 >> 10 & 0x000f000f;
	const uint64_t four = '0' * 0x01010101ull + (tens | (two - tens * 10) << 8);
	return top ? ('0' + top) | four << 8 : four;
}

WITH_AVX2 static void write_hostport(struct message_phone *out)
{
	const uint8_t *byte = out->address.bytes;
	const struct address_octet *a = &address_octets[byte[0]], *b = &address_octets[byte[1]],
				   *c = &address_octets[byte[2]], *d = &address_octets[byte[3]];
	const unsigned first = a->length + b->length, second = c->length + d->length;
	const uint64_t front = octet_text(a) | octet_text(b) << 8 * a->length;
	uint64_t back = octet_text(c) | octet_text(d) << 8 * c->length;
	/* The last dot becomes a colon. */
	back ^= (uint64_t)('.' ^ ':') << (8 * second - 8);
	const unsigned length = first + second;
	const uint64_t number = port_text(out->port);
	const unsigned port = out->port >= 10000 ? 5 : 4;
	const __m128i host = _mm_shuffle_epi8(_mm_set_epi64x((int64_t)back, (int64_t)front),
		_mm_loadu_si128((const __m128i *)join[first]));
	const __m256i tail = _mm256_shuffle_epi8(
		_mm256_broadcastsi128_si256(_mm_cvtsi64_si128((int64_t)number)),
		_mm256_loadu_si256((const __m256i *)(slide + 16 - length)));
	_mm256_store_si256(
		(__m256i *)out->hostport, _mm256_or_si256(_mm256_zextsi128_si256(host), tail));
	out->host_length = (uint8_t)(length - 1);
	out->hostport_length = (uint8_t)(length + port);
}

WITH_AVX2 void message_vectors_phone(
	const struct messages *m, uint32_t index, struct message_phone *out)
{
	write_hostport(out);
	write_user(m, index - m->shape_begin, out);
}

/* Two words as their 32 hex digits. */
WITH_AVX2 static inline __m256i hex_of(uint64_t first, uint64_t second)
{
	const __m128i order = _mm_setr_epi8(7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8);
	const __m256i letters = _mm256_broadcastsi128_si256(_mm_setr_epi8(
		'0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'));
	const __m256i byte = _mm256_cvtepu8_epi16(
		_mm_shuffle_epi8(_mm_set_epi64x((int64_t)second, (int64_t)first), order));
	const __m256i nibble = _mm256_and_si256(
		_mm256_or_si256(_mm256_slli_epi16(byte, 8), _mm256_srli_epi16(byte, 4)),
		_mm256_set1_epi8(15));
	return _mm256_shuffle_epi8(letters, nibble);
}

/* The ten digits of a CSeq, and zeros. */
WITH_AVX2 static inline __m128i cseq_of(uint32_t n)
{
	uint64_t two = '1' | '0' << 8;
	static_assert(MESSAGE_CSEQ_BASE == 10 * EIGHT_DIGITS, "the first two digits");
	if (n >= EIGHT_DIGITS) {
		const uint32_t top = (MESSAGE_CSEQ_BASE + n) / EIGHT_DIGITS;
		two = ('0' + top / 10) | ('0' + top % 10) << 8;
		n %= EIGHT_DIGITS;
	}
	const uint64_t eight = (uint64_t)_mm_cvtsi128_si64(digits_of(n));
	return _mm_set_epi64x((int64_t)(eight >> 48), (int64_t)(two | eight << 16));
}

WITH_AVX2 static inline void lay(uint8_t *out, const char *text, unsigned at)
{
	_mm256_storeu_si256(
		(__m256i *)(out + at), _mm256_loadu_si256((const __m256i *)(text + at)));
}

WITH_AVX2 static inline void put(uint8_t *at, __m256i field)
{
	_mm256_storeu_si256((__m256i *)at, field);
}

/* What varies, in registers. */
struct fields {
	__m256i hostport, user, branch, call; /* call: Call-ID and tag */
	__m128i cseq;
};

WITH_AVX2 static inline void lay_text(
	const struct template *t, const struct fields *field, uint8_t *out)
{
	const char *text = t->text;
	const int64_t tag = _mm256_extract_epi64(field->call, 3);
	for (unsigned i = 0; i < t->more; i++)
		lay(out, text, t->piece[i]);
	lay(out, text, 0);
	put(out + t->via_host, field->hostport);
	lay(out, text, t->after_via_host);
	put(out + t->branch, field->branch);
	lay(out, text, t->after_branch);
	put(out + t->from_user, field->user);
	lay(out, text, t->after_from_user);
	memcpy(out + t->tag, &tag, sizeof(tag));
	lay(out, text, t->after_tag);
	put(out + t->to_user, field->user);
	lay(out, text, t->after_to_user);
	put(out + t->call_id, field->call);
	lay(out, text, t->after_call_id);
	_mm_storeu_si128((__m128i *)(out + t->cseq), field->cseq);
	lay(out, text, t->after_cseq);
	put(out + t->contact_user, field->user);
	lay(out, text, t->after_contact_user);
	put(out + t->contact_host, field->hostport);
	lay(out, text, t->after_contact_host);
}

/* All characters are below 128, so every word of two is a positive 16-bit number. */
WITH_AVX2 static inline uint32_t sum_of(const struct template *t, const struct fields *field)
{
	const struct template_weights *w = &t->weights;
	__m256i sum = _mm256_madd_epi16(field->hostport, _mm256_set1_epi16(w->hostport));
	sum = _mm256_add_epi32(sum, _mm256_madd_epi16(field->user, _mm256_set1_epi16(w->user)));
	sum = _mm256_add_epi32(
		sum, _mm256_madd_epi16(field->branch, *(const __m256i *)(const void *)w->branch));
	sum = _mm256_add_epi32(
		sum, _mm256_madd_epi16(field->call, *(const __m256i *)(const void *)w->call));
	__m128i half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
	half = _mm_add_epi32(
		half, _mm_madd_epi16(field->cseq, *(const __m128i *)(const void *)w->cseq));
	half = _mm_add_epi32(half, _mm_shuffle_epi32(half, _MM_SHUFFLE(1, 0, 3, 2)));
	half = _mm_add_epi32(half, _mm_shuffle_epi32(half, _MM_SHUFFLE(2, 3, 0, 1)));
	return t->sum + (uint32_t)_mm_cvtsi128_si32(half);
}

WITH_AVX2 uint32_t message_vectors_write(const struct template *t,
	const struct message_phone *phone, const struct message_fields *fields, uint64_t secret,
	uint8_t *out)
{
	uint32_t token[3];
	token_words(&fields->token, secret, token);
	const uint64_t phone_word = (uint64_t)token[0] << 32;
	const uint64_t call = fields->call;
	const struct fields field = {.hostport = *(const __m256i *)(const void *)phone->hostport,
		.user = *(const __m256i *)(const void *)phone->user,
		.branch = hex_of(phone_word | token[1], (uint64_t)token[2] << 32),
		.call = hex_of(phone_word | call >> 32, call << 32 | message_tag(call)),
		.cseq = cseq_of(fields->cseq)};
	lay_text(t, &field, out);
	return sum_of(t, &field);
}

#else /* no vectors: the twin in message.c writes everything */

bool message_vectors_possible(void)
{
	return false;
}

void message_vectors_open(struct messages *m)
{
	(void)m;
}

void message_vectors_prepare(struct template *t)
{
	(void)t;
}

void message_vectors_phone(const struct messages *m, uint32_t index, struct message_phone *out)
{
	(void)m, (void)index, (void)out;
}

uint32_t message_vectors_write(const struct template *t, const struct message_phone *phone,
	const struct message_fields *fields, uint64_t secret, uint8_t *out)
{
	(void)t, (void)phone, (void)fields, (void)secret, (void)out;
	return MESSAGE_SUM_OPEN;
}

#endif
