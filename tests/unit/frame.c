/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames against golden bytes, neighbours against time, masking, and everything cut short. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "announce.h"
#include "frame.h"
#include "frame_golden.h"
#include "mask.h"
#include "neighbour.h"

#define SECOND_US 1000000ull

static const uint8_t us[FRAME_MAC] = {2, 0, 0, 0, 0, 1}, them[FRAME_MAC] = {2, 0, 0, 0, 0, 0xfe};
static const struct frame_rules untagged = {0}, tagged = {.vlan = 42};

static struct address address(const char *text)
{
	struct address out;
	assert_int_equal(address_parse(text, &out), 0);
	return out;
}

static struct frame_link link_to(const uint8_t *mac, uint16_t vlan)
{
	struct frame_link link = {.vlan = vlan};
	memcpy(link.source, us, FRAME_MAC);
	memcpy(link.destination, mac, FRAME_MAC);
	return link;
}

static void assert_address(const struct address *got, const char *text)
{
	const struct address wanted = address(text);
	assert_true(frame_address_equal(got, &wanted));
	assert_true(address_equal(got, &wanted));
}

/* One whole datagram, built the way the workers do it. */
static size_t build(uint8_t *out, const char *from, uint16_t from_port, const char *to,
	uint16_t to_port, uint16_t vlan, const char *payload)
{
	const struct address source = address(from), destination = address(to);
	const struct frame_link link = link_to(them, vlan);
	const uint16_t n = (uint16_t)strlen(payload);
	const size_t length = frame_headers(source.family, vlan) + n;
	struct frame_path path;
	uint8_t again[512];
	uint32_t sum = 0;
	frame_path_make(&path, &link, FRAME_OPEN_SOURCE, &destination, to_port);
	assert_true(frame_path_fits(&path, &link, &destination, to_port));
	assert_false(frame_path_fits(&path, &link, &destination, to_port + 1));
	assert_false(frame_path_fits(&path, &link, &source, to_port));
	const struct frame_link other = link_to(us, vlan), tagged_else = link_to(them, vlan + 1);
	assert_false(frame_path_fits(&path, &other, &destination, to_port));
	assert_false(frame_path_fits(&path, &tagged_else, &destination, to_port));
	uint8_t *at = frame_path_udp(&path, out, &source, from_port, n);
	assert_int_equal((size_t)(at - out), frame_headers(source.family, vlan));
	memcpy(at, payload, n);
	frame_udp_checksum(out + frame_link_length(vlan), source.family);
	/* The same with the other end open, and from the payload's sum alone. */
	frame_path_make(&path, &link, FRAME_OPEN_DESTINATION, &source, from_port);
	memcpy(frame_path_udp(&path, again, &destination, to_port, n), payload, n);
	for (uint16_t i = 0; i < n; i++)
		sum += (uint32_t)(uint8_t)payload[i] << i % 2 * 8;
	frame_path_checksum(&path, again, sum);
	assert_memory_equal(out, again, length);
	return length;
}

static void datagrams_are_golden(void **state)
{
	uint8_t out[256];
	(void)state;
	assert_int_equal(
		build(out, "10.20.0.5", 5060, "10.10.0.1", 5070, 0, "hello"), sizeof(golden_udp4));
	assert_memory_equal(out, golden_udp4, sizeof(golden_udp4));
	assert_int_equal(build(out, "2001:db8:20::5", 5061, "2001:db8::2", 5062, 42, "OPTIONS"),
		sizeof(golden_udp6_vlan));
	assert_memory_equal(out, golden_udp6_vlan, sizeof(golden_udp6_vlan));
}

static void datagrams_are_read(void **state)
{
	struct frame f;
	(void)state;
	assert_int_equal(
		frame_parse(golden_udp4_in, sizeof(golden_udp4_in), &untagged, &f), FRAME_UDP);
	assert_address(&f.source, "10.10.0.1");
	assert_address(&f.destination, "10.20.0.5");
	assert_int_equal(f.source_port, 5070);
	assert_int_equal(f.destination_port, 5060);
	assert_int_equal(f.payload_length, 14);
	assert_memory_equal(f.payload, "SIP/2.0 200 OK", 14);
	assert_memory_equal(f.link_source, them, FRAME_MAC);
	assert_memory_equal(f.link_destination, us, FRAME_MAC);
	assert_int_equal(
		frame_parse(golden_udp6_in, sizeof(golden_udp6_in), &tagged, &f), FRAME_UDP);
	assert_address(&f.source, "2001:db8::2");
	assert_address(&f.destination, "2001:db8:20::5");
	assert_int_equal(f.source_port, 5062);
	assert_int_equal(f.destination_port, 5061);
	assert_memory_equal(f.payload, "SIP/2.0 200 OK", 14);
}

static void only_our_vlan(void **state)
{
	struct frame f;
	const struct frame_rules other = {.vlan = 43};
	(void)state;
	assert_int_equal(frame_parse(golden_udp6_in, sizeof(golden_udp6_in), &untagged, &f),
		FRAME_FOREIGN_VLAN);
	assert_int_equal(frame_parse(golden_udp6_in, sizeof(golden_udp6_in), &other, &f),
		FRAME_FOREIGN_VLAN);
	assert_int_equal(frame_parse(golden_udp4_in, sizeof(golden_udp4_in), &tagged, &f),
		FRAME_FOREIGN_VLAN);
}

