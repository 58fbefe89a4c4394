/* SPDX-License-Identifier: BSD-3-Clause */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "options_internal.h"
#include "units.h"
#include "wire.h"

#define ON_FLEET (ON(COMMAND_RUN) | ON(COMMAND_CHECK) | ON(COMMAND_DRILL))
#define ON_TIMED (ON(COMMAND_RUN) | ON(COMMAND_DEMO) | ON(COMMAND_REGISTRAR))
#define ON_LIVE (ON_TIMED | ON(COMMAND_DRILL))
#define ON_HERD (ON(COMMAND_RUN) | ON(COMMAND_DEMO) | ON(COMMAND_DRILL))
#define ON_HTTP ON_HERD
#define ON_REPORT (ON(COMMAND_RUN) | ON(COMMAND_DRILL))
#define ON_STORE (ON_FLEET | ON(COMMAND_FLEET) | ON(COMMAND_EXPORT))
#define ON_BENCH ON(COMMAND_BENCH)
#define ON_CLIENT (ON(COMMAND_CTL) | ON(COMMAND_TOP))
#define ON_OUTPUT (ON(COMMAND_IMPORT) | ON(COMMAND_EXPORT) | ON(COMMAND_REPORT) | ON(COMMAND_CTL))
#define ON_ALL (ON(COMMANDS) - 1)
#define COMMANDS_ARE                                                                              \
	"Commands are run, check, drill, bench, demo, registrar, import, fleet, export, report, " \
	"probe, ctl, top and help."

#define FOR_MOST_MS (365ull * 86400000)
#define SETTLE_MOST_MS 86400000
#define SEED_MOST ((1ull << 53) - 1) /* what every JSON reader takes exactly */

#define FIELD(name) offsetof(struct options, name)

