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

/* Each byte's decimal text and the dot after it. */
struct octet {
	char text[4];
};
#define TEN(t)                                                                                    \
	{t "0."}, {t "1."}, {t "2."}, {t "3."}, {t "4."}, {t "5."}, {t "6."}, {t "7."}, {t "8."}, \
	{                                                                                         \
		t "9."                                                                            \
	}
static const struct octet octets[256] = {TEN(""), TEN("1"), TEN("2"), TEN("3"), TEN("4"), TEN("5"),
	TEN("6"), TEN("7"), TEN("8"), TEN("9"), TEN("10"), TEN("11"), TEN("12"), TEN("13"),
	TEN("14"), TEN("15"), TEN("16"), TEN("17"), TEN("18"), TEN("19"), TEN("20"), TEN("21"),
	TEN("22"), TEN("23"), TEN("24"), {"250."}, {"251."}, {"252."}, {"253."}, {"254."},
	{"255."}};

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
	m->shaped = identity_user_shapes(m->identities, m->shape);
}

bool message_vectors_suit(const struct template *t)
{
	return t->hostport <= MESSAGE_PIECE && t->user <= MESSAGE_PIECE;
}

static int16_t weight_at(uint16_t offset)
{
	return offset % 2 ? ODD : EVEN;
}

void message_vectors_prepare(struct template *t)
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
	/* The last piece ends where the text does; where it would reach back into the last field, it
	 * spills over into the tail of a REGISTER. */
	const unsigned behind = (unsigned)t->contact_host + t->hostport;
	t->last = (uint16_t)(t->length < behind + MESSAGE_PIECE
				     ? behind
				     : (unsigned)t->length - MESSAGE_PIECE);
}

/* Two numbers of at most eight digits each, as their sixteen digits. */
WITH_AVX2 static inline __m128i digits_of(uint32_t first, uint32_t second)
{
	const uint32_t a = first / 10000, b = first % 10000, c = second / 10000, d = second % 10000;
	/* Four digits a lane, then two in each half of it, then one in each byte. */
	__m128i four = _mm_setr_epi32((int)a, (int)b, (int)c, (int)d);
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
	/* Moved up, so that the two digits above the eight are the first of the second number. */
	const __m256i number = _mm256_broadcastsi128_si256(
		digits_of(index % EIGHT_DIGITS, index / EIGHT_DIGITS * 1000000));
	const __m256i text = _mm256_loadu_si256((const __m256i *)shape->text);
	const __m256i pick = _mm256_loadu_si256((const __m256i *)shape->pick);
	_mm256_store_si256(
		(__m256i *)out->user, _mm256_or_si256(text, _mm256_shuffle_epi8(number, pick)));
	out->user_length = shape->length;
}

static inline uint64_t octet_text(uint8_t byte)
{
	uint32_t text;
	memcpy(&text, octets[byte].text, 4);
	return text;
}

static inline unsigned octet_length(uint8_t byte)
{
	return 2u + (byte > 9) + (byte > 99);
}

