/* Cells of a row. */
#include "common/report/columns.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static_assert(LIMIT_DETAIL_SIZE <= LIMIT_TARGET_NAME_SIZE, "a detail is no longer than a name");

const char *column_name(size_t column)
{
    static const char *const names[] = {
        "target",    "address", "site",   "relay", "state", "stage",
        "reason",    "code",    "detail", "tries", "bytes", "elapsed_ms",
#define STAGE(name, word, about) word "_ms",
#include "common/model/stage.def"
#undef STAGE
        "exit_code", "reboot",
    };
    static_assert(sizeof names / sizeof *names == COLUMN_COUNT, "a name for every column");
    assert(column < COLUMN_COUNT);
    return names[column];
}

bool column_is_number(size_t column)
{
    return column >= COLUMN_TRIES;
}

/* "-" stands for none in the model's words. */
static const char *known(const char *word)
{
    return strcmp(word, "-") == 0 ? "" : word;
}

static const char *decimal(uint64_t value, char number[COLUMN_NUMBER_SIZE])
{
    (void)snprintf(number, COLUMN_NUMBER_SIZE, "%" PRIu64, value);
    return number;
}

/* Columns that are numbers. */
static const char *number_text(size_t column, const struct outcome *outcome,
                               char number[COLUMN_NUMBER_SIZE])
{
    if (column == COLUMN_TRIES)
        return decimal(outcome->tries, number);
    if (column == COLUMN_BYTES)
        return decimal(outcome->bytes, number);
    if (column == COLUMN_ELAPSED_MS)
        return decimal(outcome->elapsed_ms, number);
    if (column == COLUMN_EXIT_CODE)
        return outcome->has_exit_code ? decimal(outcome->exit_code, number) : "";
    if (column == COLUMN_REBOOT)
        return !outcome->has_exit_code                      ? ""
               : exit_code_wants_reboot(outcome->exit_code) ? "true"
                                                            : "false";
    size_t stage = column - COLUMN_STAGE_MS;
    bool begun = outcome->stage != STAGE_COUNT && stage <= (size_t)outcome->stage;
    return begun ? decimal(outcome->stage_ms[stage], number) : "";
}

const char *column_text(size_t column, const struct report_row *row,
                        char number[COLUMN_NUMBER_SIZE])
{
    const struct outcome *outcome = &row->outcome;
    switch (column) {
    case COLUMN_TARGET:
        return row->target;
    case COLUMN_ADDRESS:
        return outcome->address;
    case COLUMN_SITE:
        return row->site;
    case COLUMN_RELAY:
        return known(row->relay);
    case COLUMN_STATE:
        return target_state_word(outcome->state);
    case COLUMN_STAGE:
        return known(stage_word(outcome->stage));
    case COLUMN_REASON:
        return known(reason_word(outcome->reason));
    case COLUMN_CODE:
        return outcome_code_text(outcome->code_kind, outcome->code, number);
    case COLUMN_DETAIL:
        return outcome->detail;
    default:
        return number_text(column, outcome, number);
    }
}