const struct option_row options_rows[] = {
	{"for", "TIME", ON_TIMED | ON(COMMAND_FLEET) | ON_CLIENT, VALUE_MS, FIELD(for_ms),
		"stop by itself after this time, such as 30s or 10m", 1, FOR_MOST_MS},
	{"keep", NULL, ON(COMMAND_DEMO), VALUE_FLAG, FIELD(keep),
		"tell the story over and over until --for is over or Ctrl-C, as in a terminal"},
	{"summary", "FILE.json", ON_LIVE | ON_BENCH, VALUE_TEXT, FIELD(summary),
		"write the summary as JSON (schema sipherd.run/1, bench: sipherd.bench/1); - is "
		"standard output"},
	{"seed", "N", ON_LIVE, VALUE_COUNT, FIELD(seed),
		"of every random choice; printed in the summary so that a run can be repeated", 0,
		SEED_MOST},
	{"set", "KEY=VALUE", ON_STORE | ON_BENCH | ON(COMMAND_DEMO) | ON(COMMAND_IMPORT),
		VALUE_LIST, FIELD(set),
		"a key of the fleet file, such as keepalive.period=2s; wins over the file"},
	{"workers", "N", ON_HERD | ON_BENCH, VALUE_COUNT, FIELD(workers),
		"threads that drive the phones, 1-16", 1, WIRE_WORKERS_MAX},
	{"pcap", "FILE", ON_LIVE, VALUE_TEXT, FIELD(pcap),
		"write all frames as pcapng, credentials masked"},
	{"pcap-phone", "N", ON_LIVE, VALUE_COUNT, FIELD(pcap_phone), "capture this phone only", 0,
		UINT32_MAX - 1},
	{"pcap-credentials", NULL, ON_LIVE, VALUE_FLAG, FIELD(pcap_credentials),
		"keep credentials readable in the capture"},
	{"fault", "ENTRY", ON_LIVE | ON_BENCH, VALUE_LIST, FIELD(fault),
		"a fault of the built-in registrars: PROXY:FAULT[=VALUE]@START[-END], where PROXY "
		"is "
		"primary, redundant or both and FAULT is crash, drain[=RETRY_AFTER], delay=50ms, "
		"loss=1%, reject=403, options-silent, register-silent or forget"},
	{"reboot", "ENTRY", ON_HERD, VALUE_LIST, FIELD(reboot),
		"restart phones inside the run: planned:0-999@20s or power-cut:all@20s+10s (spread "
		"over 10 s)"},
	{"dns", "SERVERS", ON_REPORT | ON_BENCH | ON(COMMAND_PROBE), VALUE_TEXT, FIELD(dns),
		"name servers for proxies that are host names, ADDRESS[:PORT] separated by "
		"commas; those of /etc/resolv.conf without it"},
	{"plan", NULL, ON(COMMAND_DRILL), VALUE_FLAG, FIELD(plan),
		"print what would be done and what would be sent at which peak rate; send nothing"},
	{"settle", "TIME", ON(COMMAND_DRILL) | ON_BENCH, VALUE_MS, FIELD(settle_ms),
		"how long all phones must have been registered before the drill begins (5s)", 0,
		SETTLE_MOST_MS},
	{"gate", "GOAL", ON_REPORT, VALUE_LIST, FIELD(gate),
		"a goal beside the fleet file's gates, such as outage_p99<=95s; exit code 1 when "
		"it is missed"},
	{"baseline", NULL, ON(COMMAND_DRILL), VALUE_FLAG, FIELD(baseline),
		"first the same drill against the built-in registrars, in a process of its own "
		"over the memory link: what this host can do when no proxy is the limit"},
	{"no-hooks", NULL, ON(COMMAND_DRILL), VALUE_FLAG, FIELD(no_hooks),
		"make outages on our side of the link where the drill names a hook"},
	{"goal", "GOAL", ON_BENCH, VALUE_LIST, FIELD(goal),
		"what a value must meet, such as outage_p99<=95s; without it the fleet file's "
		"gates (failover), or goals that are told at the start"},
	{"vary", "WHAT", ON_BENCH, VALUE_TEXT, FIELD(vary),
		"what is searched: the most phones, the shortest keep-alive period or, failover "
		"only, "
		"the shortest switch-delay; register always searches rates"},
	{"from", "VALUE", ON_BENCH, VALUE_TEXT, FIELD(from),
		"the value that is tried first: 10k, 5s, 2000/s; the fleet file's without it"},
	{"to", "VALUE", ON_BENCH, VALUE_TEXT, FIELD(to), "the hardest value that is tried"},
	{"repeats", "N", ON_BENCH, VALUE_COUNT, FIELD(repeats),
		"runs of each value, an odd number; the majority decides (3)", 3, 99},
	{"precision", "SHARE", ON_BENCH, VALUE_TEXT, FIELD(precision),
		"how far apart the last value that met the goals and the first that missed them "
		"may be "
		"at the end (5%)"},
	{"hold", "TIME", ON_BENCH, VALUE_MS, FIELD(hold_ms),
		"how long a rate is held: 10s, of refreshes 30s, which ask for bindings of twice "
		"that",
		100, 43200000},
	{"report", "FILE.html", ON_REPORT | ON_BENCH, VALUE_TEXT, FIELD(report),
		"write the report, one HTML file that needs no other; bench failover: of the last "
		"run with the hardest value that met the goals"},
	{"phones-csv", "FILE", ON(COMMAND_DRILL), VALUE_TEXT, FIELD(phones_csv),
		"write what each wave did to each phone: phone, user, wave, detect_ms, "
		"register_ms, back_ms, end"},
	{"timeline-csv", "FILE", ON_REPORT, VALUE_TEXT, FIELD(timeline_csv),
		"write what each proxy was asked and answered, in steps of 100 ms"},
	{"store", "URL", ON_STORE, VALUE_TEXT, FIELD(store),
		"the store instead of the fleet file's; a URL with a password only in "
		"SIPHERD_STORE, "
		"which ps does not show"},
	{"state", "DIR", ON_STORE | ON_BENCH | ON(COMMAND_DEMO) | ON_CLIENT, VALUE_TEXT,
		FIELD(state),
		"folder of the image file, the embedded store and the tokens instead of the fleet "
		"file's; the demo uses a new one without it. bench: the file that keeps the "
		"search, from which the same command goes on after an interruption"},
	{"http", "ADDRESS:PORT", ON_HTTP, VALUE_TEXT, FIELD(http),
		"where the HTTP API listens, none to go without; 127.0.0.1:8470 without it. "
		"Other hosts can only be let in with TLS and a token"},
	{"http-auth", NULL, ON_HTTP, VALUE_FLAG, FIELD(http_auth),
		"ask for a token on loopback too; the file with the tokens is named at start"},
	{"http-host", "NAME", ON_HTTP, VALUE_LIST, FIELD(http_host),
		"another name by which the HTTP API may be asked, beside localhost and its "
		"address"},
	{"http-tls-cert", "FILE", ON_HTTP, VALUE_TEXT, FIELD(http_tls_cert),
		"certificate chain of the HTTP API, PEM"},
	{"http-tls-key", "FILE", ON_HTTP, VALUE_TEXT, FIELD(http_tls_key), "its private key, PEM"},
	{"fleet", "NAME", ON(COMMAND_FLEET), VALUE_TEXT, FIELD(fleet),
		"name of the fleet, beside --store instead of a fleet file"},
	{"phone", "N", ON(COMMAND_FLEET), VALUE_COUNT, FIELD(phone), "show this phone only", 0,
		9999999},
	{"feed", NULL, ON(COMMAND_FLEET), VALUE_FLAG, FIELD(feed),
		"follow the phones' transitions until --for is over or Ctrl-C"},
	{"sizing", NULL, ON(COMMAND_CHECK), VALUE_FLAG, FIELD(sizing),
		"tell what the fleet takes instead: packets and bits per second when nothing "
		"happens, at the start and while the primary dies and returns, workers, memory, "
		"Redis, share of a NIC, and how many machines"},
	{"ns-per-transaction", "N", ON(COMMAND_CHECK), VALUE_COUNT, FIELD(ns_per_transaction),
		"with --sizing: nanoseconds of a worker per answered keep-alive, of the machine "
		"that is to do it; all other work is scaled likewise",
		1, 1000000},
	{"cores", "N", ON(COMMAND_CHECK), VALUE_COUNT, FIELD(cores),
		"with --sizing: cores for workers on one machine (16)", 1, WIRE_WORKERS_MAX},
	{"nic", "GBIT", ON(COMMAND_CHECK), VALUE_COUNT, FIELD(nic),
		"with --sizing: the NIC of one machine, in Gbit/s (10)", 1, 1000},
	{"json", NULL, ON(COMMAND_FLEET) | ON(COMMAND_PROBE) | ON(COMMAND_CTL) | ON(COMMAND_CHECK),
		VALUE_FLAG, FIELD(json),
		"as JSON (schemas sipherd.fleet/1, sipherd.probe/1, sipherd.sizing/1 with "
		"--sizing, "
		"the HTTP API's own); the feed "
		"and events as one object per line"},
	{"csv", NULL, ON(COMMAND_EXPORT) | ON(COMMAND_REPORT), VALUE_FLAG, FIELD(csv),
		"comma-separated with a header. export: index, user, address, port, registered, "
		"last_tried, "
		"phase, since (UTC), proxy (where it is registered, else tried last). report: the "
		"time "
		"line of the drills, one row per 100 ms and proxy"},
	{"sipp", NULL, ON(COMMAND_EXPORT), VALUE_FLAG, FIELD(sipp),
		"SIPp's injection format: SEQUENTIAL, then user;auth name;password;domain;proxy's "
		"host;its port;phone's address;its port"},
	{"secrets", NULL, ON(COMMAND_EXPORT), VALUE_FLAG, FIELD(secrets),
		"with --sipp: write the passwords; without it that field is empty"},
	{"output", "FILE", ON_OUTPUT, VALUE_TEXT, FIELD(output),
		"write to this file, readable by its owner only, instead of to standard output"},
	{"link", "LINK", ON(COMMAND_REGISTRAR), VALUE_TEXT, FIELD(link),
		"tap:NAME, af_packet:IF, af_xdp:IF or pci:ADDRESS"},
	{"primary", "ADDRESS:PORT", ON(COMMAND_REGISTRAR), VALUE_TEXT, FIELD(primary),
		"where the first registrar listens"},
	{"redundant", "ADDRESS:PORT", ON(COMMAND_REGISTRAR), VALUE_TEXT, FIELD(redundant),
		"where the second one listens; none without it"},
	{"vlan", "ID", ON(COMMAND_REGISTRAR), VALUE_COUNT, FIELD(vlan), "VLAN tag of the link", 1,
		4094},
	{"realm", "TEXT", ON(COMMAND_REGISTRAR), VALUE_TEXT, FIELD(realm),
		"ask for digest credentials in this realm"},
	{"digest", "ALGORITHM", ON(COMMAND_REGISTRAR), VALUE_TEXT, FIELD(digest),
		"md5 (default), sha-256 or both"},
	{"user", "PATTERN", ON(COMMAND_REGISTRAR), VALUE_TEXT, FIELD(user),
		"who may register, such as 2{n:06}"},
	{"password", "PATTERN", ON(COMMAND_REGISTRAR), VALUE_TEXT, FIELD(password),
		"their passwords, such as pw-{user}; better in SIPHERD_PASSWORD, which ps does not "
		"show"},
	{"users", "FILE.csv", ON(COMMAND_REGISTRAR), VALUE_TEXT, FIELD(users),
		"users and passwords from a file in SIPp's format"},
	{"min-expires", "TIME", ON(COMMAND_REGISTRAR), VALUE_SECONDS, FIELD(min_expires_s),
		"shorter registrations are answered 423", 0, 86400},
	{"max-expires", "TIME", ON(COMMAND_REGISTRAR), VALUE_SECONDS, FIELD(max_expires_s),
		"longest registration granted", 1, 86400},
	{"capacity", "N", ON(COMMAND_REGISTRAR), VALUE_COUNT, FIELD(capacity),
		"bindings there is room for, per registrar (100k)", 1, 10000000},
	{"count", "N", ON(COMMAND_PROBE), VALUE_COUNT, FIELD(count),
		"requests to each proxy, one after the other (1)", 1, 1000},
	{"interval", "TIME", ON(COMMAND_PROBE), VALUE_MS, FIELD(interval_ms),
		"from one request to the next (1s)", 1, 3600000},
	{"timeout", "TIME", ON(COMMAND_PROBE), VALUE_MS, FIELD(timeout_ms),
		"without a final answer for so long, a request is lost (5s); until then it is sent "
		"again after 0.5, 1, 2 and then every 4 s, as RFC 3261 says",
		1, 600000},
	{"warning", "TIME", ON(COMMAND_PROBE), VALUE_MS, FIELD(warning_ms),
		"a mean round trip of more than this is a WARNING", 1, 600000},
	{"critical", "TIME", ON(COMMAND_PROBE), VALUE_MS, FIELD(critical_ms),
		"a mean round trip of more than this is CRITICAL", 1, 600000},
	{
		"expect",
		"CODES",
		ON(COMMAND_PROBE),
		VALUE_TEXT,
		FIELD(expect),
		"final answers that are good, such as 200 or 2xx,404,480-489; without it all but "
		"5xx",
	},
	{"prometheus", NULL, ON(COMMAND_PROBE), VALUE_FLAG, FIELD(prometheus),
		"as Prometheus text, for node_exporter's textfile collector"},
	{"url", "URL", ON_CLIENT, VALUE_TEXT, FIELD(url),
		"of a running sipherd's HTTP API; http://127.0.0.1:8470 without it"},
	{"token-file", "FILE", ON_CLIENT, VALUE_TEXT, FIELD(token_file),
		"file with the token to show: the one that a run names at its start, or one with "
		"nothing but the token. Without it SIPHERD_TOKEN, or the file of the run at --url "
		"when that is this user's on this host"},
	{"cacert", "FILE", ON_CLIENT, VALUE_TEXT, FIELD(cacert),
		"certificates that the server's must be signed by, PEM; the system's without it"},
	{"yes", NULL, ON(COMMAND_CTL), VALUE_FLAG, FIELD(yes),
		"begin a drill without asking for the fleet's name"},
	{"once", NULL, ON(COMMAND_TOP), VALUE_FLAG, FIELD(once),
		"print one screen without control sequences, as large as COLUMNS and LINES say"},
	{"screen", "N", ON(COMMAND_TOP), VALUE_COUNT, FIELD(screen),
		"which one comes first: 1 overview, 2 proxies, 3 generator and store, 4 phones, 5 "
		"histograms",
		1, 5},
	{"verbose", NULL, ON_LIVE, VALUE_FLAG, FIELD(verbose), "show what DPDK says"},
	{"help", NULL, ON_ALL, VALUE_FLAG, FIELD(help), "this text"},
	{"version", NULL, ON_ALL, VALUE_FLAG, FIELD(version), "name and version"},
	{"man", NULL, ON(COMMAND_HELP), VALUE_FLAG, FIELD(man), "the manual page as roff"},
};
#define ROWS (sizeof(options_rows) / sizeof(options_rows[0]))
const size_t options_rows_count = ROWS;