static void short_frames_are_padded(void **state)
{
	uint8_t padded[sizeof(golden_udp4_in) + 10] = {0};
	struct frame f;
	(void)state;
	memcpy(padded, golden_udp4_in, sizeof(golden_udp4_in));
	memset(padded + sizeof(golden_udp4_in), 0xee, 10);
	assert_int_equal(frame_parse(padded, sizeof(padded), &untagged, &f), FRAME_UDP);
	assert_int_equal(f.payload_length, 14);
}

static void fragments_and_strangers(void **state)
{
	struct frame f;
	uint8_t other[sizeof(golden_udp4_in)];
	(void)state;
	assert_int_equal(frame_parse(golden_fragment4, sizeof(golden_fragment4), &untagged, &f),
		FRAME_FRAGMENT);
	assert_int_equal(frame_parse(golden_fragment6, sizeof(golden_fragment6), &untagged, &f),
		FRAME_FRAGMENT);
	memcpy(other, golden_udp4_in, sizeof(other));
	other[12] = 0x88; /* LLDP */
	other[13] = 0xcc;
	assert_int_equal(frame_parse(other, sizeof(other), &untagged, &f), FRAME_FOREIGN_PROTOCOL);
}

static void icmp_errors_name_the_phone(void **state)
{
	struct frame f;
	(void)state;
	assert_int_equal(
		frame_parse(golden_unreachable4, sizeof(golden_unreachable4), &untagged, &f),
		FRAME_ICMP_ERROR);
	assert_address(&f.source, "10.20.0.5");
	assert_address(&f.destination, "10.10.0.1");
	assert_int_equal(f.source_port, 5060);
	assert_int_equal(f.destination_port, 5070);
	assert_int_equal(
		frame_parse(golden_unreachable6, sizeof(golden_unreachable6), &untagged, &f),
		FRAME_ICMP_ERROR);
	assert_address(&f.source, "2001:db8:20::5");
	assert_address(&f.destination, "2001:db8::2");
	assert_int_equal(f.source_port, 5061);
	assert_int_equal(f.destination_port, 5062);
}

/* A checksum covers what follows the Ethernet header (IPv4), or the addresses and all behind them
 * (IPv6): no single bit there may change unnoticed, unless the hardware has vouched for it. */
