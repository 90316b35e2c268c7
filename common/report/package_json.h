/* The coordinator's packages as JSON, schema_version 1. Used by `pusher package list`. */
#ifndef PUSHER_REPORT_PACKAGE_JSON_H
#define PUSHER_REPORT_PACKAGE_JSON_H

#include <stdint.h>
#include <stdio.h>

#include "common/base/err.h"
#include "common/model/message.h"

/* {"schema_version": 1, "packages": [{...}, ...]}, a package a line. Errors: ERR_IO. */
int package_json_list(FILE *out, const struct package_row *rows, uint32_t count, struct err *err);

#endif
