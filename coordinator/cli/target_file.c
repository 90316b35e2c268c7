/* Target files: lines to items. */
#include "coordinator/cli/target_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/text.h"

#define LINE_SIZE 4096 /* a longer line is no list of targets */

static int item_add(struct targets *targets, const char *item, bool exclude, struct err *err)
{
    return exclude ? targets_exclude(targets, item, err) : targets_include(targets, item, err);
}

/* Cuts the line down to its item, in place; "" for a blank or comment line. */
static char *item_of_line(char *line)
{
    line += strspn(line, " \t");
    if (*line == '"') {
        line++;
        line[strcspn(line, "\"")] = '\0';
        line += strspn(line, " \t");
    } else {
        line[strcspn(line, ",;\t#\r\n")] = '\0';
    }
    size_t length = strlen(line);
    while (length > 0 && strchr(" \t\r\n", line[length - 1]) != NULL)
        length--;
    line[length] = '\0';
    return line;
}

/* Reads one line without its end. Returns 1, 0 at the end of the file, -1 when it is no text line
 * of a target file. */
static int line_read(FILE *file, char line[LINE_SIZE], const char *name, unsigned long number,
                     struct err *err)
{
    size_t used = 0;
    int c = 0;
    while ((c = getc(file)) != EOF && c != '\n') {
        if (c == '\0')
            return err_set(err, ERR_INVALID, "%s:%lu: not a text file (UTF-16? save it as UTF-8)",
                           name, number);
        if (used == LINE_SIZE - 1)
            return err_set(err, ERR_INVALID, "%s:%lu: line longer than %d characters", name, number,
                           LINE_SIZE - 1);
        line[used++] = (char)c;
    }
    line[used] = '\0';
    if (ferror(file))
        return err_set_errno(err, errno, "%s:%lu: cannot read", name, number);
    return c == EOF && used == 0 ? 0 : 1;
}

int target_lines_add(struct targets *targets, FILE *file, const char *name, bool exclude,
                     struct err *err)
{
    char line[LINE_SIZE];
    unsigned long number = 1;
    unsigned long items = 0;
    int got = 0;
    for (; (got = line_read(file, line, name, number, err)) > 0; number++) {
        char *text = line;
        if (number == 1 && strncmp(text, "\xef\xbb\xbf", 3) == 0)
            text += 3;
        if (number == 1 && (strncmp(text, "\xff\xfe", 2) == 0 || strncmp(text, "\xfe\xff", 2) == 0))
            return err_set(err, ERR_INVALID, "%s:1: UTF-16 text: save it as UTF-8", name);
        char *item = item_of_line(text);
        if (*item == '\0')
            continue;
        struct err inner;
        if (item_add(targets, item, exclude, &inner) != 0)
            return err_set(err, inner.code, "%s:%lu: %s", name, number, inner.text);
        items++;
    }
    if (got < 0)
        return -1;
    if (items == 0 && !exclude)
        return err_set(err, ERR_INVALID, "%s:%lu: no target in this %s", name,
                       number > 1 ? number - 1 : 1,
                       number > 1 ? "file: only blank lines and comments" : "file: it is empty");
    return 0;
}

int target_argument_add(struct targets *targets, const char *value, bool exclude, FILE *input,
                        struct err *err)
{
    if (strcmp(value, "-") == 0)
        return target_lines_add(targets, input, "standard input", exclude, err);
    if (value[0] != '@')
        return item_add(targets, value, exclude, err);
    char name[256];
    text_printable(name, sizeof name, value + 1);
    FILE *file = fopen(value + 1, "re");
    if (file == NULL)
        return err_set_errno(err, errno, "cannot open target file %s", name);
    struct stat status;
    int result = 0;
    if (fstat(fileno(file), &status) == 0 && S_ISDIR(status.st_mode))
        result = err_set(err, ERR_INVALID, "%s is a directory, not a target file", name);
    else
        result = target_lines_add(targets, file, name, exclude, err);
    (void)fclose(file);
    return result;
}