const struct command_row options_commands[COMMANDS] = {
	[COMMAND_RUN] = {"run", "FLEET.yaml", "run the fleet until --for is over or Ctrl-C", 1, 1},
	[COMMAND_CHECK] = {"check", "FLEET.yaml", "check a fleet file and tell what it would do", 1,
		1},
	[COMMAND_DRILL] = {"drill", "FLEET.yaml WHAT [FIELD=VALUE...]",
		"run the fleet, make an outage once all phones are registered, measure every "
		"phone's way through it, and end. WHAT is a plan of the file's drills or one of "
		"crash, return, both, drain, flap, brown-out, blind-spot, power-cut, half-dead, "
		"rolling; primary or redundant alone is proxy=. Ctrl-C restores everything",
		2, OPTIONS_LIST_MAX, "a fleet file or what to do"},
	[COMMAND_BENCH] = {"bench", "KIND FLEET.yaml [DRILL...]",
		"search how much a proxy pair carries. KIND failover: the most phones whose drill, "
		"crash "
		"primary or the one that is named as for drill, still meets the goals; register: "
		"the "
		"highest rates of registrations and of refreshes (RFC 7502); keepalive: the "
		"highest "
		"rate of OPTIONS. Each value is run several times",
		2, OPTIONS_LIST_MAX, "failover, register or keepalive, or a fleet file,"},
	[COMMAND_DEMO] = {"demo", "",
		"1,000 phones and two built-in registrars in this process; the primary crashes and "
		"returns. In a terminal over and over, until Ctrl-C",
		0, 0},
	[COMMAND_REGISTRAR] = {"registrar", "", "the built-in proxy pair alone, as a target", 0, 0},
	[COMMAND_IMPORT] = {"import", "PHONE.cfg...",
		"write a fleet file from configuration files of phones", 1, OPTIONS_LIST_MAX},
	[COMMAND_FLEET] = {"fleet", "[FLEET.yaml]",
		"look into the store: generators, shards, totals, one phone, the feed; no "
		"generator "
		"needs to run",
		0, 1},
	[COMMAND_EXPORT] = {"export", "FLEET.yaml",
		"write the phones and the proxy each is at, as the store has it", 1, 1},
	[COMMAND_REPORT] = {"report", "RUN.json [B.json]",
		"make a page (HTML) of a run's summary, or one that compares two runs", 1, 2,
		"a summary"},
	[COMMAND_PROBE] = {"probe", "HOST[:PORT]...",
		"check proxies with OPTIONS over an ordinary socket, for Nagios: exit 0 OK, 1 "
		"WARNING, 2 CRITICAL, 3 UNKNOWN",
		1, OPTIONS_LIST_MAX, "a host"},
	[COMMAND_CTL] = {"ctl", "COMMAND",
		"read and steer a running sipherd through its HTTP API. Commands: fleet, proxies, "
		"generator, store, load, ready, phones [state=STATE] [proxy=PROXY] [limit=N] "
		"[cursor=N], phone N, trace N, pcap N -o FILE, reregister N, unregister N, reboot "
		"N, power-cut N, pause, resume, set [phones=N] [ramp=N/s], events, drills, plan "
		"DRILL [FIELD=VALUE...] (what it would do), drill DRILL [FIELD=VALUE...] "
		"[confirm=FLEET], abort [N], result N, report N -o FILE.html, get PATH",
		1, OPTIONS_LIST_MAX, "a command"},
	[COMMAND_TOP] = {"top", "",
		"watch a running sipherd in the terminal, through its HTTP API; ? shows the keys",
		0, 0},
	[COMMAND_HELP] = {"help", "[COMMAND]", "help on a command", 0, 1},
};

