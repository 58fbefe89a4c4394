/* SPDX-License-Identifier: BSD-3-Clause */
#include "run_internal.h"

#define EVERYTHING_PPM 1000000u

/* Two causes at once: what either does happens, delays and losses add up. */
static void combine(struct registrar_faults *into, const struct registrar_faults *also)
{
	const uint64_t loss_ppm = (uint64_t)into->loss_ppm + also->loss_ppm;
	into->crashed |= also->crashed;
	into->draining |= also->draining;
	if (also->draining)
		into->retry_after_s = also->retry_after_s;
	into->delay_us += also->delay_us;
	into->loss_ppm = loss_ppm < EVERYTHING_PPM ? (uint32_t)loss_ppm : EVERYTHING_PPM;
	if (also->reject_code != 0)
		into->reject_code = also->reject_code;
	into->options_silent |= also->options_silent;
	into->register_silent |= also->register_silent;
}

void run_set_faults(struct run *run, enum proxy proxy)
{
	const uint64_t now_ms = (wire_now_us(run->wire) - run->start_us) / 1000;
	struct registrar_faults faults;
	schedule_faults_at(&run->schedule, proxy, now_ms, &faults);
	combine(&faults, &run->drill_faults[proxy]);
	wire_set_faults(run->wire, proxy, &faults);
}

/* Apply what the schedule says has begun or ended by now. */
void run_follow_faults(struct run *run, uint64_t now_ms)
{
	bool changed[PROXIES] = {false};
	char what[160];
	for (size_t i = 0; i < run->schedule.faults; i++) {
		const struct schedule_fault *fault = &run->schedule.fault[i];
		bool begins = !run->began[i] && now_ms >= fault->start_ms;
		bool ends = !run->ended[i] && now_ms >= fault->end_ms;
		if (!begins && !ends)
			continue;
		run->began[i] |= begins;
		run->ended[i] |= ends;
		schedule_describe_fault(fault, what, sizeof(what));
		for (int p = 0; p < PROXIES; p++) {
			if (!(fault->proxies & 1u << p))
				continue;
			changed[p] = true;
			if (begins && fault->kind == FAULT_FORGET)
				wire_forget(run->wire, (enum proxy)p);
			view_event(&run->view, run_elapsed_s(run), "the %s proxy %s",
				proxy_name((enum proxy)p), ends ? "serves again" : what);
		}
	}
	for (int p = 0; p < PROXIES; p++)
		if (changed[p])
			run_set_faults(run, (enum proxy)p);
}

void run_follow_reboots(struct run *run, uint64_t now_ms)
{
	char what[160];
	for (size_t i = 0; i < run->schedule.reboots; i++) {
		const struct schedule_reboot *reboot = &run->schedule.reboot[i];
		if (run->rebooted[i] || now_ms < reboot->at_ms)
			continue;
		run->rebooted[i] = true;
		wire_command(run->wire, &reboot->command);
		schedule_describe_reboot(reboot, what, sizeof(what));
		view_event(&run->view, run_elapsed_s(run), "%s", what);
	}
}
