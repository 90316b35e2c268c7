/* pusher package add|list|rm|verify: what lies at the coordinator. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/hex.h"
#include "common/base/text.h"
#include "common/pkg/folder.h"
#include "common/pkg/name.h"
#include "common/report/format.h"
#include "common/report/grid.h"
#include "common/report/package_json.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/look.h"
#include "coordinator/cli/package_send.h"

#define END_MS 5000U
#define VERIFY_MS 1800000U /* 64 GiB from a slow disk */
#define SHORT_DIGEST 16    /* digits shown in the table */

enum package_key { PACKAGE_NAME = 1 };

struct package_command;

struct package_options {
    struct common_options common;
    const struct package_command *command;
    const char *word; /* FILE, NAME or DIGEST */
    const char *name; /* --name */
};

struct package_command {
    const char *verb;
    const char *usage;
    const char *about;
    bool word_needed;
    bool word_taken;
    bool name_taken;
    bool json_taken;
    int (*run)(struct session *session, const struct package_options *options, struct err *err);
};

/* ---- add ---- */

static int run_add(struct session *session, const struct package_options *options, struct err *err)
{
    struct package_file file;
    char digest[2 * LIMIT_DIGEST_BYTES + 1];
    char size[FORMAT_BYTES_SIZE];
    bool directory;
    if (package_open(options->word, &file, &directory, err) != 0)
        return -1;
    struct package_offer offer = {.file = &file,
                                  .directory = directory,
                                  .name = options->name != NULL ? options->name : file.name};
    int result = package_file_digest(&file, offer.digest, err);
    if (result == 0)
        result = package_send(session, &offer, err);
    if (result == 0) {
        hex_encode(offer.digest, sizeof offer.digest, digest);
        (void)printf("%s\n", digest);
        say(&options->common, "%s (%s) is at the coordinator", offer.name,
            format_bytes(file.bytes, size));
    }
    package_file_release(&file);
    return result;
}

/* ---- list ---- */

static void list_row(struct grid *grid, const struct package_row *row)
{
    char digest[2 * LIMIT_DIGEST_BYTES + 1];
    char text[64];
    char size[FORMAT_BYTES_SIZE];
    hex_encode(row->digest, sizeof row->digest, digest);
    digest[SHORT_DIGEST] = '\0';
    grid_row(grid);
    grid_text(grid, 0, row->name);
    grid_text(grid, 1, format_bytes(row->bytes, size));
    grid_text(grid, 2, digest);
    grid_text(grid, 3, format_time(row->added_unix_ms, text));
    if (row->stored < row->bytes)
        (void)snprintf(text, sizeof text, "%u %% is here",
                       (unsigned)(row->stored / (row->bytes / 100 + 1)));
    else
        (void)snprintf(text, sizeof text, "%s", row->in_use ? "in use" : "whole");
    grid_text(grid, 4, text);
}

static int run_list(struct session *session, const struct package_options *options, struct err *err)
{
    static const struct grid_column columns[] = {
        {"NAME", false}, {"SIZE", true}, {"SHA256", false}, {"ADDED", false}, {"STATE", false}};
    struct message request = {.kind = MESSAGE_PACKAGES_GET};
    struct message answer;
    struct grid grid;
    if (session_call(session, &request, MESSAGE_PACKAGES, &answer, err) != 0)
        return -1;
    const struct message_packages *packages = &answer.packages;
    int result = 0;
    if (strcmp(options->common.format, "json") == 0) {
        result = package_json_list(stdout, packages->rows, packages->row_count, err);
    } else {
        grid_init(&grid, columns, sizeof columns / sizeof *columns);
        for (uint32_t i = 0; i < packages->row_count; i++)
            list_row(&grid, &packages->rows[i]);
        (void)grid_print(&grid, stdout, terminal_width(STDOUT_FILENO),
                         colour_on(&options->common, STDOUT_FILENO));
        grid_release(&grid);
    }
    if (packages->row_count == LIMIT_ROWS_PER_MESSAGE)
        say(&options->common, "these are the newest %u", LIMIT_ROWS_PER_MESSAGE);
    message_release(&answer);
    return result;
}

