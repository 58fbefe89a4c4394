/* SPDX-License-Identifier: BSD-3-Clause */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/ethtool.h>
#include <linux/if_ether.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <rte_bus_vdev.h>
#include <rte_dev.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>

#include "eal.h"
#include "failure.h"
#include "link.h"
#include "packet_group.h"

#define RING_SIZE 4096
#define DESCRIPTORS 1024
#define XDP_DESCRIPTORS 2048 /* of each of its four rings, by itself */
#define BUFFER_MIN 2048
#define PACKET_HEADER_MAX 128
#define SLOTS_PER_BLOCK 4u /* of 1 KiB steps: blocks are whole pages */
#define PACKET_RING_BYTES (8u << 20)
#define GROUP_TRIES 8
#define GROUP_STEP 0x1001 /* spreads the numbers tried over all 16 bits */
#define MTU_DEFAULT 1500
#define MTU_MIN 576
#define MTU_MAX 9000
#define BPF_FS_MAGIC 0xcafe4a11
/* An XDP socket pins its buffers: the least that lets one start. */
#define LOCKED_MIN (64ull << 20)

static const struct {
	const char *prefix;
	uint8_t kind;
} kinds[] = {
	{"tap:", WIRE_TAP},
	{"af_packet:", WIRE_AF_PACKET},
	{"af_xdp:", WIRE_AF_XDP},
	{"pci:", WIRE_PCI},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* Names end up in DPDK device arguments, where comma and equals sign separate. */
static bool name_allowed(const char *name, uint8_t kind)
{
	const size_t length = strlen(name);
	if (!length || length >= WIRE_DEVICE_MAX || strpbrk(name, ", =/\t\n"))
		return false;
	return kind == WIRE_PCI || length < IFNAMSIZ;
}

int wire_link_parse(const char *text, struct wire_link *out)
{
	*out = (struct wire_link){.kind = WIRE_MEMORY};
	if (!strcmp(text, "memory"))
		return 0;
	for (size_t i = 0; i < KINDS; i++) {
		const size_t length = strlen(kinds[i].prefix);
		if (strncmp(text, kinds[i].prefix, length))
			continue;
		if (!name_allowed(text + length, kinds[i].kind))
			return -EINVAL;
		out->kind = kinds[i].kind;
		strcpy(out->device, text + length);
		return 0;
	}
	return -EINVAL;
}

void wire_link_format(const struct wire_link *link, char out[WIRE_DEVICE_MAX + 16])
{
	const char *prefix = "memory";
	for (size_t i = 0; i < KINDS; i++)
		if (kinds[i].kind == link->kind)
			prefix = kinds[i].prefix;
	snprintf(out, WIRE_DEVICE_MAX + 16, "%s%s", prefix, link->device);
}

/* One interface request on a throw-away socket; 0 or -errno. */
static int interface_ioctl(unsigned long request, const char *name, struct ifreq *ifr)
{
	snprintf(ifr->ifr_name, IFNAMSIZ, "%.*s", IFNAMSIZ - 1, name);
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	const int result = ioctl(fd, request, ifr) < 0 ? -errno : 0;
	close(fd);
	return result;
}

static bool may(unsigned capability)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
	if (syscall(SYS_capget, &header, data))
		return false;
	return data[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability);
}

static int check_raw_socket(const char *link, struct wire_error *error)
{
	const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd >= 0) {
		close(fd);
		return 0;
	}
	const int code = -errno;
	return failure(error, code,
		"link %s: %s. It needs CAP_NET_RAW and CAP_NET_ADMIN: run as root, or use the "
		"memory link",
		link, strerror(-code));
}

/* The interface must be there and up before DPDK hears of it: an af_packet port that could not open
 * its interface can crash later. */
