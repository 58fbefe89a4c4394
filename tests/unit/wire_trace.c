/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Traces of phones on a whole wire: a registration as a ladder, on the memory link, where nobody
 * fills in checksums; and the file of it as Wireshark's tools judge it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "frame.h"
#include "wire_stage.h"

static bool says(const struct wire_message *message, const char *text)
{
	return memmem(message->frame + message->payload, message->payload_length, text,
		       strlen(text)) != NULL;
}

static bool begins(const struct wire_message *message, const char *text)
{
	return message->payload_length >= strlen(text) &&
	       !memcmp(message->frame + message->payload, text, strlen(text));
}

/* Where a challenge is that has been answered for good; count: nowhere yet. */
static uint32_t challenge_of(const struct wire_trace *trace)
{
	for (uint32_t i = 1; i + 2 < trace->count; i++)
		if (begins(trace->message[i], "SIP/2.0 401") &&
			begins(trace->message[i + 2], "SIP/2.0 200"))
			return i;
	return trace->count;
}

/* Wait until the phone has registered again, challenge included. */
static void wait_ladder(struct stage *stage, uint32_t phone, struct wire_trace *out)
{
	const struct timespec pause = {.tv_nsec = 10000000};
	const time_t end = time(NULL) + STAGE_PATIENCE_S;
	do {
		nanosleep(&pause, NULL);
		stage_check(!wire_trace(stage->wire, phone, out), "no trace");
	} while (challenge_of(out) == out->count && time(NULL) < end);
	stage_check(challenge_of(out) < out->count, "no registration");
}

/* Whole and right, from the phone to the primary or back, in the order of time. */
static void check_messages(const struct stage *stage, const struct wire_trace *trace)
{
	struct address phone;
	uint16_t port;
	struct frame f;
	address_plan_at(&stage->plan, trace->phone, &phone, &port);
	for (uint32_t i = 0; i < trace->count; i++) {
		const struct wire_message *message = trace->message[i];
		stage_check(!message->cut, "cut");
		stage_check(frame_parse(message->frame, message->length, &(struct frame_rules){0},
				    &f) == FRAME_UDP,
			"not a datagram, or a wrong checksum");
		stage_check(f.payload == message->frame + message->payload &&
				    f.payload_length == message->payload_length,
			"where the text stands");
		stage_check(
			frame_address_equal(message->inbound ? &f.destination : &f.source, &phone),
			"another phone's");
		stage_check(frame_address_equal(message->inbound ? &f.source : &f.destination,
				    &stage->config.proxy[message->proxy].address),
			"another proxy's");
		stage_check(begins(message, "SIP/2.0 ") == message->inbound, "direction");
		stage_check(message->unix_us >= trace->since_unix_us, "older than the trace");
		stage_check(!i || message->unix_us >= trace->message[i - 1]->unix_us, "order");
	}
}

/* REGISTER, 401, REGISTER with credentials, 200. */
static void check_ladder(const struct wire_trace *trace)
{
	const uint32_t i = challenge_of(trace) - 1;
	stage_check(begins(trace->message[i], "REGISTER "), "no REGISTER");
	stage_check(says(trace->message[i + 1], "nonce=\"xxxx"), "a nonce is not masked");
	stage_check(begins(trace->message[i + 2], "REGISTER "), "no second REGISTER");
	stage_check(says(trace->message[i + 2], "response=\"xxxx"), "a response is not masked");
	stage_check(says(trace->message[i + 2], "realm=\"lab.example.net\""), "realm is masked");
}

static void reboot(struct stage *stage, uint32_t phone)
{
	const struct herd_command command = {.kind = HERD_REBOOT, .first = phone, .count = 1};
	wire_command(stage->wire, &command);
}

static void trace_phones(struct stage *stage, uint32_t first)
{
	struct wire_trace trace;
	for (uint32_t phone = first; phone < first + WIRE_TRACES; phone++)
		stage_check(!wire_trace(stage->wire, phone, &trace) && trace.phone == phone &&
				    trace.count == 0,
			"a new trace is empty");
	for (uint32_t phone = first; phone < first + WIRE_TRACES; phone++)
		reboot(stage, phone);
	for (uint32_t phone = first; phone < first + WIRE_TRACES; phone++) {
		wait_ladder(stage, phone, &trace);
		check_messages(stage, &trace);
		check_ladder(&trace);
		stage_check(trace.dropped == 0, "frames of traced phones were lost");
	}
}

