/* SPDX-License-Identifier: BSD-3-Clause */
#include <linux/if_ether.h>
#include <netinet/in.h>

#include "steering_program.h"

/* Places in the network header, wherever that begins in what the program is given. */
#define AT(offset) ((uint32_t)SKF_NET_OFF + (offset))
#define IPV4_FRAGMENT 6
#define IPV4_PROTOCOL 9
#define IPV4_DESTINATION 16
#define IPV6_PROTOCOL 6
#define IPV6_DESTINATION_LAST 36 /* the last 32 bits: a plan has no more addresses */
#define IPV6_HEADER 40
#define UDP_DESTINATION 2
#define FRAGMENT_BITS 0x3fff /* more to come, or not the first */

struct program {
	struct sock_filter *at;
	unsigned count;
};

static void statement(struct program *p, uint16_t code, uint32_t k)
{
	p->at[p->count++] = (struct sock_filter)BPF_STMT(code, k);
}

/* Unless the condition holds, worker 0 takes the frame. */
static void demand(struct program *p, uint16_t condition, uint32_t k, bool holds)
{
	p->at[p->count++] = (struct sock_filter)BPF_JUMP(
		BPF_JMP | condition | BPF_K, k, holds, !holds);
	statement(p, BPF_RET | BPF_K, 0);
}

/* The accumulator holds the last 32 bits of an address, and is to hold its phones' first index. */
static void rank(struct program *p, const struct address_plan *plan)
{
	statement(p, BPF_ALU | BPF_SUB | BPF_K, (uint32_t)plan->first_low);
	/* From the last hole on: what has stepped back over one is still behind those before it. */
	for (unsigned i = plan->holes; i-- > 0;) {
		p->at[p->count++] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JGT | BPF_K, (uint32_t)plan->hole[i], 0, 1);
		statement(p, BPF_ALU | BPF_SUB | BPF_K, 1);
	}
	statement(p, BPF_ALU | BPF_MUL | BPF_K, plan->ports);
}

/* Add what the port, which the accumulator holds, counts; X holds the first index. */
static void add_port(struct program *p, const struct address_plan *plan)
{
	statement(p, BPF_ALU | BPF_SUB | BPF_K, plan->port_first);
	statement(p, BPF_ALU | BPF_ADD | BPF_X, 0);
}

static void finish(struct program *p, unsigned workers)
{
	statement(p, BPF_ALU | BPF_MOD | BPF_K, workers);
	statement(p, BPF_RET | BPF_A, 0);
}

static void of_ipv4(struct program *p, const struct address_plan *plan, unsigned workers)
{
	statement(p, BPF_LD | BPF_B | BPF_ABS, AT(IPV4_PROTOCOL));
	demand(p, BPF_JEQ, IPPROTO_UDP, true);
	statement(p, BPF_LD | BPF_H | BPF_ABS, AT(IPV4_FRAGMENT));
	demand(p, BPF_JSET, FRAGMENT_BITS, false);
	statement(p, BPF_LD | BPF_W | BPF_ABS, AT(IPV4_DESTINATION));
	rank(p, plan);
	statement(p, BPF_ST, 0);
	statement(p, BPF_LDX | BPF_B | BPF_MSH, AT(0)); /* the header's length */
	statement(p, BPF_LD | BPF_H | BPF_IND, AT(UDP_DESTINATION));
	statement(p, BPF_LDX | BPF_W | BPF_MEM, 0);
	add_port(p, plan);
	finish(p, workers);
}

static void of_ipv6(struct program *p, const struct address_plan *plan, unsigned workers)
{
	statement(p, BPF_LD | BPF_B | BPF_ABS, AT(IPV6_PROTOCOL));
	demand(p, BPF_JEQ, IPPROTO_UDP, true);
	statement(p, BPF_LD | BPF_W | BPF_ABS, AT(IPV6_DESTINATION_LAST));
	rank(p, plan);
	statement(p, BPF_MISC | BPF_TAX, 0);
	statement(p, BPF_LD | BPF_H | BPF_ABS, AT(IPV6_HEADER + UDP_DESTINATION));
	add_port(p, plan);
	finish(p, workers);
}

unsigned steering_program(
	const struct steering_phones *phones, struct sock_filter out[STEERING_PROGRAM_MAX])
{
	static const struct {
		uint16_t protocol;
		void (*write)(struct program *p, const struct address_plan *plan, unsigned workers);
	} family[ADDRESS_FAMILIES] = {{ETH_P_IP, of_ipv4}, {ETH_P_IPV6, of_ipv6}};
	struct program p = {.at = out};
	for (unsigned f = 0; f < ADDRESS_FAMILIES; f++) {
		if (!phones->plan[f])
			continue;
		statement(&p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)SKF_AD_OFF + SKF_AD_PROTOCOL);
		const unsigned jump = p.count++;
		family[f].write(&p, phones->plan[f], phones->workers);
		out[jump] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
			family[f].protocol, 0, (uint8_t)(p.count - jump - 1));
	}
	statement(&p, BPF_RET | BPF_K, 0);
	return p.count;
}
