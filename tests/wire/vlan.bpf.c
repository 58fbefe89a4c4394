/* SPDX-License-Identifier: BSD-3-Clause */
/* A proxy's port that carries one VLAN and drops every other frame. -DVLAN=120. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

static long (*vlan_push)(struct __sk_buff *, __u16, __u16) = (void *)BPF_FUNC_skb_vlan_push;
static long (*vlan_pop)(struct __sk_buff *) = (void *)BPF_FUNC_skb_vlan_pop;

__attribute__((section("tc/push"), used)) int port_egress(struct __sk_buff *frame)
{
	/* The protocol is in wire order. */
	return vlan_push(frame, __builtin_bswap16(0x8100), VLAN) ? TC_ACT_SHOT : TC_ACT_OK;
}

__attribute__((section("tc/pop"), used)) int port_ingress(struct __sk_buff *frame)
{
	if (!frame->vlan_present || (frame->vlan_tci & 0xfff) != VLAN)
		return TC_ACT_SHOT;
	return vlan_pop(frame) ? TC_ACT_SHOT : TC_ACT_OK;
}