static bool has_moved(const struct wire_trace *trace)
{
	unsigned seen = 0;
	for (uint32_t i = 0; i < trace->count; i++)
		if (trace->message[i]->proxy == PROXY_REDUNDANT)
			seen |= trace->message[i]->inbound ? 1 : 2;
	return seen == 3;
}

/* What a phone says to the other proxy is shown as that. */
static void failover(void)
{
	static struct stage stage;
	static const struct registrar_faults dead = {.crashed = true};
	const struct timespec pause = {.tv_nsec = 10000000};
	const struct herd_command start = {.kind = HERD_START};
	struct wire_trace trace;
	struct wire_error error;
	stage_set_up(&stage, 2, ADDRESS_IPV4);
	stage_check(!wire_open(&stage.wire, &stage.config, &error), error.message);
	stage_check(!wire_start(stage.wire, &error), error.message);
	wire_command(stage.wire, &start);
	stage_wait_registered(&stage, PROXY_PRIMARY, STAGE_PHONES, true);
	stage_check(!wire_trace(stage.wire, 5, &trace), "no trace");
	wire_set_faults(stage.wire, PROXY_PRIMARY, &dead);
	const time_t end = time(NULL) + STAGE_PATIENCE_S;
	do {
		nanosleep(&pause, NULL);
		stage_check(!wire_trace(stage.wire, 5, &trace), "no trace");
		check_messages(&stage, &trace);
	} while (!has_moved(&trace) && time(NULL) < end);
	stage_check(has_moved(&trace), "the phone did not move");
	wire_close(stage.wire);
	identity_free(stage.identities);
}

static void set_up(struct stage *stage, uint8_t family)
{
	stage_set_up(stage, 2, family);
	stage->config.herd.timers.no_response_ms = 32000; /* a stalled machine moves nobody */
}

static void ladders(uint8_t family)
{
	static struct stage stage;
	struct wire_trace trace;
	struct wire_error error;
	set_up(&stage, family);
	stage_check(!wire_open(&stage.wire, &stage.config, &error), error.message);
	stage_check(wire_trace(stage.wire, 0, &trace) == -ENOENT, "workers do not run yet");
	stage_check(!wire_start(stage.wire, &error), error.message);
	const struct herd_command start = {.kind = HERD_START};
	wire_command(stage.wire, &start);
	stage_wait_registered(&stage, PROXY_PRIMARY, STAGE_PHONES, true);
	stage_check(wire_trace(stage.wire, STAGE_PHONES, &trace) == -ENOENT, "no such phone");
	trace_phones(&stage, 0);
	/* Others take their places. */
	trace_phones(&stage, 500);
	stage_check(!wire_trace(stage.wire, 0, &trace) && trace.count == 0, "0 gave way");
	stage_check(!wire_trace(stage.wire, 515, &trace) && trace.count > 0, "515 did not");
	wire_close(stage.wire);
	identity_free(stage.identities);
}

static void ladders_ipv4(void)
{
	ladders(ADDRESS_IPV4);
}

static void ladders_ipv6(void)
{
	ladders(ADDRESS_IPV6);
}

/* A capture that keeps credentials is its owner's; a trace masks them all the same. */
static void beside_a_capture(void)
{
	static struct stage stage;
	struct wire_trace trace;
	char path[64];
	set_up(&stage, ADDRESS_IPV4);
	snprintf(path, sizeof(path), "/tmp/sipherd-test-%ld.pcapng", (long)getpid());
	stage.config.capture = (struct wire_capture){.path = path, .phone = 1, .credentials = true};
	stage_start(&stage);
	stage_wait_registered(&stage, PROXY_PRIMARY, STAGE_PHONES, true);
	stage_check(!wire_trace(stage.wire, 7, &trace), "no trace");
	reboot(&stage, 7);
	wait_ladder(&stage, 7, &trace);
	check_messages(&stage, &trace);
	check_ladder(&trace);
	wire_close(stage.wire);
	unlink(path);
	identity_free(stage.identities);
}

/* --- The file, judged by others --- */