static int command_find(const char *name)
{
	for (int i = 0; i < COMMANDS; i++)
		if (strcmp(options_commands[i].name, name) == 0)
			return i;
	return -1;
}

const char *options_command_name(enum command command)
{
	return options_commands[command].name;
}

enum command options_help_topic(const struct options *options)
{
	if (options->command != COMMAND_HELP || options->arguments.count == 0)
		return options->command;
	return (enum command)command_find(options->arguments.item[0]);
}

static int usage(const char *what, const char *text, const char *remedy)
{
	fprintf(stderr, "sipherd: %s%s%s%s. %s\n", what, text ? " '" : "", text ? text : "",
		text ? "'" : "", remedy);
	return -EINVAL;
}

static int list_add(struct option_list *list, const char *item)
{
	if (list->count == OPTIONS_LIST_MAX)
		return usage("too many values, at", item, "At most 256 are possible.");
	list->item[list->count++] = item;
	return 0;
}

static int bad_value(const char *name, const char *value, const char *reason)
{
	fprintf(stderr, "sipherd: %s '%s': %s. See sipherd help.\n", name, value, reason);
	return -EINVAL;
}

static int number_set(
	const struct option_row *row, uint64_t *field, const char *name, const char *value)
{
	char reason[UNITS_REASON_MAX];
	const char *unit = row->kind == VALUE_MS ? "ms" : row->kind == VALUE_SECONDS ? "s" : "";
	uint64_t number;
	int status = row->kind == VALUE_COUNT
			     ? units_count(value, &number, reason)
			     : units_duration(value, row->kind == VALUE_MS ? 1 : 1000, 1000,
				       &number, reason);
	if (status != 0)
		return bad_value(name, value, reason);
	if (number < row->low || number > row->high) {
		snprintf(reason, sizeof(reason), "is not between %" PRIu64 "%s and %" PRIu64 "%s",
			row->low, unit, row->high, unit);
		return bad_value(name, value, reason);
	}
	*field = number;
	return 0;
}

