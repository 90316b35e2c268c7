/* Parsing by table. */
#include "coordinator/cli/options.h"

#include <string.h>

#include "common/base/text.h"

#define HELP_COLUMN 26 /* where sentences begin */
#define HELP_WIDTH 92

struct parse {
    const struct option_table *tables;
    size_t table_count;
    int argc;
    char *const *argv;
    int at; /* word being looked at */
    option_handler *handler;
    void *context;
};

static const struct option_row *find_name(const struct parse *parse, const char *name, size_t size)
{
    for (size_t t = 0; t < parse->table_count; t++) {
        for (size_t i = 0; i < parse->tables[t].count; i++) {
            const struct option_row *row = &parse->tables[t].rows[i];
            if (strlen(row->name) == size && memcmp(row->name, name, size) == 0)
                return row;
        }
    }
    return NULL;
}

static const struct option_row *find_letter(const struct parse *parse, char letter)
{
    for (size_t t = 0; t < parse->table_count; t++)
        for (size_t i = 0; i < parse->tables[t].count; i++)
            if (parse->tables[t].rows[i].letter == letter)
                return &parse->tables[t].rows[i];
    return NULL;
}

static int handle(struct parse *parse, const struct option_row *row, const char *value,
                  struct err *err)
{
    if (row->key == OPTION_LATER)
        return err_set(err, ERR_INVALID, "--%s: not in this version", row->name);
    return parse->handler(parse->context, row->key, value, err);
}

/* The value of an option that has none attached: the next word. */
static const char *next_value(struct parse *parse, const struct option_row *row, struct err *err)
{
    if (parse->at + 1 < parse->argc)
        return parse->argv[++parse->at];
    (void)err_set(err, ERR_INVALID, "--%s needs a value (%s)", row->name, row->argument);
    return NULL;
}

static int parse_long(struct parse *parse, const char *word, struct err *err)
{
    const char *name = word + 2;
    size_t size = strcspn(name, "=");
    const char *value = name[size] == '=' ? name + size + 1 : NULL;
    const struct option_row *row = find_name(parse, name, size);
    if (row == NULL) {
        char shown[80];
        text_printable(shown, sizeof shown, word);
        shown[strcspn(shown, "=")] = '\0';
        return err_set(err, ERR_INVALID, "unknown option '%s'%s", shown,
                       strcmp(shown, "--password") == 0
                           ? ": a password comes from --password-file or the terminal"
                           : "");
    }
    if (row->key != OPTION_LATER && row->argument == NULL && value != NULL)
        return err_set(err, ERR_INVALID, "--%s takes no value", row->name);
    if (row->key != OPTION_LATER && row->argument != NULL && value == NULL &&
        (value = next_value(parse, row, err)) == NULL)
        return -1;
    return handle(parse, row, value, err);
}

static int parse_letters(struct parse *parse, const char *word, struct err *err)
{
    for (const char *letter = word + 1; *letter != '\0'; letter++) {
        const struct option_row *row = find_letter(parse, *letter);
        if (row == NULL) {
            char shown[80];
            return err_set(err, ERR_INVALID, "unknown option '-%c' in '%s'",
                           *letter >= ' ' && *letter < 0x7f ? *letter : '?',
                           text_printable(shown, sizeof shown, word));
        }
        if (row->argument == NULL || row->key == OPTION_LATER) {
            if (handle(parse, row, NULL, err) != 0)
                return -1;
            continue;
        }
        const char *value = letter[1] != '\0' ? letter + 1 : next_value(parse, row, err);
        return value == NULL ? -1 : handle(parse, row, value, err);
    }
    return 0;
}

int options_parse(const struct option_table *tables, size_t table_count, int argc,
                  char *const *argv, option_handler *handler, void *context, int *rest,
                  struct err *err)
{
    struct parse parse = {tables, table_count, argc, argv, 0, handler, context};
    *rest = argc;
    for (; parse.at < argc; parse.at++) {
        const char *word = argv[parse.at];
        int result = 0;
        if (strcmp(word, "--") == 0) {
            *rest = parse.at + 1;
            return 0;
        }
        if (strncmp(word, "--", 2) == 0)
            result = parse_long(&parse, word, err);
        else if (word[0] == '-' && word[1] != '\0')
            result = parse_letters(&parse, word, err);
        else
            result = handler(context, OPTION_POSITIONAL, word, err);
        if (result != 0)
            return -1;
    }
    return 0;
}

/* A sentence in the right column, broken at blanks. */
static void print_sentence(FILE *out, const char *text, size_t column)
{
    if (column + 2 > HELP_COLUMN) {
        (void)fputc('\n', out);
        column = 0;
    }
    while (*text != '\0') {
        size_t size = strlen(text);
        if (size > HELP_WIDTH - HELP_COLUMN) {
            size = HELP_WIDTH - HELP_COLUMN;
            while (size > 1 && text[size] != ' ')
                size--;
        }
        (void)fprintf(out, "%*s%.*s\n", (int)(HELP_COLUMN - column), "", (int)size, text);
        text += size;
        text += strspn(text, " ");
        column = 0;
    }
}

void options_help(FILE *out, const struct option_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct option_row *row = &table->rows[i];
        char left[80];
        if (row->help == NULL || row->key == OPTION_LATER)
            continue;
        char letter[8] = "    ";
        if (row->letter != 0)
            (void)snprintf(letter, sizeof letter, "-%c, ", row->letter);
        (void)snprintf(left, sizeof left, "  %s--%s%s%s", letter, row->name,
                       row->argument == NULL ? "" : " ",
                       row->argument == NULL ? "" : row->argument);
        (void)fputs(left, out);
        print_sentence(out, row->help, strlen(left));
    }
}
