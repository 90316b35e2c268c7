/* coordinator/cli: target items and target files, from anybody's spreadsheet.
 *
 * Input: flags, then a file. Holds: what comes out are at most as many targets as there may be,
 * each once, each an item itself that stands for itself; the list put in again gives the same list;
 * an error names file and line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "coordinator/cli/target_file.h"
#include "coordinator/cli/target_item.h"
#include "coordinator/cli/targets.h"
#include "fuzz.h"

#define ADDRESSES_MAX 70000U /* of one input: more take long and show nothing new */
#define COMPARED_MAX 150U    /* targets that are compared with each other */

static void try_item(const char *text)
{
    struct target_item item;
    struct err err = {0};
    char again[LIMIT_ADDRESS_SIZE];
    struct target_address address;
    if (target_item_parse(text, &item, &err) != 0) {
        fuzz_check_error(&err);
        return;
    }
    if (item.kind == TARGET_ITEM_HOST) {
        FUZZ_CHECK(fuzz_is_printable(item.name, strlen(item.name), false));
        FUZZ_CHECK(item.name[0] != '\0' && strchr(item.name, ' ') == NULL);
        return;
    }
    FUZZ_CHECK(item.first.is_v6 == item.last.is_v6);
    FUZZ_CHECK(target_address_compare(&item.first, &item.last) <= 0);
    FUZZ_CHECK(target_range_size(&item) > 0);
    target_address_text(&item.last, again);
    FUZZ_CHECK(target_address_parse(again, &address) == 0 &&
               target_address_compare(&address, &item.last) == 0);
}

/* How many addresses the text could stand for, roughly: its words, one by one. */
static uint64_t estimate(const char *text)
{
    uint64_t sum = 0;
    for (const char *at = text; *at != '\0';) {
        char word[300];
        size_t length = strcspn(at, "\n,;\t\"# \r");
        struct target_item item;
        (void)snprintf(word, sizeof word, "%.*s", (int)length, at);
        if (length > 0)
            try_item(word);
        if (target_item_parse(word, &item, NULL) == 0 && item.kind == TARGET_ITEM_RANGE) {
            uint64_t count = target_range_size(&item);
            sum += count <= LIMIT_CIDR_TARGETS_MAX ? count : 0; /* more are refused */
        }
        at += length + (at[length] != '\0');
    }
    return sum;
}

static struct targets *include(const char *text, size_t size, struct err *err)
{
    struct targets *targets = targets_new();
    FILE *file = size == 0 ? NULL : fmemopen((void *)(uintptr_t)text, size, "r");
    if (file != NULL && target_lines_add(targets, file, "list", false, err) == 0) {
        (void)fclose(file);
        return targets;
    }
    if (file != NULL)
        (void)fclose(file);
    targets_free(targets);
    return NULL;
}

static void check_names(struct targets *targets)
{
    uint32_t count = targets_count(targets);
    char **names = targets_names(targets);
    FUZZ_CHECK(count <= LIMIT_TARGETS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        struct target_item item;
        FUZZ_CHECK(strlen(names[i]) < LIMIT_TARGET_NAME_SIZE);
        FUZZ_CHECK(target_item_parse(names[i], &item, NULL) == 0);
        FUZZ_CHECK(item.kind == TARGET_ITEM_HOST || target_range_size(&item) == 1);
        for (uint32_t j = 0; count <= COMPARED_MAX && j < i; j++)
            FUZZ_CHECK(strcasecmp(names[i], names[j]) != 0);
        if (i > COMPARED_MAX && i + COMPARED_MAX < count)
            i = count - COMPARED_MAX;
    }
}

/* The list, put in again as a file, is the same list. */
static void check_again(struct targets *targets)
{
    uint32_t count = targets_count(targets);
    char *text = NULL;
    size_t size = 0;
    struct err err = {0};
    if (count == 0 || count > COMPARED_MAX)
        return;
    FILE *out = open_memstream(&text, &size);
    FUZZ_CHECK(out != NULL);
    for (uint32_t i = 0; i < count; i++)
        (void)fprintf(out, "%s\r\n", targets_names(targets)[i]);
    FUZZ_CHECK(fclose(out) == 0);
    struct targets *again = include(text, size, &err);
    FUZZ_CHECK(again != NULL);
    targets_settle(again);
    FUZZ_CHECK(targets_count(again) == count);
    for (uint32_t i = 0; i < count; i++)
        FUZZ_CHECK(strcmp(targets_names(again)[i], targets_names(targets)[i]) == 0);
    targets_free(again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    if (size < 2 || size > 2048)
        return 0;
    char *text = malloc(size);
    FUZZ_CHECK(text != NULL);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    if (estimate(text) <= ADDRESSES_MAX) {
        struct targets *targets = include(text, size - 1, &err);
        if (targets == NULL) {
            fuzz_check_error(&err);
            FUZZ_CHECK(strncmp(err.text, "list:", 5) == 0);
        } else {
            if (data[0] % 2 == 1) /* takes out its own first lines */
                (void)targets_exclude(targets, "10.0.0.0/9", NULL);
            targets_settle(targets);
            check_names(targets);
            check_again(targets);
            targets_free(targets);
        }
    }
    free(text);
    return 0;
}