static int value_set(
	struct options *options, const struct option_row *row, const char *name, const char *value)
{
	void *field = (char *)options + row->field;
	switch (row->kind) {
	case VALUE_FLAG:
		*(bool *)field = true;
		return 0;
	case VALUE_TEXT:
		if (value[0] == '\0')
			return bad_value(name, value, "is empty");
		*(const char **)field = value;
		return 0;
	case VALUE_LIST:
		return list_add(field, value);
	default:
		return number_set(row, field, name, value);
	}
}

void options_environment_name(const struct option_row *row, char out[OPTIONS_NAME_MAX])
{
	snprintf(out, OPTIONS_NAME_MAX, "SIPHERD_%s", row->name);
	for (char *c = out; *c != '\0'; c++)
		*c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
}

/* Lists are separated by semicolons there: a value may hold blanks. */
static int environment_list(
	struct options *options, const struct option_row *row, const char *name, const char *value)
{
	char *copy = strdup(value),
	     **copies = realloc(options->copies, (options->copies_count + 1) * sizeof(*copies));
	if (copies != NULL)
		options->copies = copies;
	if (copy == NULL || copies == NULL) {
		free(copy);
		return usage("out of memory", NULL, "Use fewer options.");
	}
	copies[options->copies_count++] = copy;
	char *rest = NULL;
	for (char *item = strtok_r(copy, ";", &rest); item; item = strtok_r(NULL, ";", &rest))
		if (value_set(options, row, name, item) != 0)
			return -EINVAL;
	return 0;
}

