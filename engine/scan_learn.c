/* SPDX-License-Identifier: BSD-3-Clause */
#include "scan_learn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "digest.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define LEARN_AVX2 1
#define WITH_AVX2 __attribute__((target("avx2")))
#define WITH_AVX512 __attribute__((target("avx512f,avx512bw")))
#else
#define LEARN_AVX2 0
#endif

/*
 * What a byte can be: each bit stands for rows and columns of the ASCII table, the two halves of a byte,
 * so that a vector unit finds it by two small tables.
 */
enum {
	DIGIT = 1 << 0,       /* 0-9 */
	DOT = 1 << 1,         /* . */
	COLON = 1 << 2,       /* : */
	HEX_LETTER = 1 << 3,  /* A-F a-f */
	PUNCTUATION = 1 << 4, /* ! % ' * + - */
	LETTER_LOW = 1 << 5,  /* A-O a-o */
	LETTER_HIGH = 1 << 6, /* P-Z p-z */
	UNDERSCORE = 1 << 7,  /* _ */
};

/* What may stand in a field: each a part of what the scanner passes over there. */
#define CLASS_DIGIT DIGIT
#define CLASS_HEX (DIGIT | HEX_LETTER)
#define CLASS_IPV4 (DIGIT | DOT)
#define CLASS_IPV6 (DIGIT | DOT | COLON | HEX_LETTER)
#define CLASS_WORD (DIGIT | DOT | PUNCTUATION | LETTER_LOW | LETTER_HIGH | UNDERSCORE)

static const uint8_t of_row[16] = {[2] = DOT | PUNCTUATION,
	[3] = DIGIT | COLON,
	[4] = HEX_LETTER | LETTER_LOW,
	[5] = LETTER_HIGH | UNDERSCORE,
	[6] = HEX_LETTER | LETTER_LOW,
	[7] = LETTER_HIGH};
static const uint8_t of_column[16] = {
	[0] = DIGIT | LETTER_HIGH,
	[1] = DIGIT | HEX_LETTER | PUNCTUATION | LETTER_LOW | LETTER_HIGH,
	[2 ... 4] = DIGIT | HEX_LETTER | LETTER_LOW | LETTER_HIGH,
	[5] = DIGIT | HEX_LETTER | PUNCTUATION | LETTER_LOW | LETTER_HIGH,
	[6] = DIGIT | HEX_LETTER | LETTER_LOW | LETTER_HIGH,
	[7] = DIGIT | PUNCTUATION | LETTER_LOW | LETTER_HIGH,
	[8 ... 9] = DIGIT | LETTER_LOW | LETTER_HIGH,
	[10] = COLON | PUNCTUATION | LETTER_LOW | LETTER_HIGH,
	[11] = PUNCTUATION | LETTER_LOW,
	[12] = LETTER_LOW,
	[13] = PUNCTUATION | LETTER_LOW,
	[14] = DOT | LETTER_LOW,
	[15] = LETTER_LOW | UNDERSCORE,
};

int scan_learned_open(struct scan_learned *learned)
{
	*learned = (struct scan_learned){0};
#if LEARN_AVX2
	learned->possible = __builtin_cpu_supports("avx2");
	learned->wide = learned->possible && __builtin_cpu_supports("avx512bw");
#endif
	if (!learned->possible)
		return 0;
	learned->skeleton = aligned_alloc(
		SCAN_LEARN_BLOCK, SCAN_SKELETONS * sizeof(*learned->skeleton));
	if (learned->skeleton == NULL)
		return -ENOMEM;
	for (int i = 0; i < SCAN_SKELETONS; i++)
		learned->skeleton[i] = (struct scan_skeleton){0};
	return 0;
}

void scan_learned_close(struct scan_learned *learned)
{
	free(learned->skeleton);
	learned->skeleton = NULL;
	learned->possible = false;
}

uint64_t scan_learned_memory(const struct scan_learned *learned)
{
	return learned->possible ? SCAN_SKELETONS * sizeof(*learned->skeleton) : 0;
}

/* The last block ends with the message, and may overlap the one before. */
static inline size_t block_at(const struct scan_skeleton *s, unsigned i)
{
	return i + 1u < s->blocks ? i * (size_t)SCAN_LEARN_BLOCK
				  : s->length - (size_t)SCAN_LEARN_BLOCK;
}

bool scan_skeleton_is_fixed(const struct scan_skeleton *skeleton, size_t at)
{
	const unsigned i = (unsigned)(at / SCAN_LEARN_BLOCK);
	return at < skeleton->length && skeleton->block[i].need[at - block_at(skeleton, i)] == 0;
}

#if LEARN_AVX2

