/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The wire: from a herd's datagrams to Ethernet frames and back, on any link.
 *
 * Table of contents of the room, and all that api/ sees of it. Nothing of DPDK shows through. A wire
 * has one link and one or more workers. Each worker runs to completion and shares nothing: it owns
 * the phones first, first + workers, ... of the fleet, one queue pair, its buffers and counters.
 * A frame that arrives at a worker that does not own its phone is redirected over a ring.
 *
 * Threads: every function here is for the control thread. Workers hand out copies of what they count
 * when wire_snapshot asks them; it waits for those, usually for less than a millisecond.
 *
 * Errors: 0 or -errno, and the one message at the edge in struct wire_error: what, why, remedy.
 */
#ifndef SIPHERD_WIRE_H
#define SIPHERD_WIRE_H

#include "herd.h"
#include "registrar.h"

#define WIRE_WORKERS_MAX 16
#define WIRE_HERDS_MAX 64
#define WIRE_DEVICE_MAX 64

enum wire_link_kind {
	WIRE_MEMORY,    /* ring pair inside the process: herd at one end, registrars at the other */
	WIRE_TAP,       /* tap:NAME       a tap interface of this host, made by us */
	WIRE_AF_PACKET, /* af_packet:IF   a raw socket on an existing interface */
	WIRE_AF_XDP,    /* af_xdp:IF      an XDP socket on an existing interface */
	WIRE_PCI,       /* pci:ADDRESS    a network card bound to a user-space driver */
};

struct wire_link {
	uint8_t kind; /* enum wire_link_kind */
	char device[WIRE_DEVICE_MAX];
};

/* Parse "memory", "tap:NAME", "af_packet:IF", "af_xdp:IF", "pci:ADDRESS". -EINVAL. */
int wire_link_parse(const char *text, struct wire_link *out);
void wire_link_format(const struct wire_link *link, char out[WIRE_DEVICE_MAX + 16]);

struct wire_error {
	char message[512]; /* "what: why. remedy" in one line, no newline */
};

struct wire_proxy {
	struct address address;
	uint16_t port;
	bool known; /* false: not resolved yet, datagrams to it are dropped and counted */
};

/* Who lives on this side of the link. The memory link carries both. */
enum wire_role { WIRE_HERD = 1 << 0, WIRE_REGISTRARS = 1 << 1 };

struct wire_capture {
	const char *path; /* NULL: no capture. pcapng */
	int64_t phone;    /* index of the one phone to capture, -1: all */
	bool credentials; /* true: keep Authorization answers, nonces and so on; false: masked */
	uint64_t limit_bytes; /* stop writing after so much; 0: 1 GiB */
};

/* One of several herds. Its phones are config.begin..config.end-1 of the fleet, right behind those of
 * the herd before; plans and identities begin there too, and no two herds share an address and port. */
struct wire_herd {
	struct herd_config config;
	struct wire_proxy proxy[PROXIES];
	struct registrar_config registrar[PROXIES]; /* of the memory link: serve this herd alone */
};

struct wire_config {
	struct wire_link link;
	unsigned roles;   /* enum wire_role bits */
	unsigned workers; /* 1..WIRE_WORKERS_MAX */
	/* Memory link: each worker's registrars run in a worker of their own, on another CPU while
	 * there are enough; as many more as `workers`. */
	bool apart;
	uint16_t vlan;                    /* 0: untagged */
	uint16_t mtu;                     /* 0: 1500 */
	struct wire_proxy proxy[PROXIES]; /* where the herd sends; where the registrars listen */
	bool has_gateway[ADDRESS_FAMILIES];
	struct address gateway[ADDRESS_FAMILIES]; /* without one, every proxy is taken as on-link */
	/* first, stride and worker are filled in per worker. With a mirror, only phones of shards
	 * that are `here` get datagrams, and only their addresses are answered for; an address that
	 * carries several phones (many ports) is here when its first phone's shard is. */
	struct herd_config herd;
	struct registrar_config registrar[PROXIES];
	/* More herds than one, else NULL: in place of proxy, herd and registrar. Of `herd` only
	 * fleet_phones, seed, secret and mirror count then, which are the same for all. */
	const struct wire_herd *herds;
	unsigned herd_count;
	struct wire_capture capture;
	int eal_argc; /* the user's own EAL arguments, without program name; 0: we choose */
	char **eal_argv;
	bool verbose; /* let EAL talk */
};