bool options_in_environment(const struct option_row *row)
{
	return row->field != FIELD(help) && row->field != FIELD(version) &&
	       row->field != FIELD(man) && row->field != FIELD(yes);
}

static int environment_set(struct options *options, const struct option_row *row)
{
	char name[OPTIONS_NAME_MAX];
	options_environment_name(row, name);
	/* That is a folder, of runs. */
	if (options->command == COMMAND_BENCH && row->field == FIELD(state))
		return 0;
	const char *value = options_in_environment(row) ? getenv(name) : NULL;
	if (value == NULL || value[0] == '\0')
		return 0;
	if (row->kind == VALUE_FLAG && strcmp(value, "0") == 0)
		return 0;
	if (row->kind == VALUE_LIST)
		return environment_list(options, row, name, value);
	return value_set(options, row, name, value);
}

/* What stands before "--" is DPDK's, when the first word after it is a command of ours. */
static void split_eal(struct options *options, int *argc, char ***argv)
{
	for (int i = 1; i + 1 < *argc; i++) {
		if (strcmp((*argv)[i], "--") != 0)
			continue;
		if (command_find((*argv)[1]) >= 0 || command_find((*argv)[i + 1]) < 0)
			return;
		options->eal_argc = i - 1;
		options->eal_argv = *argv + 1;
		*argc -= i;
		*argv += i;
		return;
	}
}