static inline struct scan_skeleton *ways_of(const struct scan_learned *learned, size_t length)
{
	return &learned->skeleton[length % SCAN_LEARN_SETS * SCAN_LEARN_WAYS];
}

/* --- Learning: rare, and plain --- */

static uint8_t bits_of(uint8_t c)
{
	return of_row[c >> 4] & of_column[c & 15];
}

struct learner {
	const uint8_t *text;
	uint8_t need[SCAN_LEARN_BYTES]; /* 0: fixed */
};

/* Bytes [at, at + length) may vary within a class; false: they are not all of it now. */
static bool vary(struct learner *l, size_t at, size_t length, uint8_t class)
{
	for (size_t i = at; i < at + length; i++) {
		if (!(bits_of(l->text[i]) & class))
			return false;
		l->need[i] = class;
	}
	return true;
}

static bool vary_span(struct learner *l, struct span span, uint8_t class)
{
	return vary(l, span.at, span.length, class);
}

static bool vary_host(struct learner *l, size_t at, size_t length)
{
	const bool bracket = length > 2 && l->text[at] == '[';
	if (bracket)
		return vary(l, at + 1, length - 2, CLASS_IPV6);
	for (size_t i = at; i < at + length; i++)
		if (l->text[i] == ':')
			return vary(l, at, length, CLASS_IPV6);
	return vary(l, at, length, CLASS_IPV4);
}

/* The user between the URI's scheme and its @, of ours and as the proxy repeats it. */
static bool vary_user(struct learner *l, const struct sip_message *m, struct span uri)
{
	struct sip_uri parts;
	if (!scan_uri(m, uri, &parts))
		return false;
	return parts.user.length == 0 || vary_span(l, parts.user, CLASS_WORD);
}

/* Values of the topmost Via that the proxy fills in: received=, rport=. */
static bool vary_via(struct learner *l, const struct sip_message *m)
{
	static const struct {
		const char *name;
		bool host;
	} filled[] = {{";received=", true}, {";rport=", false}};
	const char *via = span_text(m, m->via[0]), *end = via + m->via[0].length;
	for (size_t i = 0; i < sizeof(filled) / sizeof(filled[0]); i++) {
		const size_t name = strlen(filled[i].name);
		const char *at = memmem(via, (size_t)(end - via), filled[i].name, name);
		if (at == NULL)
			continue;
		const size_t from = (size_t)(at - m->base) + name;
		size_t n = 0;
		while (at + name + n < end && at[name + n] != ';')
			n++;
		if (filled[i].host ? !vary_host(l, from, n) : !vary(l, from, n, CLASS_DIGIT))
			return false;
	}
	return vary_span(l, m->via_branch, CLASS_WORD) &&
	       vary_host(l, m->via_host.at, m->via_host.length);
}

/* The phone's own address in a request. */
static bool vary_contact(struct learner *l, const struct sip_message *m)
{
	struct sip_contact contact;
	struct sip_uri parts;
	if (m->contacts == 0)
		return true;
	return scan_contact(m, m->contact[0], &contact) && scan_uri(m, contact.uri, &parts) &&
	       vary_span(l, parts.user, CLASS_WORD) &&
	       vary_host(l, parts.host.at, parts.host.length);
}

/* Digits of the CSeq, which stand right before the method and its blanks. */
static bool vary_cseq(struct learner *l, const struct sip_message *m, struct scan_skeleton *s)
{
	size_t end = m->method_text.at;
	while (end > 0 && !(bits_of(l->text[end - 1]) & CLASS_DIGIT))
		end--;
	size_t at = end;
	while (at > 0 && (bits_of(l->text[at - 1]) & CLASS_DIGIT))
		at--;
	s->cseq_at = (uint16_t)at;
	s->cseq_digits = (uint16_t)(end - at);
	/* At least eight are read at once, and ten cannot overflow before they are looked at. */
	return s->cseq_digits >= 8 && s->cseq_digits <= 10 && vary(l, at, end - at, CLASS_DIGIT);
}

static bool vary_text(struct learner *l, struct digest_text text, uint8_t class)
{
	if (text.length == 0)
		return true;
	return vary(l, (size_t)((const uint8_t *)text.text - l->text), text.length, class);
}

/* What differs from challenge to challenge, and in what answers them. */
static bool vary_digest(struct learner *l, const struct sip_message *m)
{
	struct digest_challenge challenge;
	struct digest_credentials credentials;
	const struct span *asked = &m->challenge[0], *given = &m->credential[0];
	if (m->challenges > 0 &&
		(digest_parse_challenge(span_text(m, *asked), asked->length, &challenge) != 0 ||
			!vary_text(l, challenge.nonce, CLASS_WORD)))
		return false;
	if (m->credentials == 0)
		return true;
	return digest_parse_credentials(span_text(m, *given), given->length, &credentials) == 0 &&
	       vary_text(l, credentials.username, CLASS_WORD) &&
	       vary_text(l, credentials.nonce, CLASS_WORD) &&
	       vary_text(l, credentials.response, CLASS_WORD) &&
	       vary_text(l, credentials.cnonce, CLASS_WORD) &&
	       vary_text(l, credentials.nc_text, CLASS_HEX);
}