/* What the wire itself counts, per worker. */
#define WIRE_COUNTERS(X)                                                                         \
	X(frames_received, "frames taken from the port")                                         \
	X(frames_sent, "frames handed to the port")                                              \
	X(bytes_received, "bytes of frames taken from the port")                                 \
	X(bytes_sent, "bytes of frames handed to the port")                                      \
	X(not_sent_full, "frames dropped because the port took no more: not sent")               \
	X(not_sent_no_buffer, "datagrams with no buffer left: not sent")                         \
	X(not_sent_no_neighbour, "datagrams whose next hop has no known MAC: not sent")          \
	X(not_sent_unresolved, "datagrams to a proxy whose name has no address yet: not sent")   \
	X(not_sent_too_long, "datagrams longer than the MTU: not sent")                          \
	X(redirected, "frames handed to the worker that owns their phone")                       \
	X(redirect_dropped, "frames lost because that worker's ring was full")                   \
	X(arp_answered, "ARP requests answered")                                                 \
	X(ndp_answered, "neighbour solicitations answered")                                      \
	X(echo_answered, "pings answered, IPv4 and IPv6")                                        \
	X(neighbour_requests, "ARP requests and neighbour solicitations sent for next hops")     \
	X(announced, "gratuitous ARP and unsolicited advertisements sent for phones taken over") \
	X(icmp_received, "ICMP errors for datagrams of ours")                                    \
	X(bad_checksum, "frames with a wrong IP or UDP checksum")                                \
	X(bad_frame, "frames cut short or with lengths that contradict")                         \
	X(fragment, "IP fragments, which are not reassembled")                                   \
	X(foreign_vlan, "frames with another VLAN tag, or none where one is due")                \
	X(foreign_address, "frames for addresses that are not ours")                             \
	X(foreign_sender, "datagrams to a phone from an address that is no proxy of ours")       \
	X(foreign_protocol, "frames of protocols we do not speak")                               \
	X(captured, "frames written to the capture file")                                        \
	X(capture_dropped, "frames not captured because the writer was behind")

COUNTERS_DECLARE(wire_counters, WIRE_COUNTERS);

struct wire_worker_state {
	uint32_t cpu;
	float busy_ratio; /* share of the last second that was not spent polling in vain, 0..1 */
	float registrar_ratio; /* the part of it that the built-in registrars took */
	uint64_t rounds;
};

/* What one herd counts, of all workers together. */
struct wire_herd_snapshot {
	struct herd_counters herd;
	struct herd_population population;
	struct herd_histograms histograms;
	struct proxy_counters proxy[PROXIES];
	struct registrar_counters registrar[PROXIES];
	uint32_t registered_at[PROXIES];
};

/* A consistent enough picture: each worker's part is a copy of one moment, all within a few ms. */
struct wire_snapshot {
	uint64_t now_us; /* the herd's clock */
	struct herd_counters herd;
	struct herd_population population;
	struct herd_histograms histograms;
	struct proxy_counters proxy[PROXIES]; /* of now */
	struct series series; /* steps that all workers have closed, of all of them together */
	struct registrar_counters registrar[PROXIES];
	uint32_t registered_at[PROXIES]; /* by the built-in registrars' own tables */
	struct wire_counters wire;
	unsigned workers;
	struct wire_worker_state worker[WIRE_WORKERS_MAX];
	uint64_t herd_memory; /* bytes for phones, timers, templates, all workers */
	bool quiet;           /* HERD_STOP has been carried out everywhere */
};

struct wire;

/* Bring up EAL, the link and the herds; nothing is sent yet. Only one wire per process. */
int wire_open(struct wire **out, const struct wire_config *config, struct wire_error *error);

/* Start the workers. The link is up, next hops are being resolved. */
int wire_start(struct wire *wire, struct wire_error *error);

/* Wait until the next hop of every known proxy has a MAC, at most so long. -ETIMEDOUT names who is missing. */
int wire_wait_neighbours(struct wire *wire, uint32_t timeout_ms, struct wire_error *error);