static void flipped_bits_are_noticed(void **state)
{
	static const struct {
		const uint8_t *bytes;
		size_t length, from;
		const struct frame_rules *rules;
	} cases[] = {
		{golden_udp4_in, sizeof(golden_udp4_in), 14, &untagged},
		{golden_udp6_in, sizeof(golden_udp6_in), 18 + 8, &tagged},
		{golden_echo4, sizeof(golden_echo4), 14, &untagged},
		{golden_echo6, sizeof(golden_echo6), 14 + 8, &untagged},
		{golden_solicitation, sizeof(golden_solicitation), 14 + 7, &untagged},
		{golden_unreachable4, sizeof(golden_unreachable4), 14, &untagged},
		{golden_unreachable6, sizeof(golden_unreachable6), 14 + 8, &untagged},
	};
	(void)state;
	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		uint8_t bytes[256];
		struct frame f;
		const enum frame_kind kind = frame_parse(
			cases[c].bytes, cases[c].length, cases[c].rules, &f);
		assert_true(kind < FRAME_BAD);
		memcpy(bytes, cases[c].bytes, cases[c].length);
		for (size_t bit = cases[c].from * 8; bit < cases[c].length * 8; bit++) {
			bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_true(frame_parse(bytes, cases[c].length, cases[c].rules, &f) >=
				    FRAME_BAD);
			bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
}

static void hardware_is_believed(void **state)
{
	uint8_t bytes[sizeof(golden_udp4_in)];
	const struct frame_rules checked = {.network_checked = true, .transport_checked = true};
	struct frame f;
	(void)state;
	memcpy(bytes, golden_udp4_in, sizeof(bytes));
	bytes[sizeof(bytes) - 1] ^= 1;
	assert_int_equal(frame_parse(bytes, sizeof(bytes), &untagged, &f), FRAME_BAD_CHECKSUM);
	assert_int_equal(frame_parse(bytes, sizeof(bytes), &checked, &f), FRAME_UDP);
}

static void partial_checksums_on_kernel_links_only(void **state)
{
	const struct frame_rules kernel = {.partial_allowed = true};
	struct frame f;
	uint8_t out[256];
	(void)state;
	assert_int_equal(frame_parse(golden_partial4, sizeof(golden_partial4), &untagged, &f),
		FRAME_BAD_CHECKSUM);
	assert_int_equal(
		frame_parse(golden_partial4, sizeof(golden_partial4), &kernel, &f), FRAME_UDP);
	/* What we leave to a card is the same thing. */
	const size_t length = build(out, "10.20.0.5", 5060, "10.10.0.1", 5070, 0, "hello");
	frame_udp_offload(out + 14, ADDRESS_IPV4);
	assert_int_equal(frame_parse(out, length, &untagged, &f), FRAME_BAD_CHECKSUM);
	assert_int_equal(frame_parse(out, length, &kernel, &f), FRAME_UDP);
}

static void no_checksum_is_an_ipv4_right(void **state)
{
	uint8_t bytes[sizeof(golden_udp6_in)];
	struct frame f;
	(void)state;
	memcpy(bytes, golden_udp4_in, sizeof(golden_udp4_in));
	memset(bytes + 14 + 20 + 6, 0, 2);
	assert_int_equal(frame_parse(bytes, sizeof(golden_udp4_in), &untagged, &f), FRAME_UDP);
	memcpy(bytes, golden_udp6_in, sizeof(golden_udp6_in));
	memset(bytes + 18 + 40 + 6, 0, 2);
	assert_int_equal(
		frame_parse(bytes, sizeof(golden_udp6_in), &tagged, &f), FRAME_BAD_CHECKSUM);
}

/* A sum of zero is sent as 0xffff: find a payload that gives it. */
static void zero_is_never_sent(void **state)
{
	uint8_t out[FRAME_PATH_ROOM + 2];
	const struct address source = address("10.20.0.5"), destination = address("10.10.0.1");
	const struct frame_link link = link_to(them, 0);
	struct frame_path path;
	const struct frame_rules rules = untagged;
	struct frame f;
	bool seen = false;
	(void)state;
	frame_path_make(&path, &link, FRAME_OPEN_SOURCE, &destination, 5060);
	for (uint32_t word = 0; word <= 0xffff; word++) {
		uint8_t *at = frame_path_udp(&path, out, &source, 5060, 2);
		at[0] = (uint8_t)(word >> 8);
		at[1] = (uint8_t)word;
		frame_udp_checksum(out + 14, ADDRESS_IPV4);
		const uint16_t sum = (uint16_t)(out[40] << 8 | out[41]);
		assert_int_not_equal(sum, 0);
		frame_path_checksum(&path, out, (word >> 8) + (word & 255) * 256);
		assert_int_equal(out[40] << 8 | out[41], sum);
		seen |= sum == 0xffff;
		assert_int_equal(frame_parse(out, 44, &rules, &f), FRAME_UDP);
	}
	assert_true(seen);
}

/* Cut to every length, in a block of exactly that size, so that AddressSanitizer sees a read past
 * the end; then with every length field at its extremes. */
static void nothing_is_read_past_the_end(void **state)
{
	static const struct {
		const uint8_t *bytes;
		size_t length;
	} all[] = {
		{golden_udp4_in, sizeof(golden_udp4_in)},
		{golden_udp6_in, sizeof(golden_udp6_in)},
		{golden_arp_request, sizeof(golden_arp_request)},
		{golden_solicitation, sizeof(golden_solicitation)},
		{golden_advertisement, sizeof(golden_advertisement)},
		{golden_echo4, sizeof(golden_echo4)},
		{golden_echo6, sizeof(golden_echo6)},
		{golden_unreachable4, sizeof(golden_unreachable4)},
		{golden_unreachable6, sizeof(golden_unreachable6)},
		{golden_fragment6, sizeof(golden_fragment6)},
	};
	(void)state;
	for (size_t c = 0; c < sizeof(all) / sizeof(all[0]); c++) {
		const struct frame_rules *rules = all[c].bytes[12] == 0x81 ? &tagged : &untagged;
		for (size_t length = 0; length <= all[c].length; length++) {
			uint8_t *cut = malloc(length ? length : 1);
			struct frame f;
			assert_non_null(cut);
			memcpy(cut, all[c].bytes, length);
			const enum frame_kind kind = frame_parse(cut, length, rules, &f);
			/* Cut and whole look alike only where Ethernet padding was cut off. */
			if (length < all[c].length)
				assert_true(kind >= FRAME_BAD);
			mask_frame(cut, length, false, true);
			for (size_t at = 12; at < length; at++) {
				const uint8_t kept = cut[at];
				cut[at] = 0xff;
				frame_parse(cut, length, rules, &f);
				mask_frame(cut, length, false, false);
				cut[at] = 0;
				frame_parse(cut, length, rules, &f);
				cut[at] = kept;
			}
			free(cut);
		}
	}
}

/* --- Neighbours --- */

static struct address_plan plans[ADDRESS_FAMILIES];
static struct roster roster;

static void set_up(struct neighbours *neighbours)
{
	const struct roster_herd herd = {
		.end = UINT32_MAX, .plan = {&plans[ADDRESS_IPV4], &plans[ADDRESS_IPV6]}};
	roster = (struct roster){0};
	roster_add(&roster, &herd);
	*neighbours = (struct neighbours){.roster = &roster};
	memcpy(neighbours->mac, us, FRAME_MAC);
	assert_int_equal(address_plan_parse("10.20.0.5-10.20.0.9", &plans[ADDRESS_IPV4]), 0);
	assert_int_equal(
		address_plan_parse("2001:db8:20::5-2001:db8:20::9", &plans[ADDRESS_IPV6]), 0);
}

static void assert_answer(const struct neighbours *neighbours, const uint8_t *request,
	size_t request_length, const uint8_t *wanted, size_t wanted_length)
{
	uint8_t out[2048];
	struct frame f;
	frame_parse(request, request_length, &untagged, &f);
	assert_int_equal(neighbours_answer(neighbours, &f, out, sizeof(out)), wanted_length);
	assert_memory_equal(out, wanted, wanted_length);
}

static void requests_for_us_are_answered(void **state)
{
	struct neighbours neighbours;
	(void)state;
	set_up(&neighbours);
	assert_answer(&neighbours, golden_arp_request, sizeof(golden_arp_request), golden_arp_reply,
		sizeof(golden_arp_reply));
	assert_answer(&neighbours, golden_solicitation, sizeof(golden_solicitation),
		golden_advertisement, sizeof(golden_advertisement));
	assert_answer(&neighbours, golden_echo4, sizeof(golden_echo4), golden_echo4_reply,
		sizeof(golden_echo4_reply));
	assert_answer(&neighbours, golden_echo6, sizeof(golden_echo6), golden_echo6_reply,
		sizeof(golden_echo6_reply));
}

static void requests_for_others_are_not(void **state)
{
	struct neighbours neighbours;
	(void)state;
	set_up(&neighbours);
	assert_int_equal(address_plan_parse("10.20.0.6-10.20.0.9", &plans[ADDRESS_IPV4]), 0);
	roster.herd[0].plan[ADDRESS_IPV6] = NULL;
	assert_answer(&neighbours, golden_arp_request, sizeof(golden_arp_request), NULL, 0);
	assert_answer(&neighbours, golden_echo4, sizeof(golden_echo4), NULL, 0);
	assert_answer(&neighbours, golden_solicitation, sizeof(golden_solicitation), NULL, 0);
	assert_answer(&neighbours, golden_echo6, sizeof(golden_echo6), NULL, 0);
	/* A reply is no request, and an echo that does not fit is not sent. */
	set_up(&neighbours);
	assert_answer(&neighbours, golden_arp_reply, sizeof(golden_arp_reply), NULL, 0);
	uint8_t out[FRAME_REQUEST_MAX], big[512];
	struct frame f;
	memcpy(big, golden_echo4, sizeof(golden_echo4));
	frame_parse(golden_echo4, sizeof(golden_echo4), &untagged, &f);
	f.payload = big;
	f.payload_length = 400;
	assert_int_equal(neighbours_answer(&neighbours, &f, out, sizeof(out)), 0);
}

static void registrars_own_their_addresses(void **state)
{
	struct neighbours neighbours = {0};
	const struct address own = address("10.20.0.5"), other = address("10.20.0.6");
	uint8_t out[FRAME_REQUEST_MAX];
	(void)state;
	memcpy(neighbours.mac, us, FRAME_MAC);
	neighbours_set_proxy(&neighbours, PROXY_PRIMARY, &own, 0);
	assert_true(neighbours_own(&neighbours, &own));
	assert_false(neighbours_own(&neighbours, &other));
	assert_answer(&neighbours, golden_arp_request, sizeof(golden_arp_request), golden_arp_reply,
		sizeof(golden_arp_reply));
	/* Who owns the proxies looks for nobody. */
	assert_true(neighbours_next_us(&neighbours) == UINT64_MAX);
	assert_int_equal(neighbours_ask(&neighbours, SECOND_US, out), 0);
}

/* The answer of 10.10.0.1 to us. */
static void teach(struct neighbours *neighbours, const uint8_t *mac, uint64_t now_us)
{
	const struct address sender = address("10.10.0.1"), target = address("10.20.0.5");
	struct frame_link link = link_to(us, 0);
	memcpy(link.source, mac, FRAME_MAC);
	const struct frame_arp arp = {.sender = &sender, .target = &target, .target_hardware = us};
	uint8_t bytes[FRAME_REQUEST_MAX];
	struct frame f;
	const size_t length = frame_arp(bytes, &link, &arp);
	assert_int_equal(frame_parse(bytes, length, &untagged, &f), FRAME_ARP);
	assert_true(neighbours_concern(neighbours, &f));
	neighbours_learn(neighbours, &f, now_us);
}

static void assert_asks(struct neighbours *neighbours, uint64_t now_us, bool broadcast)
{
	uint8_t out[FRAME_REQUEST_MAX];
	struct frame f;
	assert_true(neighbours_next_us(neighbours) == now_us);
	assert_int_equal(neighbours_ask(neighbours, now_us - 1, out), 0);
	const size_t length = neighbours_ask(neighbours, now_us, out);
	assert_int_equal(frame_parse(out, length, &untagged, &f), FRAME_ARP);
	assert_true(f.arp_request);
	assert_address(&f.source, "10.20.0.5");
	assert_address(&f.destination, "10.10.0.1");
	assert_int_equal(f.link_destination[0] == 0xff, broadcast);
	if (!broadcast)
		assert_memory_equal(f.link_destination, them, FRAME_MAC);
}

static void next_hops_are_asked_for_in_time(void **state)
{
	struct neighbours neighbours;
	const struct address proxy = address("10.10.0.1");
	static const uint8_t moved[FRAME_MAC] = {2, 0, 0, 0, 0, 0xaa};
	(void)state;
	set_up(&neighbours);
	neighbours_set_proxy(&neighbours, PROXY_REDUNDANT, &proxy, 5 * SECOND_US);
	for (unsigned i = 0; i < 300; i++) /* once a second, for ever */
		assert_asks(&neighbours, (5 + i) * SECOND_US, true);
	assert_false(neighbours.hop[PROXY_REDUNDANT].known);
	teach(&neighbours, them, 310 * SECOND_US);
	assert_true(neighbours.hop[PROXY_REDUNDANT].known);
	assert_memory_equal(neighbours.hop[PROXY_REDUNDANT].mac, them, FRAME_MAC);
	/* Refreshed by unicast, then by broadcast; meanwhile the MAC stays. */
	for (unsigned i = 0; i < NEIGHBOUR_UNICAST_TRIES; i++)
		assert_asks(&neighbours, (340 + i) * SECOND_US, false);
	assert_asks(&neighbours, (340 + NEIGHBOUR_UNICAST_TRIES) * SECOND_US, true);
	assert_true(neighbours.hop[PROXY_REDUNDANT].known);
	teach(&neighbours, moved, 350 * SECOND_US);
	assert_memory_equal(neighbours.hop[PROXY_REDUNDANT].mac, moved, FRAME_MAC);
	assert_true(neighbours_next_us(&neighbours) == 380 * SECOND_US);
}

static void one_gateway_is_asked_once(void **state)
{
	struct neighbours neighbours;
	const struct address primary = address("192.0.2.1"), redundant = address("192.0.2.2");
	uint8_t out[FRAME_REQUEST_MAX];
	(void)state;
	set_up(&neighbours);
	neighbours.has_gateway[ADDRESS_IPV4] = true;
	neighbours.gateway[ADDRESS_IPV4] = address("10.10.0.1");
	neighbours_set_proxy(&neighbours, PROXY_PRIMARY, &primary, SECOND_US);
	neighbours_set_proxy(&neighbours, PROXY_REDUNDANT, &redundant, SECOND_US);
	assert_asks(&neighbours, SECOND_US, true);
	assert_int_equal(neighbours_ask(&neighbours, SECOND_US, out), 0);
	teach(&neighbours, them, SECOND_US);
	assert_true(neighbours.hop[PROXY_PRIMARY].known && neighbours.hop[PROXY_REDUNDANT].known);
	/* A new address behind the same gateway changes nothing for the link. */
	neighbours_set_proxy(&neighbours, PROXY_PRIMARY, &redundant, 2 * SECOND_US);
	assert_true(neighbours.hop[PROXY_PRIMARY].known);
	/* A proxy that gets its first address later profits from what is known. */
	set_up(&neighbours);
	neighbours.has_gateway[ADDRESS_IPV4] = true;
	neighbours.gateway[ADDRESS_IPV4] = address("10.10.0.1");
	neighbours_set_proxy(&neighbours, PROXY_PRIMARY, &primary, 0);
	teach(&neighbours, them, SECOND_US);
	neighbours_set_proxy(&neighbours, PROXY_REDUNDANT, &redundant, 2 * SECOND_US);
	assert_true(neighbours.hop[PROXY_REDUNDANT].known);
}

/* RFC 4861 7.2.5: an advertisement without the override flag does not replace a known MAC. */
static void advertisements_respect_override(void **state)
{
	struct neighbours neighbours;
	const struct address proxy = address("2001:db8::2"), phone = address("2001:db8:20::5");
	struct frame_link link = link_to(us, 0);
	struct frame_neighbour advertisement = {.flags = FRAME_SOLICITED,
		.source = &proxy,
		.destination = &phone,
		.target = &proxy};
	uint8_t bytes[FRAME_REQUEST_MAX];
	struct frame f;
	(void)state;
	set_up(&neighbours);
	neighbours_set_proxy(&neighbours, PROXY_PRIMARY, &proxy, 0);
	size_t length = neighbours_ask(&neighbours, 0, bytes);
	assert_int_equal(frame_parse(bytes, length, &untagged, &f), FRAME_SOLICITATION);
	assert_address(&f.target, "2001:db8::2");
	assert_address(&f.destination, "ff02::1:ff00:2");
	static const uint8_t group[FRAME_MAC] = {0x33, 0x33, 0xff, 0, 0, 2};
	assert_memory_equal(f.link_destination, group, FRAME_MAC);
	for (uint8_t last = 1; last <= 3; last++) {
		link.source[5] = last;
		advertisement.flags = last == 3 ? FRAME_OVERRIDE : FRAME_SOLICITED;
		length = frame_neighbour(bytes, &link, &advertisement);
		assert_int_equal(frame_parse(bytes, length, &untagged, &f), FRAME_ADVERTISEMENT);
		assert_int_equal(neighbours_learn(&neighbours, &f, SECOND_US), last != 2);
		assert_int_equal(neighbours.hop[PROXY_PRIMARY].mac[5], last == 3 ? 3 : 1);
	}
}

/* --- Several generators: addresses that come and go --- */

#define PER_ADDRESS 2500
#define FLEET (4 * SHARD_PHONES)

/* Four shards, the first two of them here. */
static _Atomic uint8_t here[4];

static void set_up_shared(struct neighbours *neighbours)
{
	set_up(neighbours);
	for (uint32_t shard = 0; shard < 4; shard++)
		atomic_store(&here[shard], shard < 2);
	neighbours->here = here;
	roster.herd[0].end = FLEET;
	/* One phone per address in one family, many in the other. */
	assert_int_equal(address_plan_parse("10.20.0.1-10.20.200.0", &plans[ADDRESS_IPV4]), 0);
	assert_int_equal(address_plan_parse("2001:db8:20::1-2001:db8:20::ffff ports 5000-7499",
				 &plans[ADDRESS_IPV6]),
		0);
}

static bool owns(const struct neighbours *neighbours, uint8_t family, uint32_t phone)
{
	struct address at;
	uint16_t port;
	address_plan_at(&plans[family], phone, &at, &port);
	return neighbours_own(neighbours, &at);
}

static void only_shards_that_are_here_are_answered_for(void **state)
{
	struct neighbours neighbours;
	(void)state;
	set_up_shared(&neighbours);
	for (uint8_t family = 0; family < ADDRESS_FAMILIES; family++) {
		assert_true(owns(&neighbours, family, 0));
		assert_true(owns(&neighbours, family, 2 * SHARD_PHONES - 1));
		assert_false(owns(&neighbours, family, 2 * SHARD_PHONES));
		assert_false(owns(&neighbours, family, FLEET - 1));
		assert_false(owns(&neighbours, family, FLEET)); /* no phone of the fleet */
	}
	assert_answer(&neighbours, golden_arp_request, sizeof(golden_arp_request), golden_arp_reply,
		sizeof(golden_arp_reply));
	assert_answer(&neighbours, golden_solicitation, sizeof(golden_solicitation),
		golden_advertisement, sizeof(golden_advertisement));
	atomic_store(&here[0], 0); /* of the one address, */
	atomic_store(&here[1], 0); /* of the other */
	assert_answer(&neighbours, golden_arp_request, sizeof(golden_arp_request), NULL, 0);
	assert_answer(&neighbours, golden_solicitation, sizeof(golden_solicitation), NULL, 0);
	assert_answer(&neighbours, golden_echo4, sizeof(golden_echo4), NULL, 0);
	assert_answer(&neighbours, golden_echo6, sizeof(golden_echo6), NULL, 0);
}

/* An address whose phones are of two shards is where the first of them is. */
static void a_shared_address_is_where_its_first_phone_is(void **state)
{
	struct neighbours neighbours;
	struct address at;
	uint16_t port;
	(void)state;
	set_up_shared(&neighbours);
	assert_int_equal(
		address_plan_parse("10.20.0.1-10.20.0.9 ports 5000-10999", &plans[ADDRESS_IPV4]),
		0);
	address_plan_at(&plans[ADDRESS_IPV4], SHARD_PHONES, &at, &port);
	assert_address(&at, "10.20.0.2"); /* which begins with phone 6000 */
	atomic_store(&here[0], 0);
	assert_false(neighbours_own(&neighbours, &at));
	atomic_store(&here[0], 1);
	atomic_store(&here[1], 0);
	assert_true(neighbours_own(&neighbours, &at));
}

static struct address asks_as(struct neighbours *neighbours, const char *proxy)
{
	const struct address to = address(proxy);
	uint8_t out[FRAME_REQUEST_MAX];
	struct frame f;
	neighbours->hop[PROXY_PRIMARY] = (struct next_hop){0};
	neighbours_set_proxy(neighbours, PROXY_PRIMARY, &to, 0);
	const size_t length = neighbours_ask(neighbours, 0, out);
	assert_true(frame_parse(out, length, &untagged, &f) < FRAME_BAD);
	return f.source;
}

/* Asking in the name of a phone would draw its datagrams here. */
static void nobody_asks_in_the_name_of_a_phone_elsewhere(void **state)
{
	static const char *const proxies[] = {"10.10.0.1", "2001:db8::2"};
	static const char *const nobody[] = {"0.0.0.0", "fe80::ff:fe00:1"};
	(void)state;
	for (unsigned family = 0; family < ADDRESS_FAMILIES; family++) {
		struct neighbours neighbours;
		struct address wanted, as;
		uint16_t port;
		set_up_shared(&neighbours);
		for (uint32_t shard = 0; shard < 4; shard++) {
			address_plan_at(&plans[family], shard * SHARD_PHONES, &wanted, &port);
			atomic_store(&here[3], 1);
			as = asks_as(&neighbours, proxies[family]);
			assert_true(frame_address_equal(&as, &wanted));
			atomic_store(&here[shard], 0);
			atomic_store(&here[shard + 1 < 4 ? shard + 1 : 0], shard + 1 < 4);
		}
		as = asks_as(&neighbours, proxies[family]);
		assert_address(&as, nobody[family]);
	}
}

static void announcements_are_golden(void **state)
{
	struct neighbours neighbours;
	uint8_t out[FRAME_REQUEST_MAX];
	const struct address v4 = address("10.20.0.5"), v6 = address("2001:db8:20::5");
	(void)state;
	set_up(&neighbours);
	assert_int_equal(neighbours_announce(&neighbours, &v4, out), sizeof(golden_announce4));
	assert_memory_equal(out, golden_announce4, sizeof(golden_announce4));
	assert_int_equal(neighbours_announce(&neighbours, &v6, out), sizeof(golden_announce6));
	assert_memory_equal(out, golden_announce6, sizeof(golden_announce6));
	/* Nobody answers one, not even to an address of its own. */
	assert_answer(&neighbours, golden_announce4, sizeof(golden_announce4), NULL, 0);
	assert_answer(&neighbours, golden_announce6, sizeof(golden_announce6), NULL, 0);
}

/* How many frames come in so many visits, 1 ms apart; all must be announcements of ours. */
static unsigned announced(struct announcer *announcer, const struct neighbours *neighbours,
	uint64_t *now_us, unsigned visits)
{
	unsigned frames = 0;
	for (unsigned i = 0; i < visits; i++, *now_us += 1000) {
		uint8_t out[FRAME_REQUEST_MAX];
		struct frame f;
		unsigned at_once = 0;
		size_t length;
		while ((length = announcer_next(announcer, neighbours, *now_us, out)) > 0) {
			const enum frame_kind kind = frame_parse(out, length, &untagged, &f);
			const struct address *at = kind == FRAME_ARP ? &f.source : &f.target;
			assert_true(kind == FRAME_ARP || kind == FRAME_ADVERTISEMENT);
			assert_true(neighbours_own(neighbours, at));
			at_once++;
		}
		assert_true(at_once <= ANNOUNCE_BURST);
		frames += at_once;
	}
	return frames;
}

static void addresses_are_announced_twice_and_paced(void **state)
{
	struct neighbours neighbours;
	struct announcer announcer;
	const unsigned addresses = SHARD_PHONES + SHARD_PHONES / PER_ADDRESS;
	uint64_t now_us = 5 * SECOND_US;
	(void)state;
	set_up_shared(&neighbours);
	assert_int_equal(announcer_open(&announcer, 4, FLEET), 0);
	assert_int_equal(announced(&announcer, &neighbours, &now_us, 10), 0);
	assert_true(announcer_add(&announcer, SHARD_PHONES, SHARD_PHONES));
	/* 20 a millisecond, besides what a pause of a burst has saved up. */
	assert_int_equal(announced(&announcer, &neighbours, &now_us, 100),
		99 * ANNOUNCE_PER_S / 1000 + ANNOUNCE_BURST);
	assert_int_equal(announced(&announcer, &neighbours, &now_us, 890),
		addresses - 99 * ANNOUNCE_PER_S / 1000 - ANNOUNCE_BURST);
	assert_int_equal(announced(&announcer, &neighbours, &now_us, 9), 0);
	assert_int_equal(announced(&announcer, &neighbours, &now_us, 1000), addresses);
	assert_int_equal(announced(&announcer, &neighbours, &now_us, 3000), 0);
	announcer_close(&announcer);
}

/* What has gone to another generator by then is not claimed once more. */
static void addresses_that_left_are_not_announced(void **state)
{
	struct neighbours neighbours;
	struct announcer announcer;
	uint64_t now_us = 0;
	(void)state;
	set_up_shared(&neighbours);
	roster.herd[0].plan[ADDRESS_IPV6] = NULL;
	assert_int_equal(announcer_open(&announcer, 2, FLEET), 0);
	assert_true(announcer_add(&announcer, 0, FLEET)); /* of which half is not here */
	assert_int_equal(announced(&announcer, &neighbours, &now_us, 1001), 2 * SHARD_PHONES);
	atomic_store(&here[1], 0);
	assert_int_equal(announced(&announcer, &neighbours, &now_us, 2000), SHARD_PHONES);
	/* A range that begins amid the phones of an address: it is announced with its first. */
	roster.herd[0].plan[ADDRESS_IPV4] = NULL;
	roster.herd[0].plan[ADDRESS_IPV6] = &plans[ADDRESS_IPV6];
	assert_true(announcer_add(&announcer, 1, PER_ADDRESS));
	assert_int_equal(announced(&announcer, &neighbours, &now_us, 2000), 2);
	/* Beyond the fleet there is nothing, and no more waits than there is room for. */
	assert_true(announcer_add(&announcer, FLEET, 1));
	assert_true(announcer_add(&announcer, FLEET - 1, UINT32_MAX));
	assert_true(announcer_add(&announcer, 0, PER_ADDRESS));
	assert_false(announcer_add(&announcer, PER_ADDRESS, PER_ADDRESS));
	assert_int_equal(announced(&announcer, &neighbours, &now_us, 500), 1);
	assert_false(announcer_add(&announcer, PER_ADDRESS, PER_ADDRESS));
	assert_int_equal(announced(&announcer, &neighbours, &now_us, 1000), 1);
	assert_true(announcer_add(&announcer, PER_ADDRESS, PER_ADDRESS));
	announcer_close(&announcer);
}

/* --- Masking --- */

static void secrets_are_masked(void **state)
{
	static const struct {
		const char *before, *after;
	} cases[] = {
		{"Authorization: Digest username=\"bob\", realm=\"r\", nonce=\"abc\", "
		 "uri=\"sip:x\", "
		 "response=\"0123\", algorithm=MD5, cnonce=\"de\", opaque=\"\", qop=auth, "
		 "nc=00000001\r\n",
			"Authorization: Digest username=\"xxx\", realm=\"r\", nonce=\"xxx\", "
			"uri=\"sip:x\", "
			"response=\"xxxx\", algorithm=MD5, cnonce=\"xx\", opaque=\"\", qop=auth, "
			"nc=00000001\r\n"},
		{"proxy-authorization : digest NONCE = token,x=1\r\nNonce=keep\r\n",
			"proxy-authorization : digest NONCE = xxxxx,x=1\r\nNonce=keep\r\n"},
		{"WWW-Authenticate: Digest realm=\"a\",\r\n nonce=\"a "
		 "b\\\"c\",\r\n\topaque=o\r\nA: nonce=n\r\n",
			"WWW-Authenticate: Digest realm=\"a\",\r\n nonce=\"x "
			"xxxx\",\r\n\topaque=x\r\nA: nonce=n\r\n"},
		{"Proxy-Authenticate: Digest nonce=\"never closed\r\n more\r\nTo: x\r\n",
			"Proxy-Authenticate: Digest nonce=\"xxxxx xxxxxx\r\n xxxx\r\nTo: x\r\n"},
		{"From: <sip:bob@x>;response=\"keep\"\r\n\r\n", NULL},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const size_t length = strlen(cases[i].before);
		const char *after = cases[i].after ? cases[i].after : cases[i].before;
		char *text = malloc(length);
		assert_non_null(text);
		memcpy(text, cases[i].before, length);
		assert_int_equal(mask_text((uint8_t *)text, length), cases[i].after != NULL);
		assert_int_equal(strlen(after), length);
		assert_memory_equal(text, after, length);
		free(text);
	}
}

static void masked_frames_stay_valid(void **state)
{
	static const char request[] = "REGISTER sip:x SIP/2.0\r\n"
				      "Authorization: Digest response=\"0123456789abcdef\"\r\n\r\n";
	static const char *const ends[][2] = {
		{"10.20.0.5", "10.10.0.1"}, {"2001:db8:20::5", "2001:db8::2"}};
	uint8_t out[512], kept[512];
	struct frame f;
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		const uint16_t vlan = i & 2 ? 42 : 0;
		const size_t length = build(
			out, ends[i & 1][0], 5060, ends[i & 1][1], 5060, vlan, request);
		memcpy(kept, out, length);
		mask_frame(out, length, true, false); /* credentials are wanted */
		assert_memory_equal(out, kept, length);
		mask_frame(out, length, false, false);
		assert_null(memmem(out, length, "0123456789abcdef", 16));
		assert_non_null(memmem(out, length, "xxxxxxxxxxxxxxxx", 16));
		assert_int_equal(
			frame_parse(out, length, vlan ? &tagged : &untagged, &f), FRAME_UDP);
		/* What was left to hardware is completed on the way. */
		memcpy(out, kept, length);
		frame_udp_offload(out + frame_link_length(vlan), i & 1);
		mask_frame(out, length, true, true);
		assert_memory_equal(out, kept, length);
	}
}