static bool is_to_be_learned(const struct sip_message *m, size_t length)
{
	return (m->method == SIP_OPTIONS || m->method == SIP_REGISTER) &&
	       length >= SCAN_LEARN_BLOCK && length <= SCAN_LEARN_BYTES && m->vias == 1 &&
	       m->contacts <= 1 && !m->contact_star && m->challenges <= 1 && m->credentials <= 1;
}

static void write_block(struct scan_block *block, const struct learner *l, size_t at)
{
	block->fixed_bits = 0;
	for (size_t i = 0; i < SCAN_LEARN_BLOCK; i++) {
		const uint8_t need = l->need[at + i];
		block->expect[i] = l->text[at + i];
		block->need[i] = need;
		block->fixed_bits |= (uint64_t)(need == 0) << i;
	}
}

/* Learning costs as much as several scans: of misses in a row only the first, second, fourth ... teach. */
static bool is_worth_it(struct scan_learn_set *set, uint64_t recognised)
{
	if (recognised - set->useful > set->missed)
		set->missed = 0;
	set->useful = recognised;
	set->missed++;
	return (set->missed & (set->missed - 1)) == 0;
}

/* The skeleton to be given up: an empty one, else the one that was not the last to be of use. */
static unsigned way_to_learn(const struct scan_learn_set *set, const struct scan_skeleton *ways)
{
	for (unsigned i = 0; i < SCAN_LEARN_WAYS; i++)
		if (ways[i].length == 0)
			return i;
	return (set->matched + 1) % SCAN_LEARN_WAYS;
}

static void learn(struct scan_learned *learned, const struct sip_message *m, size_t length)
{
	struct scan_learn_set *set = &learned->set[length % SCAN_LEARN_SETS];
	if (!is_to_be_learned(m, length) || !is_worth_it(set, learned->recognised))
		return;
	struct scan_skeleton *ways = ways_of(learned, length);
	const unsigned way = way_to_learn(set, ways);
	struct scan_skeleton *s = &ways[way];
	struct learner l = {.text = (const uint8_t *)m->base};
	s->length = 0;
	if (!vary_via(&l, m) || !vary_cseq(&l, m, s) || !vary_span(&l, m->call_id, CLASS_WORD) ||
		!vary_span(&l, m->from_tag, CLASS_WORD) || !vary_span(&l, m->to_tag, CLASS_WORD) ||
		!vary_user(&l, m, m->from_uri) || !vary_user(&l, m, m->to_uri) ||
		!vary_contact(&l, m) || !vary_digest(&l, m))
		return;
	s->message = *m;
	s->length = (uint16_t)length;
	s->blocks = (uint16_t)((length + SCAN_LEARN_BLOCK - 1) / SCAN_LEARN_BLOCK);
	for (unsigned i = 0; i < s->blocks; i++)
		write_block(&s->block[i], &l, block_at(s, i));
	s->number = ++learned->learned;
	set->matched = way;
}

/* --- Recognising --- */

#define HALF (SCAN_LEARN_BLOCK / 2)

/* Zero where a byte is what the skeleton asks for. */
WITH_AVX2 static inline __m256i differences(const struct scan_block *block, size_t half,
	const uint8_t *at, __m256i rows, __m256i columns)
{
	const __m256i low = _mm256_set1_epi8(15);
	const __m256i text = _mm256_loadu_si256((const __m256i *)(const void *)(at + half));
	const __m256i expect = _mm256_load_si256(
		(const __m256i *)(const void *)(block->expect + half));
	const __m256i need = _mm256_load_si256((const __m256i *)(const void *)(block->need + half));
	const __m256i fixed = _mm256_cmpeq_epi8(need, _mm256_setzero_si256());
	const __m256i bits = _mm256_and_si256(
		_mm256_shuffle_epi8(columns, _mm256_and_si256(text, low)),
		_mm256_shuffle_epi8(rows, _mm256_and_si256(_mm256_srli_epi16(text, 4), low)));
	const __m256i strange = _mm256_cmpeq_epi8(
		_mm256_and_si256(bits, need), _mm256_setzero_si256());
	return _mm256_blendv_epi8(strange, _mm256_xor_si256(text, expect), fixed);
}