static int check_interface(struct link *link, const char *text, struct wire_error *error)
{
	const char *name = link->wish.device;
	struct ifreq ifr = {0};
	if (!if_nametoindex(name))
		return failure(error, -ENODEV,
			"link %s: there is no interface %s here. See `ip link`, and mind the "
			"network namespace",
			text, name);
	int result = interface_ioctl(SIOCGIFFLAGS, name, &ifr);
	if (result)
		return failure(error, result, "link %s: %s", text, strerror(-result));
	if (!(ifr.ifr_flags & IFF_UP))
		return failure(error, -ENETDOWN,
			"link %s: interface %s is down. Bring it up: ip link set %s up", text, name,
			name);
	if (ifr.ifr_flags & IFF_LOOPBACK)
		return failure(error, -EINVAL,
			"link %s: %s is the loopback interface, which has no Ethernet peers. Use a "
			"veth pair, "
			"tap:NAME or memory",
			text, name);
	ifr = (struct ifreq){0};
	result = interface_ioctl(SIOCGIFMTU, name, &ifr);
	if (!result && ifr.ifr_mtu < link->mtu)
		return failure(error, -EMSGSIZE,
			"link %s: mtu %u is more than the interface's %d. Raise it: ip link set %s "
			"mtu %u, or set "
			"mtu: %d",
			text, link->mtu, ifr.ifr_mtu, name, link->mtu, ifr.ifr_mtu);
	return check_raw_socket(text, error);
}

/* How many queues of an interface DPDK's driver puts an XDP socket on each: those that both receive and
 * send by the interface's own account. */
static unsigned xdp_queues(const struct ethtool_channels *channels)
{
	return channels->max_combined && channels->combined_count ? channels->combined_count : 1;
}

static struct ethtool_channels interface_channels(const char *name)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	struct ifreq ifr = {.ifr_data = (void *)&channels};
	if (interface_ioctl(SIOCETHTOOL, name, &ifr))
		channels = (struct ethtool_channels){0};
	return channels;
}

static int check_af_xdp(const char *text, const char *name, struct wire_error *error)
{
	const struct ethtool_channels channels = interface_channels(name);
	if (channels.rx_count > xdp_queues(&channels))
		return failure(error, -ENOTSUP,
			"link %s: it receives on %u queues, but DPDK reads only the first of such "
			"an "
			"interface. Leave it one: ethtool -L %s rx 1 tx 1",
			text, channels.rx_count, name);
	struct statfs fs;
	if (statfs("/sys/fs/bpf", &fs) || (unsigned long)fs.f_type != BPF_FS_MAGIC)
		return failure(error, -ENOENT,
			"link %s: no BPF file system. Mount it: mount -t bpf bpf /sys/fs/bpf "
			"(inside `ip netns exec` too)",
			text);
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
	/* Whoever may lock memory at all is not held to the limit. */
	if (may(CAP_IPC_LOCK) || !setrlimit(RLIMIT_MEMLOCK, &limit))
		return 0;
	if (!getrlimit(RLIMIT_MEMLOCK, &limit) && limit.rlim_cur < LOCKED_MIN)
		return failure(error, -EPERM,
			"link %s: only %llu kB of memory may be locked. Raise it: ulimit -l "
			"unlimited",
			text, (unsigned long long)limit.rlim_cur / 1024);
	return 0;
}

/* An interface of that name that is there already has to be a tap. */
static int check_tap(const char *text, const char *name, struct wire_error *error)
{
	char path[128];
	snprintf(path, sizeof(path), "/sys/class/net/%s/tun_flags", name);
	if (if_nametoindex(name) && access(path, F_OK))
		return failure(error, -EEXIST,
			"link %s: there is another interface of that name. Choose another name",
			text);
	if (access("/dev/net/tun", R_OK | W_OK))
		return failure(error, -errno,
			"link %s: /dev/net/tun: %s. Load the tun module, or use the memory link",
			text, strerror(errno));
	if (may(CAP_NET_ADMIN))
		return 0;
	return failure(error, -EPERM,
		"link %s: it needs CAP_NET_ADMIN. Run as root, or use the memory link", text);
}

int link_check(struct link *out, const struct wire_config *config, struct wire_error *error)
{
	char text[WIRE_DEVICE_MAX + 16];
	*out = (struct link){.wish = config->link,
		.workers = config->workers,
		.verbose = config->verbose,
		.mtu = config->mtu ? config->mtu : MTU_DEFAULT};
	wire_link_format(&config->link, text);
	if (out->mtu < MTU_MIN || out->mtu > MTU_MAX)
		return failure(error, -EINVAL, "mtu %u: out of range. Use %d to %d", out->mtu,
			MTU_MIN, MTU_MAX);
	int result = 0;
	switch (config->link.kind) {
	case WIRE_AF_PACKET:
		return check_interface(out, text, error);
	case WIRE_AF_XDP:
		result = check_interface(out, text, error);
		return result ? result : check_af_xdp(text, config->link.device, error);
	case WIRE_TAP:
		return check_tap(text, config->link.device, error);
	default:
		return 0;
	}
}

