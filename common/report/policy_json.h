/* A policy as JSON, schema_version 1: for the CLI's policy show and never-touch list. */
#ifndef PUSHER_REPORT_POLICY_JSON_H
#define PUSHER_REPORT_POLICY_JSON_H

#include <stdint.h>
#include <stdio.h>

#include "common/base/err.h"
#include "common/model/signed_objects.h"

/* {"schema_version": 1, "policy": {"version", "made", "signed_by", "operators", "coordinators",
 * "never_names", "never_subnets", "revoked"}}; keys are 64 hexadecimal digits. Errors: ERR_IO. */
int policy_json(FILE *out, const struct policy *policy, const uint8_t signer[LIMIT_KEY_BYTES],
                struct err *err);

#endif