WITH_AVX2 static bool matches(const struct scan_skeleton *s, const uint8_t *text)
{
	const __m256i rows = _mm256_broadcastsi128_si256(
		_mm_loadu_si128((const __m128i *)(const void *)of_row));
	const __m256i columns = _mm256_broadcastsi128_si256(
		_mm_loadu_si128((const __m128i *)(const void *)of_column));
	__m256i found = _mm256_setzero_si256();
	for (unsigned i = 0; i < s->blocks; i++) {
		const uint8_t *at = text + block_at(s, i);
		found = _mm256_or_si256(
			found, _mm256_or_si256(differences(&s->block[i], 0, at, rows, columns),
				       differences(&s->block[i], HALF, at, rows, columns)));
	}
	return _mm256_testz_si256(found, found);
}

/* The same, a whole block at once: in the same run it takes three quarters of the time. */
WITH_AVX512 static bool matches_wide(const struct scan_skeleton *s, const uint8_t *text)
{
	const __m512i low = _mm512_set1_epi8(15);
	const __m512i rows = _mm512_broadcast_i32x4(
		_mm_loadu_si128((const __m128i *)(const void *)of_row));
	const __m512i columns = _mm512_broadcast_i32x4(
		_mm_loadu_si128((const __m128i *)(const void *)of_column));
	uint64_t found = 0;
	for (unsigned i = 0; i < s->blocks; i++) {
		const struct scan_block *block = &s->block[i];
		const __m512i at = _mm512_loadu_si512(text + block_at(s, i));
		found |= _mm512_mask_cmpneq_epi8_mask(
			block->fixed_bits, at, _mm512_load_si512(block->expect));
		if (~block->fixed_bits == 0)
			continue;
		const __m512i bits = _mm512_and_si512(
			_mm512_shuffle_epi8(columns, _mm512_and_si512(at, low)),
			_mm512_shuffle_epi8(rows, _mm512_and_si512(_mm512_srli_epi16(at, 4), low)));
		found |= _mm512_mask_testn_epi8_mask(
			~block->fixed_bits, bits, _mm512_load_si512(block->need));
	}
	return found == 0;
}

/* Eight digits at once: pairs, then fours, then all of them. */
static uint32_t eight_digits(const uint8_t *at)
{
	uint64_t v;
	memcpy(&v, at, sizeof(v));
	v = (v & 0x0f0f0f0f0f0f0f0full) * 2561 >> 8;
	v = (v & 0x00ff00ff00ff00ffull) * 6553601 >> 16;
	return (uint32_t)((v & 0x0000ffff0000ffffull) * 42949672960001ull >> 32);
}

static uint64_t number_of(const uint8_t *at, unsigned digits)
{
	uint64_t high = 0;
	for (; digits > 8; digits--)
		high = high * 10 + (*at++ - '0');
	return high * 100000000u + eight_digits(at);
}

static const struct scan_skeleton *find(
	struct scan_learned *learned, const uint8_t *datagram, size_t length)
{
	const struct scan_skeleton *ways = ways_of(learned, length);
	if (length < SCAN_LEARN_BLOCK)
		return NULL;
	for (unsigned i = 0; i < SCAN_LEARN_WAYS; i++) {
		if (ways[i].length != length || !(learned->wide ? matches_wide(&ways[i], datagram)
								: matches(&ways[i], datagram)))
			continue;
		learned->set[length % SCAN_LEARN_SETS].matched = i;
		return &ways[i];
	}
	return NULL;
}

/* The message that was learned, as this datagram has it; false: its CSeq is too large. */
static bool recall(const struct scan_skeleton *s, const uint8_t *datagram, struct sip_message *out)
{
	const uint64_t cseq = number_of(datagram + s->cseq_at, s->cseq_digits);
	if (cseq > INT32_MAX)
		return false;
	memcpy(out, &s->message, SCAN_MESSAGE_SHORT);
	out->contact[0] = s->message.contact[0];
	out->challenge[0] = s->message.challenge[0];
	out->credential[0] = s->message.credential[0];
	out->base = (const char *)datagram;
	out->cseq = (uint32_t)cseq;
	return true;
}

#endif

enum scan_result scan_learned_message(
	struct scan_learned *learned, const void *datagram, size_t length, struct sip_message *out)
{
#if LEARN_AVX2
	if (!learned->possible)
		return scan_message(datagram, length, out);
	learned->match = find(learned, datagram, length);
	if (learned->match != NULL && recall(learned->match, datagram, out)) {
		learned->recognised++;
		return SCAN_OK;
	}
	learned->match = NULL;
	const enum scan_result result = scan_message(datagram, length, out);
	if (result == SCAN_OK)
		learn(learned, out, length);
	return result;
#else
	(void)learned;
	return scan_message(datagram, length, out);
#endif
}