/* One slot of a packet socket's ring: the frame behind the kernel's own header. */
static unsigned packet_slot(const struct link *link)
{
	const unsigned slot = RTE_ALIGN(link->mtu + FRAME_LINK_MAX + PACKET_HEADER_MAX, 1024);
	return RTE_MAX(slot, (unsigned)BUFFER_MIN);
}

uint16_t link_buffer_size(const struct link *link)
{
	const unsigned frame = RTE_ALIGN(link->mtu + FRAME_LINK_MAX, RTE_CACHE_LINE_SIZE);
	if (link->wish.kind == WIRE_AF_PACKET)
		return (uint16_t)packet_slot(link);
	if (link->wish.kind == WIRE_AF_XDP || link->wish.kind == WIRE_PCI)
		return (uint16_t)RTE_MAX(frame, (unsigned)BUFFER_MIN);
	return (uint16_t)frame; /* two of them fit one small page */
}

void link_need(const struct link *link, struct pool_need *need)
{
	static const unsigned held[] = {[WIRE_MEMORY] = 0,
		[WIRE_TAP] = DESCRIPTORS,
		[WIRE_AF_PACKET] = 0,
		[WIRE_AF_XDP] = 4 * XDP_DESCRIPTORS,
		[WIRE_PCI] = 2 * DESCRIPTORS};
	need->held = held[link->wish.kind];
	need->rings = link->wish.kind == WIRE_MEMORY ? LINK_ENDS : 0;
	need->ring = RING_SIZE;
}

