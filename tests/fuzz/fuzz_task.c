/* relay/tsch/task_read: the definition of a task found on a target, whoever put it there.
 * Covers task_xml_read and task_matches; task_xml_build for the way back. The first byte says
 * whether the rest is UTF-16LE as it comes, or text to be made into it, with which the fuzzer gets
 * along far better.
 *
 * Holds: a refusal says why; fields are strings within their sizes; a task passes for ours only
 * when its description and its one command are ours, to the byte; what is read and can be
 * registered reads the same after being built. */
#include <string.h>

#include "common/base/utf16.h"
#include "fuzz.h"
#include "relay/tsch/task.h"

#define COMMAND "C:\\SPDISTRO\\setup.exe"

static const struct task ours = {
    .author = "Pusher",
    .description = "Pusher job 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    .principal = TASK_AS_SYSTEM,
    .start_unix_s = 1767225600,
    .end_unix_s = 1767229200,
    .utc = true,
    .execution_limit_s = 3600,
    .delete_expired_after_s = 86400,
    .command = COMMAND,
    .arguments = "/S",
};

static void check_strings(const struct task_seen *seen)
{
#define WHOLE(field) FUZZ_CHECK(memchr(seen->field, '\0', sizeof seen->field) != NULL)
    WHOLE(description);
    WHOLE(user_id);
    WHOLE(group_id);
    WHOLE(logon_type);
    WHOLE(start_boundary);
    WHOLE(end_boundary);
    WHOLE(command);
    WHOLE(arguments);
    WHOLE(working_directory);
#undef WHOLE
    FUZZ_CHECK(seen->exec_count <= seen->action_count);
}

static void check_match(const struct task_seen *seen)
{
    char why[TASK_WHY_SIZE] = "";
    if (!task_matches(&ours, seen, why, sizeof why)) {
        FUZZ_CHECK(why[0] != '\0' && fuzz_is_printable(why, strlen(why), false));
        return;
    }
    FUZZ_CHECK(!seen->oversized && seen->action_count == 1 && seen->exec_count == 1);
    FUZZ_CHECK(seen->principal_count == 1 && seen->group_id[0] == '\0');
    FUZZ_CHECK(strcmp(seen->description, ours.description) == 0);
    FUZZ_CHECK(strcmp(seen->command, COMMAND) == 0 && strcmp(seen->arguments, "/S") == 0);
    FUZZ_CHECK(seen->working_directory[0] == '\0');
}

/* As a task of the logged-on user: the one kind that carries a name of anybody's choice. */
static void check_round_trip(const struct task_seen *seen)
{
    struct task_seen again;
    struct buf xml;
    struct err err = {0};
    struct task task = ours;
    task.description = seen->description;
    task.principal = TASK_AS_USER;
    task.user = seen->user_id;
    task.command = seen->command;
    task.arguments = seen->arguments;
    task.working_directory = seen->working_directory;
    buf_init(&xml, TASK_XML_SIZE_MAX);
    if (task_xml_build(&task, &xml, &err) != 0) {
        fuzz_check_error(&err);
    } else {
        FUZZ_CHECK(task_xml_read(xml.data, xml.size, &again, &err) == 0);
        FUZZ_CHECK(task_matches(&task, &again, NULL, 0));
        FUZZ_CHECK(strcmp(again.user_id, seen->user_id) == 0);
    }
    buf_release(&xml);
}

static void read_definition(const uint8_t *xml, size_t size)
{
    struct task_seen seen;
    struct err err = {0};
    fuzz_memory_start();
    int status = task_xml_read(xml, size, &seen, &err);
    FUZZ_CHECK(fuzz_memory_taken() <= 16 * (size_t)TASK_XML_SIZE_MAX);
    if (status != 0) {
        fuzz_check_error(&err);
        return;
    }
    check_strings(&seen);
    check_match(&seen);
    check_round_trip(&seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor c = cursor_of(data, size);
    bool as_it_comes = (cursor_u8(&c) & 1) != 0;
    if (as_it_comes && size > 0) {
        read_definition(data + 1, size - 1);
        return 0;
    }
    char text[8192];
    struct buf xml;
    fuzz_text(&c, text, sizeof text);
    buf_init(&xml, TASK_XML_SIZE_MAX);
    if (utf16_from_utf8(&xml, text) == 0 && xml.size > 0)
        read_definition(xml.data, xml.size);
    buf_release(&xml);
    return 0;
}
