/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the control groups around this process leave it, on all levels that it can see, of both versions. Source:
 * Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst, scheduler/sched-bwc.rst.
 */
#ifndef SIPHERD_CONTAINER_H
#define SIPHERD_CONTAINER_H

/* Bytes, and processors' worth of time such as 1.5; INFINITY: no limit. root: "", or a folder that has the
 * proc and sys to be read. */
double container_memory_left(const char *root);
double container_processors(const char *root);

#endif
