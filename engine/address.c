/* SPDX-License-Identifier: BSD-3-Clause */
#include "address.h"
#include "port_order.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#define PORT_DEFAULT 5060
#define PORT_MIN 1024
#define PORT_MAX 65535
#define ADDRESSES_MAX (UINT64_C(1) << 32)
#define INDEXES (UINT64_C(1) << 32)
#define RECIPROCAL_BITS 48

/* The longest side of a range that can be an address, with its NUL: "::ffff:255.255.255.255" and
 * longer mixed forms included. */
#define SIDE_MAX INET6_ADDRSTRLEN

typedef address_number wide;

/* ---- text ---- */

#define TEN(t, n)                                                                                  \
	{t "0.", n}, {t "1.", n}, {t "2.", n}, {t "3.", n}, {t "4.", n}, {t "5.", n}, {t "6.", n}, \
		{t "7.", n}, {t "8.", n},                                                          \
	{                                                                                          \
		t "9.", n                                                                          \
	}
const struct address_octet address_octets[256] = {TEN("", 2), TEN("1", 3), TEN("2", 3), TEN("3", 3),
	TEN("4", 3), TEN("5", 3), TEN("6", 3), TEN("7", 3), TEN("8", 3), TEN("9", 3), TEN("10", 4),
	TEN("11", 4), TEN("12", 4), TEN("13", 4), TEN("14", 4), TEN("15", 4), TEN("16", 4),
	TEN("17", 4), TEN("18", 4), TEN("19", 4), TEN("20", 4), TEN("21", 4), TEN("22", 4),
	TEN("23", 4), TEN("24", 4), {"250.", 4}, {"251.", 4}, {"252.", 4}, {"253.", 4}, {"254.", 4},
	{"255.", 4}};

int address_parse(const char *text, struct address *out)
{
	struct address parsed = {.family = ADDRESS_IPV4};
	if (inet_pton(AF_INET, text, parsed.bytes) != 1) {
		parsed.family = ADDRESS_IPV6;
		if (inet_pton(AF_INET6, text, parsed.bytes) != 1)
			return -EINVAL;
	}
	*out = parsed;
	return 0;
}

static size_t format_ipv4(const uint8_t bytes[4], char *out)
{
	char *end = out;
	for (unsigned i = 0; i < 4; i++) {
		memcpy(end, address_octets[bytes[i]].text, 4);
		end += address_octets[bytes[i]].length;
	}
	end--; /* the last dot */
	*end = '\0';
	return (size_t)(end - out);
}

/* Store the hex digits of one 16-bit group without leading zeros; four bytes are always written. */
static char *format_group(uint32_t group, char *out)
{
	/* One nibble per byte, the most significant in the lowest byte; then all four to text. */
	uint32_t text = group >> 12 | (group & 0xf00) | (group & 0xf0) << 12 | (group & 0xf) << 24;
	uint32_t is_letter = (text + 0x06060606) >> 4 & 0x01010101;
	text += 0x30303030 + is_letter * ('a' - '0' - 10);
	unsigned digits = 1 + (group > 0xf) + (group > 0xff) + (group > 0xfff);
	text = htole32(text >> (4 - digits) * 8);
	memcpy(out, &text, 4);
	return out + digits;
}

/* The first of the longest runs of two or more zero groups; length 0 when there is none. */
static unsigned longest_zeros(const uint16_t group[8], unsigned *length)
{
	unsigned starts = 0, longest = 0, runs = 0;
	for (unsigned i = 0; i < 8; i++)
		runs |= (unsigned)(group[i] == 0) << i;
	/* After k rounds bit i says that a run of k + 1 zero groups starts at group i. */
	for (; runs; runs &= runs >> 1) {
		starts = runs;
		longest++;
	}
	*length = longest < 2 ? 0 : longest;
	return longest < 2 ? 8 : (unsigned)__builtin_ctz(starts);
}

static size_t format_ipv6(const uint8_t bytes[16], char *out)
{
	uint16_t group[8];
	for (unsigned i = 0; i < 8; i++)
		group[i] = (uint16_t)(bytes[2 * i] << 8 | bytes[2 * i + 1]);
	unsigned length, start = longest_zeros(group, &length);
	char *end = out;
	for (unsigned i = 0; i < start; i++) {
		if (i)
			*end++ = ':';
		end = format_group(group[i], end);
	}
	if (length) {
		*end++ = ':';
		if (start + length == 8)
			*end++ = ':';
		for (unsigned i = start + length; i < 8; i++) {
			*end++ = ':';
			end = format_group(group[i], end);
		}
	}
	*end = '\0';
	return (size_t)(end - out);
}

size_t address_format(const struct address *address, char out[ADDRESS_TEXT_MAX])
{
	if (address->family == ADDRESS_IPV4)
		return format_ipv4(address->bytes, out);
	return format_ipv6(address->bytes, out);
}

