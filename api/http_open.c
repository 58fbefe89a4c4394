/* SPDX-License-Identifier: BSD-3-Clause */
/* What the command line asks for, listening, certificates, tokens. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http_internal.h"

static char *read_pem(const char *option, const char *path)
{
	char *text = calloc(1, HTTP_PEM_MAX + 1);
	FILE *file = fopen(path, "re");
	size_t n = text != NULL && file != NULL ? fread(text, 1, HTTP_PEM_MAX + 1, file) : 0;
	int reason = errno;
	if (file != NULL)
		fclose(file);
	if (n > 0 && n <= HTTP_PEM_MAX)
		return text;
	fprintf(stderr, "sipherd: --%s %s: %s. It takes a PEM file of at most 64 KiB.\n", option,
		path,
		file == NULL ? strerror(reason)
		: n == 0     ? "is empty"
			     : "is too large");
	free(text);
	return NULL;
}

static int take_tls(struct http *http)
{
	const struct options *o = http->options;
	if (o->http_tls_cert == NULL && o->http_tls_key == NULL)
		return EXIT_DONE;
	if (o->http_tls_cert == NULL || o->http_tls_key == NULL) {
		fprintf(stderr,
			"sipherd: --http-tls-cert and --http-tls-key go together: give both.\n");
		return EXIT_USAGE;
	}
	if (MHD_is_feature_supported(MHD_FEATURE_SSL) != MHD_YES) {
		fprintf(stderr,
			"sipherd: this libmicrohttpd has no TLS. Serve a loopback address, and "
			"put a proxy with TLS before it.\n");
		return EXIT_HOST;
	}
	http->cert = read_pem("http-tls-cert", o->http_tls_cert);
	http->key = http->cert != NULL ? read_pem("http-tls-key", o->http_tls_key) : NULL;
	return http->key != NULL ? EXIT_DONE : EXIT_HOST;
}

/* What is asked for, checked before anything is opened. */
int http_take_options(struct http *http)
{
	const struct options *o = http->options;
	char name[GUARD_HOST_MAX];
	if (guard_listen_parse(o->http != NULL ? o->http : HTTP_DEFAULT, &http->listen) != 0) {
		fprintf(stderr,
			"sipherd: --http '%s' is no ADDRESS:PORT, such as 127.0.0.1:8470 or "
			"[::1]:8470, and not none.\n",
			o->http);
		return EXIT_USAGE;
	}
	for (size_t i = 0; i < o->http_host.count; i++)
		if (!guard_host_parse(o->http_host.item[i], name)) {
			fprintf(stderr, "sipherd: --http-host '%s' is no host name.\n",
				o->http_host.item[i]);
			return EXIT_USAGE;
		}
	int status = take_tls(http);
	if (status != EXIT_DONE)
		return status;
	http->token_needed = !http->listen.loopback || o->http_auth;
	if (http->listen.loopback || http->cert != NULL)
		return EXIT_DONE;
	fprintf(stderr,
		"sipherd: --http %s can be reached from other hosts and needs TLS: give "
		"--http-tls-cert FILE and --http-tls-key FILE, or serve 127.0.0.1.\n",
		o->http);
	return EXIT_USAGE;
}

static socklen_t socket_address(const struct guard_listen *listen, struct sockaddr_storage *out)
{
	*out = (struct sockaddr_storage){0};
	if (listen->address.family == ADDRESS_IPV4) {
		struct sockaddr_in *four = (struct sockaddr_in *)out;
		four->sin_family = AF_INET;
		four->sin_port = htons(listen->port);
		memcpy(&four->sin_addr, listen->address.bytes, sizeof(four->sin_addr));
		return sizeof(*four);
	}
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)out;
	six->sin6_family = AF_INET6;
	six->sin6_port = htons(listen->port);
	memcpy(&six->sin6_addr, listen->address.bytes, sizeof(six->sin6_addr));
	return sizeof(*six);
}