struct rte_ring *link_ring(const char *name, unsigned size, int socket)
{
	struct rte_ring *ring = rte_ring_create(name, size, socket, RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (ring || socket == SOCKET_ID_ANY)
		return ring;
	return rte_ring_create(name, size, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

/* Device name and arguments of the drivers that work on a kernel interface; returns queue count. */
static uint16_t describe_device(struct link *link, char *arguments, size_t size)
{
	const char *device = link->wish.device;
	const long pid = (long)getpid();
	unsigned queues = link->workers;
	if (link->wish.kind == WIRE_AF_PACKET) {
		const unsigned slot = packet_slot(link);
		snprintf(link->name, sizeof(link->name), "net_af_packet%ld", pid);
		/* The driver takes slots to lie back to back: blocks have to hold them without rest. */
		snprintf(arguments, size, "iface=%s,qpairs=%u,framesz=%u,blocksz=%u,framecnt=%u",
			device, queues, slot, SLOTS_PER_BLOCK * slot,
			PACKET_RING_BYTES / (SLOTS_PER_BLOCK * slot) * SLOTS_PER_BLOCK);
	} else if (link->wish.kind == WIRE_AF_XDP) {
		const struct ethtool_channels channels = interface_channels(device);
		queues = RTE_MIN(queues, xdp_queues(&channels));
		snprintf(link->name, sizeof(link->name), "net_af_xdp%ld", pid);
		/* A device's DMA wants buffers that lie in one piece; on small pages they do not. */
		snprintf(arguments, size, "iface=%s,start_queue=0,queue_count=%u,force_copy=%d",
			device, queues, !link->huge_pages);
	} else {
		snprintf(link->name, sizeof(link->name), "net_tap%ld", pid);
		snprintf(arguments, size, "iface=%s", device);
	}
	return (uint16_t)queues;
}

/* libbpf and libxdp, which the af_xdp driver has loaded, talk to standard error unasked. */
static void quiet_xdp(void)
{
	static const struct {
		const char *library, *function;
	} talkers[] = {{"libbpf.so.1", "libbpf_set_print"}, {"libxdp.so.1", "libxdp_set_print"}};
	for (size_t i = 0; i < RTE_DIM(talkers); i++) {
		void *library = dlopen(talkers[i].library, RTLD_LAZY | RTLD_NOLOAD);
		if (!library)
			continue;
		void *(*set_print)(void *) = (void *(*)(void *))dlsym(library, talkers[i].function);
		if (set_print)
			set_print(NULL);
		dlclose(library);
	}
}

/* Make a virtual device; where its socket group's number is taken, or may be, try others. */
static int probe_device(const char *name, const char *arguments)
{
	int result = -1;
	for (int shift = 0; shift < GROUP_TRIES; shift++) {
		eal_forget_complaint();
		packet_group_shift(shift * GROUP_STEP);
		result = rte_eal_hotplug_add("vdev", name, arguments);
		packet_group_shift(0);
		if (!result || (*eal_complaint() && !strstr(eal_complaint(), "PACKET_FANOUT")))
			break;
	}
	return result;
}

static int make_device(struct link *link, struct wire_error *error)
{
	char arguments[256], text[WIRE_DEVICE_MAX + 16];
	struct link_port *port = &link->port[LINK_NEAR];
	wire_link_format(&link->wish, text);
	port->queues = describe_device(link, arguments, sizeof(arguments));
	if (!link->verbose)
		quiet_xdp();
	port->partial_allowed = link->wish.kind != WIRE_TAP;
	packet_group_program(link->wish.kind == WIRE_AF_PACKET ? link->program : NULL);
	const int result = probe_device(link->name, arguments);
	port->programmed = packet_group_programmed();
	packet_group_program(NULL);
	if (result || rte_eth_dev_get_port_by_name(link->name, &port->id))
		return failure(error, result ? result : -ENODEV,
			"link %s: DPDK cannot open it: %s. Check that its driver package and "
			"kernel "
			"support are there, or use af_packet or memory",
			text, eal_complaint());
	port->open = true;
	return 0;
}

static int find_card(struct link *link, struct wire_error *error)
{
	struct link_port *port = &link->port[LINK_NEAR];
	struct rte_eth_dev_info info;
	const char *address = link->wish.device;
	if (rte_eth_dev_get_port_by_name(address, &port->id) &&
		(rte_dev_probe(address) || rte_eth_dev_get_port_by_name(address, &port->id)))
		return failure(error, -ENODEV,
			"link pci:%s: DPDK has no port there: %s. Bind the card to a user-space "
			"driver: "
			"dpdk-devbind.py -b vfio-pci %s",
			address, eal_complaint(), address);
	port->open = true;
	if (rte_eth_dev_info_get(port->id, &info))
		return failure(
			error, -EIO, "link pci:%s: the card does not tell its abilities", address);
	port->queues = RTE_MIN(
		(uint16_t)link->workers, RTE_MIN(info.max_rx_queues, info.max_tx_queues));
	return 0;
}

static int make_rings(struct link *link, struct wire_error *error)
{
	static const char *const end_name[LINK_ENDS] = {"near", "far"};
	link->ends = LINK_ENDS;
	for (unsigned end = 0; end < LINK_ENDS; end++)
		for (unsigned w = 0; w < link->workers; w++) {
			char name[32];
			snprintf(name, sizeof(name), "link-%s-%u", end_name[end], w);
			link->ring[end][w] = link_ring(name, RING_SIZE, link->socket[w]);
			if (!link->ring[end][w])
				return failure(
					error, -ENOMEM, "link memory: no memory for its rings");
		}
	for (unsigned end = 0; end < LINK_ENDS; end++) {
		struct link_port *port = &link->port[end];
		const int id = rte_eth_from_rings(end_name[end], link->ring[end], link->workers,
			link->ring[!end], link->workers, 0);
		if (id < 0)
			return failure(error, -EIO,
				"link memory: DPDK makes no port of the rings: %s",
				eal_complaint());
		port->id = (uint16_t)id;
		port->open = true;
		port->queues = (uint16_t)link->workers;
	}
	return 0;
}

/* Offloads and RSS are asked of cards only: elsewhere the same CPU would do the work. */
static void wish_of_card(struct link_port *port, const struct rte_eth_dev_info *info,
	struct rte_eth_conf *conf, uint16_t mtu)
{
	conf->rxmode.mtu = mtu;
	conf->rxmode.offloads = info->rx_offload_capa &
				(RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM);
	conf->txmode.offloads = info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
	port->sends_checksum = conf->txmode.offloads != 0;
	if (port->queues < 2)
		return;
	conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	conf->rx_adv_conf.rss_conf.rss_hf = info->flow_type_rss_offloads &
					    (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP);
}

static int set_up_queues(
	const struct link *link, struct link_port *port, struct rte_mempool *const *pool)
{
	uint16_t receive = DESCRIPTORS, send = DESCRIPTORS;
	int result = rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &receive, &send);
	for (uint16_t q = 0; q < port->queues && !result; q++) {
		const unsigned socket = (unsigned)link->socket[q];
		result = rte_eth_rx_queue_setup(port->id, q, receive, socket, NULL, pool[q]);
		if (!result)
			result = rte_eth_tx_queue_setup(port->id, q, send, socket, NULL);
	}
	return result;
}

static int configure_port(
	struct link *link, struct link_port *port, struct rte_mempool *const *pool)
{
	struct rte_eth_conf conf = {0};
	struct rte_eth_dev_info info;
	struct rte_ether_addr mac;
	int result = rte_eth_dev_info_get(port->id, &info);
	if (result)
		return result;
	if (link->wish.kind == WIRE_PCI)
		wish_of_card(port, &info, &conf, link->mtu);
	conf.intr_conf.rxq = link->wish.kind == WIRE_TAP;
	result = rte_eth_dev_configure(port->id, port->queues, port->queues, &conf);
	if (!result)
		result = set_up_queues(link, port, pool);
	if (!result && link->wish.kind == WIRE_TAP && link->mtu != MTU_DEFAULT)
		result = rte_eth_dev_set_mtu(port->id, link->mtu);
	if (!result)
		result = rte_eth_macaddr_get(port->id, &mac);
	if (!result)
		memcpy(port->mac, mac.addr_bytes, FRAME_MAC);
	return result;
}

/* Rings have no address, and the kernel's end of a tap has taken the port's: speak with another. */
static void settle_macs(struct link *link)
{
	for (unsigned end = 0; end < link->ends; end++)
		if (link->wish.kind == WIRE_MEMORY)
			memcpy(link->port[end].mac,
				(uint8_t[FRAME_MAC]){2, 0, 0, 0, 0, (uint8_t)(end + 1)}, FRAME_MAC);
		else if (link->wish.kind == WIRE_TAP)
			link->port[end].mac[FRAME_MAC - 1] ^= 1;
}

/* DPDK's own words where it said something, else those of the error code. */
static const char *complaint_or(int result)
{
	return *eal_complaint() ? eal_complaint() : strerror(-result);
}

int link_open(struct link *link, struct rte_mempool *const *pool, struct wire_error *error)
{
	char text[WIRE_DEVICE_MAX + 16];
	int result;
	wire_link_format(&link->wish, text);
	eal_forget_complaint();
	link->ends = 1;
	if (link->wish.kind == WIRE_MEMORY)
		result = make_rings(link, error);
	else if (link->wish.kind == WIRE_PCI)
		result = find_card(link, error);
	else
		result = make_device(link, error);
	if (result)
		return result;
	for (unsigned end = 0; end < link->ends; end++) {
		result = configure_port(link, &link->port[end], pool);
		if (result)
			return failure(error, result,
				"link %s: the port refuses its configuration: %s. Try fewer "
				"workers or mtu 1500",
				text, complaint_or(result));
	}
	settle_macs(link);
	return 0;
}

int link_start(struct link *link, struct wire_error *error)
{
	char text[WIRE_DEVICE_MAX + 16];
	wire_link_format(&link->wish, text);
	for (unsigned end = 0; end < link->ends; end++) {
		const uint16_t id = link->port[end].id;
		const int result = rte_eth_dev_start(id);
		if (result)
			return failure(error, result,
				"link %s: the port does not start: %s. Check its driver and the "
				"kernel's log",
				text, complaint_or(result));
		/* Neighbour solicitations come to multicast addresses. A device that can neither
		 * widen its filter nor open it has none. */
		if (rte_eth_allmulticast_enable(id))
			rte_eth_promiscuous_enable(id);
	}
	link_find_waits(link);
	return 0;
}

void link_close(struct link *link)
{
	for (unsigned end = 0; end < LINK_ENDS; end++) {
		struct link_port *port = &link->port[end];
		if (!port->open)
			continue;
		rte_eth_promiscuous_disable(port->id);
		rte_eth_dev_stop(port->id);
		rte_eth_dev_close(port->id);
		port->open = false;
	}
	for (unsigned end = 0; end < LINK_ENDS; end++)
		for (unsigned w = 0; w < WIRE_WORKERS_MAX; w++) {
			void *frame;
			while (link->ring[end][w] && !rte_ring_dequeue(link->ring[end][w], &frame))
				rte_pktmbuf_free(frame);
			rte_ring_free(link->ring[end][w]);
			link->ring[end][w] = NULL;
		}
}
