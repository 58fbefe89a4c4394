/* SPDX-License-Identifier: BSD-3-Clause */
/* The scanner once more without vector instructions, under other names, to be compared. */
#define SCAN_PORTABLE
#define scan_message portable_scan_message
#define scan_result_name portable_scan_result_name
#define scan_method portable_scan_method
#define scan_method_name portable_scan_method_name
#define scan_contact portable_scan_contact
#define scan_uri portable_scan_uri
#define span_equal portable_span_equal

#include "../../engine/scan.c"