/* Listens, and learns the port where any was good. 0 or -errno. */
int http_listen_on(struct http *http)
{
	struct sockaddr_storage address;
	socklen_t length = socket_address(&http->listen, &address);
	const int on = 1;
	http->fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (http->fd < 0)
		return -errno;
	setsockopt(http->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (address.ss_family == AF_INET6)
		setsockopt(http->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(http->fd, (struct sockaddr *)&address, length) != 0 ||
		listen(http->fd, HTTP_CONNECTIONS_MAX) != 0 ||
		getsockname(http->fd, (struct sockaddr *)&address, &length) != 0)
		return -errno;
	http->listen.port = ntohs(address.ss_family == AF_INET6
					  ? ((struct sockaddr_in6 *)&address)->sin6_port
					  : ((struct sockaddr_in *)&address)->sin_port);
	return 0;
}

int http_write_tokens(struct http *http)
{
	const struct share *share = http->picture.share;
	const struct fleet *fleet = http->picture.fleet;
	char path[sizeof(http->tokens.path)];
	snprintf(path, sizeof(path), "%s/%s.%u.tokens", fleet->state, fleet->name,
		share->image.slot);
	int status = tokens_open(&http->tokens, share->has_image ? path : NULL, http->listen.port);
	if (status == 0)
		return EXIT_DONE;
	fprintf(stderr,
		"sipherd: the tokens of the HTTP API cannot be written to %s: %s. Another folder "
		"is chosen by --state DIR; --http none serves nothing.\n",
		share->has_image ? path : "/tmp", strerror(-status));
	return EXIT_HOST;
}

int http_open_audit(struct http *http)
{
	const struct share *share = http->picture.share;
	const struct fleet *fleet = http->picture.fleet;
	char path[AUDIT_PATH_MAX];
	snprintf(
		path, sizeof(path), "%s/%s.%u.audit", fleet->state, fleet->name, share->image.slot);
	int status = audit_open(&http->audit, share->has_image ? path : NULL);
	if (status == 0)
		return EXIT_DONE;
	fprintf(stderr,
		"sipherd: what is changed over HTTP cannot be logged in %s: %s. Another folder is "
		"chosen by --state DIR; --http none serves nothing.\n",
		path, strerror(-status));
	return EXIT_HOST;
}

/* The port is taken, or there is no such address. Who did not ask for it goes on without. */
int http_cannot_listen(const struct http *http, int reason)
{
	const bool asked = http->options->http != NULL;
	fprintf(stderr,
		"%s: the HTTP API cannot listen on %s: %s.%s Another place is chosen by --http "
		"ADDRESS:PORT, 127.0.0.1:0 takes any free port.\n",
		asked ? "sipherd" : "warning", asked ? http->options->http : HTTP_DEFAULT,
		strerror(-reason), asked ? "" : " This run goes on without it.");
	return asked ? EXIT_HOST : EXIT_DONE;
}

const char *http_page(const struct http *http)
{
	return http != NULL ? http->page : NULL;
}

void http_tell(struct http *http)
{
	char address[ADDRESS_TEXT_MAX];
	const bool six = http->listen.address.family == ADDRESS_IPV6;
	address_format(&http->listen.address, address);
	snprintf(http->page, sizeof(http->page), "%s://%s%s%s:%u/", http_scheme(http),
		six ? "[" : "", address, six ? "]" : "", http->listen.port);
	printf("page: %s\nhttp: %sapi/v1/fleet, tokens in %s\n", http->page, http->page,
		http->tokens.path);
	if (http->listen.any && http->options->http_host.count == 0)
		fprintf(stderr,
			"warning: --http-host NAME tells by which names other hosts may ask; "
			"without it only this one can\n");
}

void http_forget_pem(char *text)
{
	if (text != NULL)
		explicit_bzero(text, HTTP_PEM_MAX);
	free(text);
}