/* ---- rm, verify ---- */

static int run_rm(struct session *session, const struct package_options *options, struct err *err)
{
    struct message request = {.kind = MESSAGE_PACKAGE_RM};
    struct message answer;
    struct package_row row;
    if (package_find(session, options->word, &row, err) != 0)
        return -1;
    memcpy(request.package_ref.digest, row.digest, LIMIT_DIGEST_BYTES);
    if (session_call(session, &request, MESSAGE_OK, &answer, err) != 0)
        return -1;
    message_release(&answer);
    say(&options->common, "%s is removed; relays that have it keep it until they need the room",
        row.name);
    return 0;
}

static int verify(struct session *session, const struct package_row *row, struct err *err)
{
    struct message request = {.kind = MESSAGE_PACKAGE_VERIFY};
    struct message answer;
    char name[4 * LIMIT_PACKAGE_NAME_SIZE];
    (void)text_printable(name, sizeof name, row->name);
    memcpy(request.package_ref.digest, row->digest, LIMIT_DIGEST_BYTES);
    if (control_call(session->control, &request, MESSAGE_OK, &answer, VERIFY_MS, err) != 0)
        return -1;
    message_release(&answer);
    (void)printf("%s: right\n", name);
    return 0;
}

/* All of them that are whole; what is damaged is said, and the others are looked at. */
static int verify_all(struct session *session, struct err *err)
{
    struct message request = {.kind = MESSAGE_PACKAGES_GET};
    struct message answer;
    uint32_t wrong = 0;
    if (session_call(session, &request, MESSAGE_PACKAGES, &answer, err) != 0)
        return -1;
    for (uint32_t i = 0; i < answer.packages.row_count; i++) {
        const struct package_row *row = &answer.packages.rows[i];
        struct err why = {0};
        if (row->stored < row->bytes || verify(session, row, &why) == 0)
            continue;
        if (session->interrupted || why.code == ERR_UNAVAILABLE) {
            *err = why;
            message_release(&answer);
            return -1;
        }
        complain("%s", why.text);
        wrong++;
    }
    message_release(&answer);
    return wrong == 0 ? 0 : err_set(err, ERR_IO, "%u packages are damaged", wrong);
}

static int run_verify(struct session *session, const struct package_options *options,
                      struct err *err)
{
    struct package_row row;
    if (options->word == NULL)
        return verify_all(session, err);
    if (package_find(session, options->word, &row, err) != 0)
        return -1;
    return verify(session, &row, err);
}

/* ---- the command line ---- */

static const struct package_command commands[] = {
    {.verb = "add",
     .usage = "pusher package add FILE|FOLDER [--name NAME]",
     .about = "Brings a package to the coordinator and prints its SHA-256. What is there already "
              "is not sent\nagain; what was cut short goes on.",
     .word_needed = true,
     .word_taken = true,
     .name_taken = true,
     .run = run_add},
    {.verb = "list",
     .usage = "pusher package list [-o table|json]",
     .about = "Lists the packages at the coordinator, the newest first. They stay until they are "
              "removed.",
     .json_taken = true,
     .run = run_list},
    {.verb = "rm",
     .usage = "pusher package rm NAME|DIGEST",
     .about =
         "Removes a package from the coordinator; DIGEST is its SHA-256 or at least the first 8 "
         "digits.\nOne that an open push needs stays.",
     .word_needed = true,
     .word_taken = true,
     .run = run_rm},
    {.verb = "verify",
     .usage = "pusher package verify [NAME|DIGEST]",
     .about = "Reads packages through at the coordinator and compares their SHA-256. A damaged one "
              "is removed.",
     .word_taken = true,
     .run = run_verify},
};

#define COMMAND_COUNT (sizeof commands / sizeof *commands)

static const struct option_row rows[] = {
    {"name", 0, PACKAGE_NAME, "NAME", "add: what it is called; without this as the file is."},
};
static const struct option_table table = {rows, sizeof rows / sizeof *rows};