WITH_AVX2 static void write_hostport(struct message_phone *out)
{
	const uint8_t *byte = out->address.bytes;
	const unsigned first = octet_length(byte[0]), second = octet_length(byte[1]),
		       third = octet_length(byte[2]), fourth = octet_length(byte[3]);
	const uint64_t front = octet_text(byte[0]) | octet_text(byte[1]) << 8 * first;
	uint64_t back = octet_text(byte[2]) | octet_text(byte[3]) << 8 * third;
	/* The last dot becomes a colon. */
	back ^= (uint64_t)('.' ^ ':') << 8 * (third + fourth - 1);
	const unsigned length = first + second + third + fourth;
	char digits[8] = {0};
	const unsigned port = (unsigned)message_port(digits, out->port) - 1;
	uint64_t number;
	memcpy(&number, digits, 8);
	const __m128i host = _mm_shuffle_epi8(_mm_set_epi64x((int64_t)back, (int64_t)front),
		_mm_loadu_si128((const __m128i *)join[first + second]));
	const __m256i tail = _mm256_shuffle_epi8(
		_mm256_broadcastsi128_si256(_mm_cvtsi64_si128((int64_t)(number >> 8))),
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
	write_user(m, index, out);
}

/* Four words as their 32 hex digits. */
WITH_AVX2 static inline __m256i hex_of(uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
	const __m128i order = _mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
	const __m256i letters = _mm256_broadcastsi128_si256(_mm_setr_epi8(
		'0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'));
	const __m256i byte = _mm256_cvtepu8_epi16(
		_mm_shuffle_epi8(_mm_setr_epi32((int)a, (int)b, (int)c, (int)d), order));
	const __m256i nibble = _mm256_and_si256(
		_mm256_or_si256(_mm256_slli_epi16(byte, 8), _mm256_srli_epi16(byte, 4)),
		_mm256_set1_epi8(15));
	return _mm256_shuffle_epi8(letters, nibble);
}

/* The ten digits of a CSeq, and zeros. */
WITH_AVX2 static inline __m128i cseq_of(uint32_t n)
{
	const uint32_t value = MESSAGE_CSEQ_BASE + n, top = value / EIGHT_DIGITS;
	const __m128i digits = digits_of(value % EIGHT_DIGITS, 0);
	const uint64_t eight = (uint64_t)_mm_cvtsi128_si64(digits);
	const uint64_t two = (uint64_t)('0' + top / 10) | (uint64_t)('0' + top % 10) << 8;
	return _mm_set_epi64x((int64_t)(eight >> 48), (int64_t)(two | eight << 16));
}

WITH_AVX2 static inline void lay(uint8_t *out, const char *text, unsigned at)
{
	_mm256_storeu_si256(
		(__m256i *)(out + at), _mm256_loadu_si256((const __m256i *)(text + at)));
}

/* The fixed text between two fields. */
WITH_AVX2 static inline void gap(uint8_t *out, const char *text, unsigned at, unsigned end)
{
	do {
		lay(out, text, at);
		at += MESSAGE_PIECE;
	} while (at < end);
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
	gap(out, text, 0, t->via_host);
	put(out + t->via_host, field->hostport);
	gap(out, text, t->via_host + t->hostport, t->branch);
	put(out + t->branch, field->branch);
	gap(out, text, t->branch + TOKEN_HEX, t->from_user);
	put(out + t->from_user, field->user);
	gap(out, text, t->from_user + t->user, t->tag);
	const int64_t tag = _mm256_extract_epi64(field->call, 3);
	memcpy(out + t->tag, &tag, sizeof(tag));
	gap(out, text, t->tag + 8u, t->to_user);
	put(out + t->to_user, field->user);
	gap(out, text, t->to_user + t->user, t->call_id);
	put(out + t->call_id, field->call);
	gap(out, text, t->call_id + MESSAGE_CALL_ID, t->cseq);
	_mm_storeu_si128((__m128i *)(out + t->cseq), field->cseq);
	gap(out, text, t->cseq + CSEQ_DIGITS, t->contact_user);
	put(out + t->contact_user, field->user);
	gap(out, text, t->contact_user + t->user, t->contact_host);
	put(out + t->contact_host, field->hostport);
	for (unsigned at = t->contact_host + t->hostport; at < t->last; at += MESSAGE_PIECE)
		lay(out, text, at);
	lay(out, text, t->last);
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
	const uint32_t *call = fields->call_id;
	const struct fields field = {.hostport = *(const __m256i *)(const void *)phone->hostport,
		.user = *(const __m256i *)(const void *)phone->user,
		.branch = hex_of(token[0], token[1], token[2], 0),
		.call = hex_of(call[0], call[1], call[2], fields->tag),
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

bool message_vectors_suit(const struct template *t)
{
	(void)t;
	return false;
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
