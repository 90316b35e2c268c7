/* Relays and their accounts. */
#include "common/report/relay_json.h"

#include <errno.h>

#include "common/base/hex.h"
#include "common/report/format.h"
#include "common/report/json_values.h"

/* A document of one member, an array; takes it. */
static int write_document(FILE *out, const char *name, json_t *array, struct err *err)
{
    json_t *document = value_object();
    value_member(document, "schema_version", json_integer(1));
    value_member(document, name, array);
    bool written = value_dump(document, out, true) == 0 && fputc('\n', out) >= 0;
    int failure = errno;
    json_decref(document);
    return written ? 0 : err_set_errno(err, failure, "cannot write");
}

int relay_json_list(FILE *out, const struct relay_row *rows, uint32_t count, struct err *err)
{
    json_t *relays = value_array();
    for (uint32_t i = 0; i < count; i++) {
        const struct relay_row *row = &rows[i];
        char key[2 * LIMIT_KEY_BYTES + 1];
        char until[FORMAT_TIME_SIZE];
        json_t *relay = value_object();
        hex_encode(row->curve_key, sizeof row->curve_key, key);
        value_member(relay, "relay", value_text(row->name));
        value_member(relay, "site", value_text(row->site));
        value_member(relay, "standing", json_string(relay_standing_word(row->standing)));
        value_member(relay, "live", json_boolean(row->live));
        value_member(relay, "silent_ms", json_integer((json_int_t)row->silent_ms));
        value_member(relay, "leased", json_integer(row->leased));
        value_member(relay, "awaiting", json_integer(row->awaiting));
        value_member(
            relay, "certificate_until",
            row->certificate_until_unix_s <= 0
                ? json_null()
                : json_string(format_time((uint64_t)row->certificate_until_unix_s * 1000, until)));
        value_member(relay, "certificate_serial",
                     json_integer((json_int_t)row->certificate_serial));
        value_member(relay, "key", json_string(key));
        value_element(relays, relay);
    }
    return write_document(out, "relays", relays, err);
}

int relay_json_accounts(FILE *out, const struct relay_account *rows, uint32_t count,
                        struct err *err)
{
    json_t *accounts = value_array();
    for (uint32_t i = 0; i < count; i++) {
        char set[FORMAT_TIME_SIZE];
        json_t *account = value_object();
        value_member(account, "site", value_text(rows[i].site));
        value_member(account, "relay", value_text(rows[i].relay));
        value_member(account, "account",
                     rows[i].account == NULL ? json_null() : value_text(rows[i].account));
        value_member(account, "set",
                     rows[i].account == NULL ? json_null()
                                             : json_string(format_time(rows[i].set_unix_ms, set)));
        value_element(accounts, account);
    }
    return write_document(out, "credentials", accounts, err);
}