static int handle(void *context, int key, const char *value, struct err *err)
{
    struct package_options *options = context;
    char shown[80];
    int common = common_option(&options->common, key, value, err);
    if (common <= 0)
        return common;
    if (key == PACKAGE_NAME && options->command->name_taken) {
        options->name = value;
        return package_name_check(value, err);
    }
    if (key == PACKAGE_NAME)
        return err_set(err, ERR_INVALID, "--name: not for this command");
    if (!options->command->word_taken || options->word != NULL)
        return err_set(err, ERR_INVALID, "'%s': one word too many",
                       text_printable(shown, sizeof shown, value));
    if (value[0] == '\0')
        return err_set(err, ERR_INVALID, "an empty word names nothing");
    options->word = value;
    return 0;
}

static void print_help(void)
{
    (void)fputs("Usage:\n", stdout);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        (void)printf("  %s\n", commands[i].usage);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        (void)printf("\n%s: %s\n", commands[i].verb, commands[i].about);
    (void)fputc('\n', stdout);
    options_help(stdout, &table);
    options_help(stdout, &common_table);
}

static const struct package_command *find_command(const char *verb)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i].verb, verb) == 0)
            return &commands[i];
    return NULL;
}

static int check(const struct package_options *options, struct err *err)
{
    const struct package_command *command = options->command;
    const char *format = options->common.format;
    if (strcmp(format, "table") != 0 && !(command->json_taken && strcmp(format, "json") == 0))
        return err_set(err, ERR_INVALID, "-o %s: not for this command (%s)", format,
                       command->json_taken ? "table, json" : "table");
    if (command->word_needed && options->word == NULL)
        return err_set(err, ERR_INVALID, "usage: %s", command->usage);
    return 0;
}

/* A file that can't be read is found before anything is started. */
static int check_file(const struct package_options *options, struct err *err)
{
    struct package_file file;
    struct stat seen;
    if (options->command->run != run_add)
        return 0;
    if (stat(options->word, &seen) == 0 && S_ISDIR(seen.st_mode))
        return folder_check(options->word, err);
    if (package_file_open(&file, options->word, err) != 0)
        return -1;
    package_file_release(&file);
    return 0;
}

static int run(const struct package_options *options)
{
    struct session session;
    struct err err = {0};
    if (session_open(&session, &options->common, false, &err) != 0)
        return session_failed(&session, &err);
    int status = options->command->run(&session, options, &err) == 0
                     ? look_written(EXIT_ALL_SUCCEEDED)
                     : session_failed(&session, &err);
    session_close(&session, END_MS);
    return status;
}

int command_package(int argc, char *const *argv)
{
    const struct option_table tables[] = {table, common_table};
    struct package_options options = {.common.format = "table"};
    char shown[80];
    struct err err = {0};
    int rest = argc;
    if (argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)) {
        print_help();
        return EXIT_ALL_SUCCEEDED;
    }
    options.command = argc > 0 ? find_command(argv[0]) : NULL;
    if (options.command == NULL) {
        complain("%s%s%s: add, list, rm or verify", argc > 0 ? "package '" : "package",
                 argc > 0 ? text_printable(shown, sizeof shown, argv[0]) : "", argc > 0 ? "'" : "");
        return EXIT_USAGE;
    }
    int result = options_parse(tables, 2, argc - 1, argv + 1, handle, &options, &rest, &err);
    if (result == 0 && options.common.help) {
        print_help();
        return EXIT_ALL_SUCCEEDED;
    }
    if (result == 0 && options.common.version) {
        print_version();
        return EXIT_ALL_SUCCEEDED;
    }
    if (result == 0 && rest < argc - 1)
        result = err_set(&err, ERR_INVALID, "nothing may follow --");
    if (result != 0 || check(&options, &err) != 0 || check_file(&options, &err) != 0) {
        complain("%s", err.text);
        return EXIT_USAGE;
    }
    return run(&options);
}