static int parse_row(struct options *options, const struct option_row *row, const char *value)
{
	if (!(row->commands & ON(options->command))) {
		fprintf(stderr, "sipherd: %s has no option --%s. See sipherd help %s.\n",
			options_commands[options->command].name, row->name,
			options_commands[options->command].name);
		return -EINVAL;
	}
	char name[OPTIONS_NAME_MAX];
	snprintf(name, sizeof(name), "--%s", row->name);
	return value_set(options, row, name, value);
}

static int parse_command_line(struct options *options, int argc, char **argv)
{
	struct option known[ROWS + 1] = {0};
	for (size_t i = 0; i < ROWS; i++)
		known[i] = (struct option){options_rows[i].name,
			options_rows[i].argument ? required_argument : no_argument, NULL,
			1000 + (int)i};
	opterr = 0;
	optind = 1;
	for (int found; (found = getopt_long(argc, argv, ":ho:", known, NULL)) != -1;) {
		if (found == ':')
			return usage(
				"a value is missing behind", argv[optind - 1], "See sipherd help.");
		if (found == '?')
			return usage("unknown option", argv[optind - 1], "See sipherd help.");
		if (found == 'h')
			options->help = true;
		else if (found == 'o' && !(ON(options->command) & ON_OUTPUT))
			return usage("unknown option", "-o", "See sipherd help.");
		else if (found == 'o')
			options->output = optarg;
		else if (parse_row(options, &options_rows[found - 1000], optarg) != 0)
			return -EINVAL;
	}
	for (; optind < argc; optind++)
		if (list_add(&options->arguments, argv[optind]) != 0)
			return -EINVAL;
	return 0;
}

