/* Packages as JSON. */
#include "common/report/package_json.h"

#include <errno.h>

#include "common/base/hex.h"
#include "common/report/format.h"
#include "common/report/json_values.h"

static json_t *package_value(const struct package_row *row)
{
    char digest[2 * LIMIT_DIGEST_BYTES + 1];
    char added[FORMAT_TIME_SIZE];
    json_t *object = value_object();
    hex_encode(row->digest, sizeof row->digest, digest);
    value_member(object, "name", value_text(row->name));
    value_member(object, "sha256", json_string(digest));
    value_member(object, "bytes", json_integer((json_int_t)row->bytes));
    value_member(object, "stored", json_integer((json_int_t)row->stored));
    value_member(object, "added", json_string(format_time(row->added_unix_ms, added)));
    value_member(object, "directory", json_boolean(row->directory));
    value_member(object, "in_use", json_boolean(row->in_use));
    return object;
}

int package_json_list(FILE *out, const struct package_row *rows, uint32_t count, struct err *err)
{
    int result = fputs("{\n\"schema_version\": 1,\n\"packages\": [", out) < 0 ? -1 : 0;
    for (uint32_t i = 0; i < count && result == 0; i++) {
        json_t *value = package_value(&rows[i]);
        if (fputs(i == 0 ? "\n" : ",\n", out) < 0 || value_dump(value, out, false) != 0)
            result = -1;
        json_decref(value);
    }
    if (result != 0 || fputs(count == 0 ? "]\n}\n" : "\n]\n}\n", out) < 0)
        return err_set_errno(err, errno, "cannot write the list");
    return 0;
}