/* What a command prints, at most so much; false: it failed. */
static bool output_of(const char *command, char *out, size_t size)
{
	FILE *pipe = popen(command, "r");
	stage_check(pipe, "popen");
	const size_t length = fread(out, 1, size - 1, pipe);
	out[length] = '\0';
	return pclose(pipe) == 0;
}

static unsigned lines_of(const char *text)
{
	unsigned lines = 0;
	for (; *text; text++)
		lines += *text == '\n';
	return lines;
}

static void write_file(const char *path, const uint8_t *bytes, size_t length)
{
	FILE *file = fopen(path, "wb");
	stage_check(file && fwrite(bytes, 1, length, file) == length && !fclose(file), path);
}

#define STRICT "-o udp.check_checksum:TRUE -o ip.check_checksum:TRUE"

static void judge(const char *path, uint32_t count)
{
	static char out[65536];
	char command[512];
	snprintf(command, sizeof(command), "tshark -r %s " STRICT " -Y sip 2>/dev/null", path);
	stage_check(output_of(command, out, sizeof(out)), "tshark failed");
	stage_check(lines_of(out) == count, "tshark does not see all messages as SIP");
	/* Wireshark chats about answers that are not 200; that is no fault of the file. */
	snprintf(command, sizeof(command),
		"tshark -r %s " STRICT
		" -Y '_ws.malformed || _ws.expert.severity >= \"Warning\" || "
		"udp.checksum.status != \"Good\"' 2>/dev/null",
		path);
	stage_check(output_of(command, out, sizeof(out)), "tshark failed");
	fputs(out, stderr);
	stage_check(!*out, "tshark finds fault");
	snprintf(command, sizeof(command), "capinfos -T -r -c -o %s 2>/dev/null", path);
	stage_check(output_of(command, out, sizeof(out)), "capinfos failed");
	const char *tab = strchr(out, '\t');
	stage_check(tab && (uint32_t)atoi(tab + 1) == count, "capinfos counts otherwise");
	stage_check(strstr(out, "True"), "capinfos: not in the order of time");
}

static void file(void)
{
	static struct stage stage;
	struct wire_trace trace;
	size_t length;
	char path[] = "/tmp/sipherd-test-XXXXXX";
	set_up(&stage, ADDRESS_IPV4);
	stage_start(&stage);
	stage_wait_registered(&stage, PROXY_PRIMARY, STAGE_PHONES, true);
	stage_check(!wire_trace(stage.wire, 7, &trace), "no trace");
	reboot(&stage, 7);
	wait_ladder(&stage, 7, &trace);
	uint8_t *bytes = wire_trace_pcapng(&trace, &length);
	stage_check(bytes != NULL, "out of memory");
	const int fd = mkstemp(path);
	stage_check(fd >= 0 && !close(fd), path);
	write_file(path, bytes, length);
	free(bytes);
	judge(path, trace.count);
	unlink(path);
	wire_close(stage.wire);
	identity_free(stage.identities);
}

static void registrations_are_ladders(void **state)
{
	(void)state;
	stage_in_child(ladders_ipv4);
}

static void registrations_are_ladders_over_ipv6(void **state)
{
	(void)state;
	stage_in_child(ladders_ipv6);
}

static void both_proxies_are_told_apart(void **state)
{
	(void)state;
	stage_in_child(failover);
}

static void credentials_are_masked_beside_a_capture(void **state)
{
	(void)state;
	stage_in_child(beside_a_capture);
}

static void wireshark_finds_no_fault(void **state)
{
	char out[16];
	(void)state;
	if (!output_of("tshark --version >/dev/null 2>&1 && "
		       "capinfos --version >/dev/null 2>&1",
		    out, sizeof(out))) {
		print_message("SKIP: tshark or capinfos is missing (Debian: tshark)\n");
		skip();
	}
	stage_in_child(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registrations_are_ladders),
		cmocka_unit_test(registrations_are_ladders_over_ipv6),
		cmocka_unit_test(both_proxies_are_told_apart),
		cmocka_unit_test(credentials_are_masked_beside_a_capture),
		cmocka_unit_test(wireshark_finds_no_fault),
	};
	return cmocka_run_group_tests_name("wire_trace", tests, NULL, NULL);
}
