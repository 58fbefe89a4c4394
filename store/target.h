/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What `store:` names: where Redis is and who we are there.
 *
 *   redis://[USER[:PASSWORD]@]HOST[:PORT][/DB]             one server
 *   unix:PATH[?db=N]  or  unix://[USER[:PASSWORD]@]PATH    one server on this host
 *   redis+sentinel://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]...]/MASTER[/DB]
 *   redis+cluster://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]...]
 *   none                                                   no store, no image file
 *   embedded                                               a private redis-server (the default)
 *
 * User, password and path may be percent-encoded. A password may also come from SIPHERD_STORE_PASSWORD
 * or, safer, from the file that SIPHERD_STORE_PASSWORD_FILE names (first line); the URL wins.
 */
#ifndef SIPHERD_TARGET_H
#define SIPHERD_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TARGET_SERVERS_MAX 16
#define TARGET_PATH_MAX 108 /* sun_path with its NUL */
#define TARGET_REASON_MAX 200

enum target_kind {
	TARGET_EMBEDDED,
	TARGET_NONE,
	TARGET_SINGLE,
	TARGET_UNIX,
	TARGET_SENTINEL,
	TARGET_CLUSTER
};

struct target_server {
	char host[256]; /* a name, or a literal without brackets */
	uint16_t port;  /* 6379, Sentinel 26379 */
};

struct target {
	uint8_t kind; /* enum target_kind */
	uint8_t servers;
	uint16_t db;
	struct target_server server[TARGET_SERVERS_MAX];
	char path[TARGET_PATH_MAX];    /* UNIX, EMBEDDED once it is started */
	char master[64];               /* SENTINEL: the name of the master */
	char user[128], password[512]; /* empty: none */
};

/* 0, or -EINVAL with the reason and the remedy in `reason`, which never holds the password. */
int target_parse(const char *text, struct target *out, char reason[TARGET_REASON_MAX]);
/* Take the password from the environment where the URL has none. 0 or -errno, with a reason. */
int target_password(struct target *target, char reason[TARGET_REASON_MAX]);
/* The target in words, without user and password: for banners, logs, summaries. */
void target_describe(const struct target *target, char *out, size_t size);

#endif
