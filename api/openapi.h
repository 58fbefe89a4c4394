/* SPDX-License-Identifier: BSD-3-Clause */
/* The OpenAPI 3.1 document, made from the route table. */
#ifndef SIPHERD_OPENAPI_H
#define SIPHERD_OPENAPI_H

#include "picture.h"

/* As text to be freed; NULL: out of memory. token_needed: reading needs a token here. */
char *openapi_text(const struct picture *picture, bool token_needed);

#endif
