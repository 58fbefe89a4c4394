/* SPDX-License-Identifier: BSD-3-Clause */
#include "export.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "fleet_table.h"
#include "monitor.h"
#include "output.h"

struct export
{
	const struct options *options;
	struct fleet fleet;
	struct reader *reader;
	uint8_t *records; /* of one shard */
	FILE *out;
	int error; /* errno of writing, 0: none */
};

/* A phone as both formats need it. */
struct row {
	uint32_t index;
	char user[IDENTITY_TEXT_MAX + 1], auth[IDENTITY_TEXT_MAX + 1];
	char password[IDENTITY_TEXT_MAX + 1], address[ADDRESS_TEXT_MAX];
	uint16_t port;
	struct record_view view;
	const struct fleet_proxy *proxy; /* where it is registered, else last tried, else NULL */
};

/* Family of the phone's address: that of the proxy it talks to. */
static int family_of(const struct fleet *fleet, enum proxy proxy)
{
	int family = fleet_proxy_family(fleet, proxy);
	if (family < 0 || !fleet->has_plan[family])
		family = fleet->has_plan[ADDRESS_IPV4] ? ADDRESS_IPV4 : ADDRESS_IPV6;
	return family;
}

static void fill_row(const struct export *export, uint32_t index, struct row *row)
{
	const struct fleet *fleet = fleet_herd_of(&export->fleet, index);
	const struct identity_set *set = fleet->identities;
	struct address address;
	row->index = index;
	row->user[identity_user(set, index, row->user)] = '\0';
	row->auth[identity_auth(set, index, row->auth)] = '\0';
	row->password[export->options->secrets ? identity_password(set, index, row->password) : 0] =
		'\0';
	record_parse(export->records + (size_t)(index % SHARD_PHONES) * RECORD_SIZE, &row->view);
	if (row->view.version != RECORD_VERSION)
		row->view = (struct record_view){0};
	unsigned at = row->view.registered != 0 ? row->view.registered : row->view.last_tried;
	row->proxy = at == 0 || at > PROXIES ? NULL : &fleet->proxy[at - 1];
	int family = family_of(fleet, at == 1 + PROXY_REDUNDANT ? PROXY_REDUNDANT : PROXY_PRIMARY);
	address_plan_at(&fleet->plan[family], index, &address, &row->port);
	address_format(&address, row->address);
}

static int write_csv(const struct row *row, FILE *out)
{
	const struct record_view *v = &row->view;
	char when[MONITOR_TIME_MAX] = "";
	bool seen = v->version != 0;
	fprintf(out, "%u,", row->index);
	output_csv_text(out, row->user);
	fprintf(out, ",%s,%u,%s,%s,%s,%s,", row->address, row->port,
		monitor_proxy(v->registered, "none"), monitor_proxy(v->last_tried, "never"),
		seen ? monitor_phase(v->phase) : "never",
		seen ? monitor_time(v->since_unix_ms, when) : "");
	if (row->proxy != NULL) {
		bool brackets = strchr(row->proxy->host, ':') != NULL;
		fprintf(out, "%s%s%s:%u", brackets ? "[" : "", row->proxy->host,
			brackets ? "]" : "", row->proxy->port);
	}
	fputc('\n', out);
	return EXIT_DONE;
}

/* The format has no way to quote. A phone that was never driven begins at the primary. */
static int write_sipp(const struct fleet *fleet, const struct row *row, FILE *out)
{
	const char *const text[] = {row->user, row->auth, row->password};
	const struct fleet *herd = fleet_herd_of(fleet, row->index);
	const struct fleet_proxy *proxy = row->proxy != NULL ? row->proxy : &herd->proxy[0];
	for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
		const char *why = text[i][0] == '\0' ? NULL : fleet_users_refuse(text[i]);
		if (why == NULL)
			continue;
		fprintf(stderr, "sipherd: phone %u: its %s %s. Use --csv.\n", row->index,
			i == 0   ? "user"
			: i == 1 ? "auth name"
				 : "password",
			why);
		return EXIT_USAGE;
	}
	fprintf(out, "%s;%s;%s;%s;%s;%u;%s;%u\n", row->user, row->auth, row->password, herd->domain,
		proxy->host, proxy->port, row->address, row->port);
	return EXIT_DONE;
}

