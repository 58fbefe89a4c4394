/* SPDX-License-Identifier: BSD-3-Clause */
#include "measure.h"

static bool may_make(struct measure *measure)
{
	return measure->objects++ < MEASURE_OBJECTS_MAX;
}

static void *make_string(const redisReadTask *task, char *text, size_t length)
{
	struct measure *measure = task->privdata;
	return may_make(measure) ? measure->made_by.createString(task, text, length) : NULL;
}

static void *make_array(const redisReadTask *task, int elements)
{
	struct measure *measure = task->privdata;
	if (elements > (int)MEASURE_OBJECTS_MAX)
		return NULL;
	return may_make(measure) ? measure->made_by.createArray(task, elements) : NULL;
}

static void *make_integer(const redisReadTask *task, long long value)
{
	struct measure *measure = task->privdata;
	return may_make(measure) ? measure->made_by.createInteger(task, value) : NULL;
}

static void *make_nil(const redisReadTask *task)
{
	struct measure *measure = task->privdata;
	return may_make(measure) ? measure->made_by.createNil(task) : NULL;
}

void measure_begin(struct measure *measure, redisReader *reader)
{
	measure->made_by = *reader->fn;
	measure->make = (redisReplyObjectFunctions){
		make_string, make_array, make_integer, make_nil, measure->made_by.freeObject};
	measure->objects = 0;
	reader->fn = &measure->make;
	reader->privdata = measure;
}
