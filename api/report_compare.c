/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "report_internal.h"

int report_compare(FILE *out, const json_t *a, const char *a_name, const json_t *b,
	const char *b_name, char reason[REPORT_REASON_MAX])
{
	(void)out;
	(void)a_name;
	(void)b_name;
	int status = report_check(a, reason);
	return status == 0 ? report_check(b, reason) : status;
}