static int failed(const struct export *export)
{
	fprintf(stderr, "sipherd: %s\n", reader_reason(export->reader));
	return EXIT_HOST;
}

static int write_shard(struct export *export, uint32_t shard)
{
	const uint32_t first = shard * SHARD_PHONES, left = export->fleet.phones - first;
	int status = reader_slab(export->reader, shard, export->records);
	struct row row;
	if (status == -ENOENT)
		memset(export->records, 0, (size_t)SHARD_PHONES * RECORD_SIZE);
	else if (status != 0)
		return failed(export);
	status = EXIT_DONE;
	for (uint32_t i = 0; i < left && i < SHARD_PHONES && status == EXIT_DONE; i++) {
		if (ferror(export->out)) {
			export->error = errno;
			status = EXIT_HOST;
			break;
		}
		fill_row(export, first + i, &row);
		status = export->options->sipp ? write_sipp(&export->fleet, &row, export->out)
					       : write_csv(&row, export->out);
	}
	explicit_bzero(row.password, sizeof(row.password));
	return status;
}

static int write_all(struct export *export)
{
	struct reader_fleet there;
	int status = reader_fleet(export->reader, &there);
	if (status != 0)
		return failed(export);
	if (there.phones != export->fleet.phones) {
		fprintf(stderr,
			"sipherd: the store has a fleet '%s' of %u phones, the fleet file "
			"one of %u. Use the fleet file that it was driven with.\n",
			there.fleet, there.phones, export->fleet.phones);
		return EXIT_USAGE;
	}
	fputs(export->options->sipp
			? "SEQUENTIAL\n# user;auth name;password;domain;proxy's host;its port;"
			  "phone's address;its port\n"
			: "index,user,address,port,registered,last_tried,phase,since,proxy\n",
		export->out);
	for (uint32_t shard = 0; shard < there.shards && status == EXIT_DONE; shard++)
		status = write_shard(export, shard);
	return status;
}

static int close_output(struct export *export, int status)
{
	if (export->out == NULL)
		return status;
	if (fflush(export->out) != 0 && export->error == 0)
		export->error = errno;
	if (export->out != stdout && fclose(export->out) != 0 && export->error == 0)
		export->error = errno;
	if (export->error == 0)
		return status;
	/* Whoever closed the pipe has seen enough. */
	if (export->error != EPIPE)
		fprintf(stderr, "sipherd: the export could not be written whole: %s\n",
			strerror(export->error));
	return EXIT_HOST;
}

static int read_arguments(const struct options *options, struct fleet *fleet)
{
	if (options->csv == options->sipp) {
		fprintf(stderr, "sipherd: export writes --csv or --sipp: name one of them.\n");
		return EXIT_USAGE;
	}
	if (options->secrets && !options->sipp) {
		fprintf(stderr, "sipherd: --secrets goes with --sipp, the CSV has no passwords.\n");
		return EXIT_USAGE;
	}
	return arguments_read(options, fleet);
}

int run_export(const struct options *options)
{
	struct export *export = calloc(1, sizeof(*export));
	uint8_t *records = malloc((size_t)SHARD_PHONES * RECORD_SIZE);
	if (export == NULL || records == NULL) {
		free(export);
		free(records);
		fprintf(stderr, "sipherd: out of memory\n");
		return EXIT_HOST;
	}
	export->options = options;
	export->records = records;
	export->out = stdout;
	int status = read_arguments(options, &export->fleet);
	if (status == EXIT_DONE)
		status = monitor_open(&export->fleet, &export->reader);
	if (status == EXIT_DONE && options->output != NULL)
		status = output_open(options->output, &export->out);
	if (status == EXIT_DONE)
		status = write_all(export);
	status = close_output(export, status);
	reader_close(export->reader);
	fleet_free(&export->fleet);
	free(records);
	free(export);
	return status;
}