bool address_equal(const struct address *a, const struct address *b)
{
	return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* ---- addresses as numbers ---- */

static void load(const struct address *address, uint64_t *high, uint64_t *low)
{
	if (address->family == ADDRESS_IPV4) {
		uint32_t v4;
		memcpy(&v4, address->bytes, 4);
		*high = 0;
		*low = be32toh(v4);
		return;
	}
	memcpy(high, address->bytes, 8);
	memcpy(low, address->bytes + 8, 8);
	*high = be64toh(*high);
	*low = be64toh(*low);
}

address_number address_number_of(const struct address *address)
{
	uint64_t high, low;
	load(address, &high, &low);
	return (wide)high << 64 | low;
}

/* Distance of an address from the first of the plan; false when it is outside the range. */
static bool offset_of(
	const struct address_plan *plan, const struct address *address, uint64_t *offset)
{
	if (address->family != plan->family)
		return false;
	uint64_t high, low;
	load(address, &high, &low);
	*offset = low - plan->first_low;
	/* The range may cross a multiple of 2^64: subtract with the borrow. */
	return high - plan->first_high - (low < plan->first_low) == 0 && *offset < plan->addresses;
}

/* ---- reading a plan ---- */

/* Digits without sign, blank or leading zero, up to `limit` (larger values become limit + 1, so
 * that nothing overflows). NULL when there is no number here; else what follows it. */
static const char *read_number(const char *text, uint32_t limit, uint32_t *value)
{
	if (*text < '0' || *text > '9' || (*text == '0' && text[1] >= '0' && text[1] <= '9'))
		return NULL;
	uint32_t sum = 0;
	for (; *text >= '0' && *text <= '9'; text++) {
		if (sum <= limit)
			sum = sum * 10 + (uint32_t)(*text - '0');
	}
	*value = sum > limit ? limit + 1 : sum;
	return text;
}

static const char *skip_blanks(const char *text)
{
	return text + strspn(text, " \t");
}

/* What follows the addresses: nothing, " port P" or " ports P-P". */
static int read_ports(const char *text, struct address_plan *plan)
{
	uint32_t first = PORT_DEFAULT, last = PORT_DEFAULT;
	const char *word = skip_blanks(text);
	if (*word != '\0') {
		bool many = strncmp(word, "ports", 5) == 0;
		if (word == text || strncmp(word, "port", 4) != 0)
			return -EINVAL;
		const char *value = word + (many ? 5 : 4);
		text = skip_blanks(value);
		if (text == value || !(text = read_number(text, PORT_MAX, &first)))
			return -EINVAL;
		last = first;
		if (many && (*text != '-' || !(text = read_number(text + 1, PORT_MAX, &last))))
			return -EINVAL;
		if (*skip_blanks(text) != '\0')
			return -EINVAL;
	}
	if (first < PORT_MIN || last > PORT_MAX || last < first)
		return -ERANGE;
	plan->port_first = (uint16_t)first;
	plan->port_last = (uint16_t)last;
	plan->ports = last - first + 1;
	/* Rounded up by e/ports with e < ports <= 2^16: an index below 2^32 times the reciprocal is
	 * off by less than 2^48/ports, which never reaches the next quotient. Exact for every
	 * index. */
	plan->port_reciprocal = ((UINT64_C(1) << RECIPROCAL_BITS) + plan->ports - 1) / plan->ports;
	return 0;
}

/* One address of the text, from `text` up to `end`. */
static int read_side(const char *text, const char *end, struct address *out)
{
	char side[SIDE_MAX];
	size_t length = (size_t)(end - text);
	if (length >= sizeof(side))
		return -EINVAL;
	memcpy(side, text, length);
	side[length] = '\0';
	return address_parse(side, out);
}

static void set_range(struct address_plan *plan, wide first, wide last)
{
	plan->first_high = (uint64_t)(first >> 64);
	plan->first_low = (uint64_t)first;
	wide span = last - first;
	plan->addresses = span >= ADDRESSES_MAX ? ADDRESSES_MAX : (uint64_t)span + 1;
}

/* The length after the slash; everything but the addresses that belong to nobody is the range. */
static int read_prefix(const char *text, const char *end, wide first, struct address_plan *plan)
{
	uint32_t bits = plan->family == ADDRESS_IPV4 ? 32 : 128, length;
	const char *after = read_number(text, bits, &length);
	if (after != end)
		return -EINVAL;
	if (length > bits)
		return -ERANGE;
	wide hosts = length == 0 && bits == 128 ? ~(wide)0 : ((wide)1 << (bits - length)) - 1;
	if (first & hosts)
		return -EINVAL;
	wide last = first + hosts;
	plan->prefix_length = (uint8_t)length;
	if (hosts > 1) {
		first++;
		last -= plan->family == ADDRESS_IPV4;
	}
	set_range(plan, first, last);
	return 0;
}

static int read_range(
	const char *text, const char *end, const char *mark, struct address_plan *plan)
{
	struct address first, last;
	int rc = read_side(text, mark, &first);
	if (rc)
		return rc;
	plan->family = first.family;
	plan->prefix_length = first.family == ADDRESS_IPV4 ? 32 : 128;
	if (*mark == '/')
		return read_prefix(mark + 1, end, address_number_of(&first), plan);
	last = first;
	if (*mark == '-' && (rc = read_side(mark + 1, end, &last)))
		return rc;
	if (last.family != first.family)
		return -EINVAL;
	if (address_number_of(&last) < address_number_of(&first))
		return -ERANGE;
	set_range(plan, address_number_of(&first), address_number_of(&last));
	return 0;
}

int address_plan_parse(const char *text, struct address_plan *out)
{
	struct address_plan plan = {0};
	const char *end = text + strcspn(text, " \t");
	const char *mark = text + strcspn(text, "/- \t");
	int rc = read_range(text, end, mark, &plan);
	if (rc == 0)
		rc = read_ports(end, &plan);
	if (rc == 0)
		*out = plan;
	return rc;
}

/* ---- the enumeration ---- */

int address_plan_exclude(struct address_plan *plan, const struct address *address)
{
	uint64_t offset;
	if (!offset_of(plan, address, &offset))
		return 0;
	unsigned at = 0;
	while (at < plan->holes && plan->hole[at] < offset)
		at++;
	if (at < plan->holes && plan->hole[at] == offset)
		return 0;
	if (plan->holes == ADDRESS_HOLES)
		return -ENOSPC;
	memmove(&plan->hole[at + 1], &plan->hole[at], (plan->holes - at) * sizeof(plan->hole[0]));
	plan->hole[at] = offset;
	plan->holes++;
	return 0;
}

uint64_t address_plan_capacity(const struct address_plan *plan)
{
	uint64_t phones = (plan->addresses - plan->holes) * plan->ports;
	return phones < INDEXES ? phones : INDEXES;
}

void address_plan_at(
	const struct address_plan *plan, uint32_t index, struct address *address, uint16_t *port)
{
	index -= plan->begin;
	uint64_t rank = (uint64_t)((wide)index * plan->port_reciprocal >> RECIPROCAL_BITS);
	*port = (uint16_t)(plan->port_first + (index - rank * plan->ports));
	/* Hole i is stepped over by every rank from hole[i] - i on: comparisons that do not wait
	 * for each other. */
	uint64_t offset = rank;
	for (unsigned i = 0; i < plan->holes; i++)
		offset += rank + i >= plan->hole[i];
	uint64_t low = plan->first_low + offset;
	uint64_t high = plan->first_high + (low < offset);
	address->family = plan->family;
	if (plan->family == ADDRESS_IPV4) {
		uint32_t v4 = htobe32((uint32_t)low);
		memset(address->bytes, 0, sizeof(address->bytes));
		memcpy(address->bytes, &v4, 4);
	} else {
		high = htobe64(high);
		low = htobe64(low);
		memcpy(address->bytes, &high, 8);
		memcpy(address->bytes + 8, &low, 8);
	}
	if (plan->order)
		*port = port_order_at(plan->order, address->bytes, *port);
}

/* The place of an address among those of the phones: its offset less the holes before it. */
static bool rank_of(const struct address_plan *plan, const struct address *address, uint64_t *rank)
{
	uint64_t offset;
	if (!offset_of(plan, address, &offset))
		return false;
	uint64_t before = 0;
	bool is_hole = false;
	for (unsigned i = 0; i < plan->holes; i++) {
		before += plan->hole[i] < offset;
		is_hole |= plan->hole[i] == offset;
	}
	*rank = offset - before;
	return !is_hole;
}

bool address_plan_find(const struct address_plan *plan, const struct address *address,
	uint16_t port, uint32_t *index)
{
	uint64_t rank;
	if (port < plan->port_first || port > plan->port_last || !rank_of(plan, address, &rank))
		return false;
	if (plan->order)
		port = port_order_find(plan->order, address->bytes, port);
	uint64_t found = plan->begin + rank * plan->ports + (port - plan->port_first);
	*index = (uint32_t)found;
	return found < INDEXES;
}

bool address_plan_contains(const struct address_plan *plan, const struct address *address)
{
	uint64_t rank;
	return rank_of(plan, address, &rank) && rank * plan->ports < INDEXES;
}

bool address_plan_same(const struct address_plan *a, const struct address_plan *b)
{
	return a->family == b->family && a->first_high == b->first_high &&
	       a->first_low == b->first_low && a->addresses == b->addresses &&
	       a->port_first == b->port_first && a->port_last == b->port_last;
}

address_number address_plan_first(const struct address_plan *plan)
{
	return (wide)plan->first_high << 64 | plan->first_low;
}

bool address_plan_meets(const struct address_plan *a, const struct address_plan *b)
{
	const wide a_first = address_plan_first(a), b_first = address_plan_first(b);
	if (a->family != b->family || a_first + a->addresses <= b_first ||
		b_first + b->addresses <= a_first)
		return false;
	if (a_first != b_first || a->addresses != b->addresses)
		return true;
	return a->port_first <= b->port_last && b->port_first <= a->port_last;
}