/* What only means something beside --sizing; NULL: none of it is given. */
static const char *sizing_option(const struct options *options)
{
	if (options->ns_per_transaction != OPTIONS_NOT_GIVEN)
		return "--ns-per-transaction";
	if (options->cores != OPTIONS_NOT_GIVEN)
		return "--cores";
	if (options->nic != OPTIONS_NOT_GIVEN)
		return "--nic";
	return options->json ? "--json" : NULL;
}

static int check_arguments(const struct options *options)
{
	const struct command_row *command = &options_commands[options->command];
	if (options->help || options->version || options->man)
		return 0;
	if (options->arguments.count < command->least) {
		char what[128];
		snprintf(what, sizeof(what), "%s is missing behind",
			command->missing ? command->missing : "a file");
		return usage(what, command->name, "See sipherd help.");
	}
	if (options->arguments.count > command->most)
		return usage("unexpected argument", options->arguments.item[command->most],
			"See sipherd help.");
	if (options->command == COMMAND_HELP && options->arguments.count == 1 &&
		command_find(options->arguments.item[0]) < 0)
		return usage("unknown command", options->arguments.item[0], COMMANDS_ARE);
	return 0;
}

int options_parse(struct options *options, int argc, char **argv)
{
	*options = (struct options){.command = COMMAND_HELP,
		.for_ms = OPTIONS_NOT_GIVEN,
		.seed = OPTIONS_NOT_GIVEN,
		.workers = OPTIONS_NOT_GIVEN,
		.pcap_phone = OPTIONS_NOT_GIVEN,
		.vlan = OPTIONS_NOT_GIVEN,
		.phone = OPTIONS_NOT_GIVEN,
		.capacity = OPTIONS_NOT_GIVEN,
		.min_expires_s = OPTIONS_NOT_GIVEN,
		.max_expires_s = OPTIONS_NOT_GIVEN,
		.count = 1,
		.interval_ms = 1000,
		.timeout_ms = 5000,
		.screen = 1,
		.settle_ms = 5000,
		.repeats = 3,
		.hold_ms = OPTIONS_NOT_GIVEN,
		.ns_per_transaction = OPTIONS_NOT_GIVEN,
		.cores = OPTIONS_NOT_GIVEN,
		.nic = OPTIONS_NOT_GIVEN,
		.warning_ms = OPTIONS_NOT_GIVEN,
		.critical_ms = OPTIONS_NOT_GIVEN};
	split_eal(options, &argc, &argv);
	if (argc < 2)
		return usage("no command given", NULL, "Try 'sipherd demo' or 'sipherd help'.");
	if (argv[1][0] != '-') {
		int command = command_find(argv[1]);
		if (command < 0)
			return usage("unknown command", argv[1], COMMANDS_ARE);
		options->command = (enum command)command;
		argc--;
		argv++;
	}
	for (size_t i = 0; i < ROWS; i++)
		if ((options_rows[i].commands & ON(options->command)) &&
			environment_set(options, &options_rows[i]) != 0)
			return -EINVAL;
	const char *environment_store = options->store;
	const char *environment_sizing = sizing_option(options);
	if (parse_command_line(options, argc, argv) != 0)
		return -EINVAL;
	options->store_from_environment = options->store == environment_store;
	if (options->command == COMMAND_CHECK && !options->sizing && environment_sizing == NULL &&
		sizing_option(options) != NULL)
		return usage("only --sizing goes with", sizing_option(options),
			"See sipherd help check.");
	return check_arguments(options);
}

void options_free(struct options *options)
{
	for (size_t i = 0; i < options->copies_count; i++)
		free(options->copies[i]);
	free(options->copies);
}
