/* Relays and site credentials as JSON: pusher relay list, pusher cred list. */
#ifndef PUSHER_REPORT_RELAY_JSON_H
#define PUSHER_REPORT_RELAY_JSON_H

#include <stdint.h>
#include <stdio.h>

#include "common/base/err.h"
#include "common/model/message.h"

/* {"schema_version": 1, "relays": [...]}. Errors: ERR_IO. */
int relay_json_list(FILE *out, const struct relay_row *rows, uint32_t count, struct err *err);

/* What is known of the account of one relay. */
struct relay_account {
    const char *site;
    const char *relay;
    const char *account;  /* NULL: it has none */
    uint64_t set_unix_ms; /* its counter */
};

/* {"schema_version": 1, "credentials": [...]}. Errors: ERR_IO. */
int relay_json_accounts(FILE *out, const struct relay_account *rows, uint32_t count,
                        struct err *err);

#endif