/* To all workers; taken within a few milliseconds. 64 commands can wait, with a mirror three more for
 * each of its shards: ADOPTs and RELEASEs never wait for a worker. Before wire_start, more are lost;
 * while workers run, the caller waits. */
void wire_command(struct wire *wire, const struct herd_command *command);
void wire_set_faults(
	struct wire *wire, enum proxy registrar, const struct registrar_faults *faults);
void wire_forget(struct wire *wire, enum proxy registrar);
/* A name was resolved (again), of this herd's proxy. -EAFNOSUPPORT: another family than the herd was set
 * up with; the address in use stays. */
int wire_set_proxy(struct wire *wire, unsigned herd, enum proxy proxy,
	const struct address *address, uint16_t port);

/* Tell the link that these phones' addresses are here now: gratuitous ARP, unsolicited neighbour
 * advertisements, each address twice, about a second apart and at most 20,000 frames a second; those
 * that have left by then are passed over. At most 64 ranges wait, and one more for each shard; more
 * are not announced but answered for all the same. Nothing on the memory link or without a mirror. */
void wire_announce(struct wire *wire, uint32_t first, uint32_t count);

/* The herd's clock now, us; any thread, after wire_start. A snapshot's now_us is on it too. */
uint64_t wire_now_us(const struct wire *wire);

void wire_snapshot(struct wire *wire, struct wire_snapshot *out);
/* One herd's part of the last snapshot, and the phones of it alone. */
void wire_herd_snapshot(const struct wire *wire, unsigned herd, struct wire_herd_snapshot *out);
void wire_herd_population(const struct wire *wire, unsigned herd, struct herd_population *out);

/* One phone, as its worker knows it. Waits for the worker for 20 ms at most; one that did not answer in
 * time is not waited for again before it has. False: no herd here, no such phone, or no answer in time. */
bool wire_look(struct wire *wire, uint32_t phone, struct herd_look *out);

/*
 * Datagrams of single phones, kept from the moment they are first asked for: WIRE_TRACES phones at
 * most, of each the newest WIRE_TRACE_MESSAGES. Who was not asked for the longest gives way.
 *
 * Workers copy frames into a bounded ring; what does not fit is dropped and counted. Whoever reads
 * them calls wire_trace_collect often enough (ten times a second). Credentials are masked in there,
 * even where the capture keeps them: its file is for its owner, but who reads traces is not known here.
 */
#define WIRE_TRACES 16
#define WIRE_TRACE_MESSAGES 64
#define WIRE_TRACE_FRAME_MAX 2048

struct wire_message {
	uint64_t unix_us;
	bool inbound;                     /* from the proxy */
	bool cut;                         /* the frame was longer than what is kept of it */
	uint8_t proxy;                    /* enum proxy: the other end */
	uint16_t length;                  /* of the frame, from the Ethernet header on */
	uint16_t payload, payload_length; /* where the SIP text stands in what is kept of it */
	uint8_t frame[WIRE_TRACE_FRAME_MAX];
};

struct wire_trace {
	uint32_t phone;
	uint64_t since_unix_us; /* nothing older is known */
	uint32_t dropped; /* frames of traced phones lost since then, of all of them together */
	uint32_t count;   /* messages, oldest first */
	const struct wire_message *message[WIRE_TRACE_MESSAGES];
};

/* From now on this phone is traced; *out, valid until the next call of these three, is what is known.
 * 0; -ENOENT: no such phone, no herd here, workers do not run yet; -ENOMEM. */
int wire_trace(struct wire *wire, uint32_t phone, struct wire_trace *out);
void wire_trace_collect(struct wire *wire);
/* A trace as a pcapng file in memory, to be freed; NULL: out of memory. */
uint8_t *wire_trace_pcapng(const struct wire_trace *trace, size_t *length);

/* The link in use and how frames find their worker, in words, for the banner. */
const char *wire_description(const struct wire *wire);

/* On what pages phones and frames lie, for the banner; NULL: the herd is too small to matter. */
const char *wire_pages(const struct wire *wire);

/* Stop the workers, close the port, free everything. */
void wire_close(struct wire *wire);

#endif