static void fragments_are_masked_whole(void **state)
{
	uint8_t bytes[sizeof(golden_fragment4)];
	(void)state;
	memcpy(bytes, golden_fragment4, sizeof(bytes));
	memcpy(bytes + 34, "response=\"secret\"", 17);
	mask_frame(bytes, sizeof(bytes), false, false);
	assert_memory_equal(bytes, golden_fragment4, sizeof(bytes)); /* its payload is all x */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(datagrams_are_golden),
		cmocka_unit_test(datagrams_are_read),
		cmocka_unit_test(only_our_vlan),
		cmocka_unit_test(short_frames_are_padded),
		cmocka_unit_test(fragments_and_strangers),
		cmocka_unit_test(icmp_errors_name_the_phone),
		cmocka_unit_test(flipped_bits_are_noticed),
		cmocka_unit_test(hardware_is_believed),
		cmocka_unit_test(partial_checksums_on_kernel_links_only),
		cmocka_unit_test(no_checksum_is_an_ipv4_right),
		cmocka_unit_test(zero_is_never_sent),
		cmocka_unit_test(nothing_is_read_past_the_end),
		cmocka_unit_test(requests_for_us_are_answered),
		cmocka_unit_test(requests_for_others_are_not),
		cmocka_unit_test(registrars_own_their_addresses),
		cmocka_unit_test(next_hops_are_asked_for_in_time),
		cmocka_unit_test(one_gateway_is_asked_once),
		cmocka_unit_test(advertisements_respect_override),
		cmocka_unit_test(only_shards_that_are_here_are_answered_for),
		cmocka_unit_test(a_shared_address_is_where_its_first_phone_is),
		cmocka_unit_test(nobody_asks_in_the_name_of_a_phone_elsewhere),
		cmocka_unit_test(announcements_are_golden),
		cmocka_unit_test(addresses_are_announced_twice_and_paced),
		cmocka_unit_test(addresses_that_left_are_not_announced),
		cmocka_unit_test(secrets_are_masked),
		cmocka_unit_test(masked_frames_stay_valid),
		cmocka_unit_test(fragments_are_masked_whole),
	};
	return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
