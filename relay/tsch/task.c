/* A task's name, fingerprint and definition; whether a task found is ours. */
#include "relay/tsch/task.h"

#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/base/hex.h"
#include "common/base/text.h"
#include "common/base/utf16.h"

#define FINGERPRINT_LABEL "pusher job 1" /* a new rule for the fields gets a new label */
#define DESCRIPTION_PREFIX "Pusher job "
#define TASK_NAMESPACE "http://schemas.microsoft.com/windows/2004/02/mit/task"
#define YEAR_10000_S 253402300800LL /* 10000-01-01T00:00:00Z */
#define PRIORITY 5                  /* [MS-TSCH] 2.5.3 Priority: 7, the default, is below normal */

static const char *text_or_empty(const char *text)
{
    return text != NULL ? text : "";
}

char *task_path(const uint8_t push_id[TASK_PUSH_ID_BYTES], uint32_t generation,
                char path[TASK_PATH_SIZE])
{
    char id[2 * TASK_PUSH_ID_BYTES + 1];
    hex_encode(push_id, TASK_PUSH_ID_BYTES, id);
    (void)snprintf(path, TASK_PATH_SIZE, TASK_FOLDER "\\%s-%u", id, generation);
    return path;
}

static void hash_u64(struct sha256_ctx *sha, uint64_t value)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(value >> (8 * (7 - i)));
    sha256_update(sha, sizeof bytes, bytes);
}

/* Length first, so that no two lists of fields give the same bytes. */
static void hash_field(struct sha256_ctx *sha, const void *bytes, size_t size)
{
    hash_u64(sha, size);
    sha256_update(sha, size, bytes);
}

static void hash_text(struct sha256_ctx *sha, const char *text)
{
    hash_field(sha, text, strlen(text));
}

char *task_description(const struct task_job *job, char text[TASK_DESCRIPTION_SIZE])
{
    struct sha256_ctx sha;
    sha256_init(&sha);
    hash_text(&sha, FINGERPRINT_LABEL);
    hash_field(&sha, job->push_id, sizeof job->push_id);
    hash_u64(&sha, job->generation);
    hash_field(&sha, job->package_digest, sizeof job->package_digest);
    hash_text(&sha, job->command);
    hash_text(&sha, text_or_empty(job->arguments));
    hash_u64(&sha, (uint64_t)job->principal);
    hash_text(&sha, text_or_empty(job->user));
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_digest(&sha, sizeof digest, digest);
    char digits[2 * SHA256_DIGEST_SIZE + 1];
    hex_encode(digest, sizeof digest, digits);
    (void)snprintf(text, TASK_DESCRIPTION_SIZE, DESCRIPTION_PREFIX "%s", digits);
    return text;
}

bool task_description_is_ours(const char *description)
{
    size_t prefix = strlen(DESCRIPTION_PREFIX);
    return strncmp(description, DESCRIPTION_PREFIX, prefix) == 0 &&
           strlen(description + prefix) == 2 * SHA256_DIGEST_SIZE &&
           strspn(description + prefix, "0123456789abcdef") == 2 * SHA256_DIGEST_SIZE;
}

/* Whether XML 1.0 can carry the text and no control character is in it. XML allows tab and line
 * breaks, and C1 controls; none has any business in a command line or a name. */
static bool text_fits_xml(const char *text)
{
    if (!utf8_valid(text))
        return false;
    for (const uint8_t *p = (const uint8_t *)text; *p != 0; p++) {
        if (*p < 0x20 || *p == 0x7f)
            return false;
        if (*p == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f) /* U+0080 to U+009F */
            return false;
        if (*p == 0xef && p[1] == 0xbf && p[2] >= 0xbe) /* U+FFFE, U+FFFF */
            return false;
    }
    return true;
}

static void put_escaped(struct buf *xml, const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        switch (*p) {
        case '&':
            buf_text(xml, "&amp;");
            break;
        case '<':
            buf_text(xml, "&lt;");
            break;
        case '>':
            buf_text(xml, "&gt;");
            break;
        case '"':
            buf_text(xml, "&quot;");
            break;
        default:
            buf_u8(xml, (uint8_t)*p);
            break;
        }
    }
}

/* <name>text</name>; nothing when the text is empty. */
static void put_element(struct buf *xml, const char *name, const char *text)
{
    if (text[0] == '\0')
        return;
    buf_printf(xml, "<%s>", name);
    put_escaped(xml, text);
    buf_printf(xml, "</%s>", name);
}

/* xs:dateTime, [MS-TSCH] 2.5.1: without Z it is the target's wall clock. */
static void put_boundary(struct buf *xml, const char *name, int64_t unix_s, bool utc)
{
    time_t seconds = (time_t)unix_s;
    struct tm tm;
    char text[TASK_TIME_SIZE] = "";
    if (gmtime_r(&seconds, &tm) != NULL)
        (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    buf_printf(xml, "<%s>%s%s</%s>", name, text, utc ? "Z" : "", name);
}

/* xs:duration in its canonical units, since a scheduler may refuse PT7200S. */
static void put_duration(struct buf *xml, const char *name, uint32_t seconds)
{
    uint32_t days = seconds / 86400;
    uint32_t rest = seconds % 86400;
    buf_printf(xml, "<%s>P", name);
    if (days > 0)
        buf_printf(xml, "%uD", days);
    if (rest > 0 || days == 0)
        buf_text(xml, "T");
    if (rest >= 3600)
        buf_printf(xml, "%uH", rest / 3600);
    if (rest % 3600 >= 60)
        buf_printf(xml, "%uM", rest % 3600 / 60);
    if (rest % 60 > 0 || seconds == 0)
        buf_printf(xml, "%uS", rest % 60);
    buf_printf(xml, "</%s>", name);
}

/* [MS-TSCH] 2.5.6. SYSTEM gets no LogonType: the schema has no value for a service account. */
static void put_principal(struct buf *xml, const struct task *task)
{
    const char *user = text_or_empty(task->user);
    buf_text(xml, "<Principals><Principal id=\"Author\">");
    switch (task->principal) {
    case TASK_AS_SYSTEM:
        buf_text(xml, "<UserId>S-1-5-18</UserId><RunLevel>HighestAvailable</RunLevel>");
        break;
    case TASK_AS_LOCAL_SERVICE:
        buf_text(xml, "<UserId>S-1-5-19</UserId><RunLevel>LeastPrivilege</RunLevel>");
        break;
    case TASK_AS_NETWORK_SERVICE:
        buf_text(xml, "<UserId>S-1-5-20</UserId><RunLevel>LeastPrivilege</RunLevel>");
        break;
    case TASK_AS_USER:
        if (user[0] == '\0') {
            buf_text(xml, "<GroupId>S-1-5-32-545</GroupId>");
        } else {
            put_element(xml, "UserId", user);
            buf_text(xml, "<LogonType>InteractiveToken</LogonType>");
        }
        buf_text(xml, "<RunLevel>LeastPrivilege</RunLevel>");
        break;
    }
    buf_text(xml, "</Principal></Principals>");
}

/* [MS-TSCH] 2.5.3. What the defaults would do to a push: laptops on battery skip it, it is killed
 * when they are unplugged or somebody moves the mouse, it runs below normal priority for 72 h.
 * No start on demand: one registration is one start. */
static void put_settings(struct buf *xml, const struct task *task)
{
    buf_text(xml, "<Settings>"
                  "<AllowStartOnDemand>false</AllowStartOnDemand>"
                  "<MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>"
                  "<DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>"
                  "<StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>"
                  "<AllowHardTerminate>true</AllowHardTerminate>"
                  "<StartWhenAvailable>true</StartWhenAvailable>"
                  "<RunOnlyIfNetworkAvailable>false</RunOnlyIfNetworkAvailable>"
                  "<IdleSettings><StopOnIdleEnd>false</StopOnIdleEnd>"
                  "<RestartOnIdle>false</RestartOnIdle></IdleSettings>"
                  "<Enabled>true</Enabled>"
                  "<Hidden>false</Hidden>"
                  "<RunOnlyIfIdle>false</RunOnlyIfIdle>"
                  "<WakeToRun>false</WakeToRun>");
    put_duration(xml, "DeleteExpiredTaskAfter", task->delete_expired_after_s);
    put_duration(xml, "ExecutionTimeLimit", task->execution_limit_s);
    buf_printf(xml, "<Priority>%u</Priority></Settings>", PRIORITY);
}

static void put_task(struct buf *xml, const struct task *task)
{
    buf_text(xml, "<?xml version=\"1.0\" encoding=\"UTF-16\"?>"
                  "<Task version=\"1.2\" xmlns=\"" TASK_NAMESPACE "\"><RegistrationInfo>");
    put_element(xml, "Author", task->author);
    put_element(xml, "Description", task->description);
    buf_text(xml, "</RegistrationInfo><Triggers><TimeTrigger><Enabled>true</Enabled>");
    put_boundary(xml, "StartBoundary", task->start_unix_s, task->utc);
    put_boundary(xml, "EndBoundary", task->end_unix_s, task->utc);
    buf_text(xml, "</TimeTrigger></Triggers>");
    put_principal(xml, task);
    put_settings(xml, task);
    buf_text(xml, "<Actions Context=\"Author\"><Exec>");
    put_element(xml, "Command", task->command);
    put_element(xml, "Arguments", text_or_empty(task->arguments));
    put_element(xml, "WorkingDirectory", text_or_empty(task->working_directory));
    buf_text(xml, "</Exec></Actions></Task>");
}

static int check_task(const struct task *task, struct err *err)
{
    const char *texts[] = {task->author,
                           task->description,
                           task->command,
                           text_or_empty(task->user),
                           text_or_empty(task->arguments),
                           text_or_empty(task->working_directory)};
    static const char *const names[] = {"author", "description", "command",
                                        "user",   "arguments",   "working directory"};
    static const size_t sizes[] = {TASK_ACCOUNT_SIZE, TASK_DESCRIPTION_SIZE, TASK_COMMAND_SIZE,
                                   TASK_ACCOUNT_SIZE, TASK_ARGUMENTS_SIZE,   TASK_DIRECTORY_SIZE};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (!text_fits_xml(texts[i]))
            return err_set(err, ERR_INVALID,
                           "the task's %s has a character that a task cannot hold", names[i]);
        if (strlen(texts[i]) >= sizes[i])
            return err_set(err, ERR_LIMIT, "the task's %s is longer than %zu bytes", names[i],
                           sizes[i] - 1);
    }
    if (task->command[0] == '\0')
        return err_set(err, ERR_INVALID, "the task has no command");
    if (task->start_unix_s < 0 || task->end_unix_s >= YEAR_10000_S)
        return err_set(err, ERR_INVALID, "the task's boundaries are outside 1970 to 9999");
    if (task->end_unix_s <= task->start_unix_s)
        return err_set(err, ERR_INVALID, "the task ends before it starts");
    return 0;
}

int task_xml_build(const struct task *task, struct buf *out, struct err *err)
{
    if (check_task(task, err) != 0)
        return -1;
    struct buf utf8;
    buf_init(&utf8, TASK_XML_SIZE_MAX / 2);
    put_task(&utf8, task);
    int status = 0;
    if (!buf_ok(&utf8))
        status = err_set(err, ERR_LIMIT, "the task's definition is too long");
    else if (utf16_from_utf8(out, buf_cstr(&utf8)) != 0)
        status = err_set(err, ERR_INVALID, "the task's definition is not UTF-8");
    else if (!buf_ok(out))
        status = err_set(err, ERR_LIMIT, "the task's definition is longer than %zu bytes",
                         out->size_max);
    buf_release(&utf8);
    return status;
}

/* Names under which a scheduler may give a well-known account back; the SID is usual. */
static bool is_account(const char *seen, const char *const names[], size_t name_count)
{
    for (size_t i = 0; i < name_count; i++) {
        if (text_equal_nocase(seen, names[i]))
            return true;
    }
    return false;
}

static bool principal_matches(const struct task *expected, const struct task_seen *seen)
{
    static const char *const system[] = {"S-1-5-18", "SYSTEM", "NT AUTHORITY\\SYSTEM",
                                         "LocalSystem"};
    static const char *const local[] = {"S-1-5-19", "LOCAL SERVICE", "NT AUTHORITY\\LOCAL SERVICE"};
    static const char *const network[] = {"S-1-5-20", "NETWORK SERVICE",
                                          "NT AUTHORITY\\NETWORK SERVICE"};
    static const char *const users[] = {"S-1-5-32-545", "BUILTIN\\Users", "Users"};
    bool no_group = seen->group_id[0] == '\0';
    const char *user = text_or_empty(expected->user);
    switch (expected->principal) {
    case TASK_AS_SYSTEM:
        return no_group && is_account(seen->user_id, system, sizeof system / sizeof system[0]);
    case TASK_AS_LOCAL_SERVICE:
        return no_group && is_account(seen->user_id, local, sizeof local / sizeof local[0]);
    case TASK_AS_NETWORK_SERVICE:
        return no_group && is_account(seen->user_id, network, sizeof network / sizeof network[0]);
    case TASK_AS_USER:
        break;
    }
    if (user[0] == '\0')
        return seen->user_id[0] == '\0' &&
               is_account(seen->group_id, users, sizeof users / sizeof users[0]);
    /* A name that we sent may come back as the account's SID, which we cannot look up; the
     * description covers the name. */
    return no_group && strcmp(seen->logon_type, "InteractiveToken") == 0 &&
           (text_equal_nocase(seen->user_id, user) ||
            strncmp(seen->user_id, "S-1-5-21-", strlen("S-1-5-21-")) == 0);
}

/* What differs, or NULL. */
static const char *difference(const struct task *expected, const struct task_seen *seen)
{
    if (seen->oversized)
        return "a field is longer than any of ours";
    if (strcmp(seen->description, expected->description) != 0)
        return "its description is not this job's";
    if (seen->action_count != 1 || seen->exec_count != 1)
        return "it does not have exactly one command";
    if (strcmp(seen->command, expected->command) != 0)
        return "its command differs";
    if (strcmp(seen->arguments, text_or_empty(expected->arguments)) != 0)
        return "its arguments differ";
    if (strcmp(seen->working_directory, text_or_empty(expected->working_directory)) != 0)
        return "its working directory differs";
    if (seen->principal_count != 1 || !principal_matches(expected, seen))
        return "it runs as another account";
    return NULL;
}

bool task_matches(const struct task *expected, const struct task_seen *seen, char *why,
                  size_t why_size)
{
    const char *what = difference(expected, seen);
    if (what != NULL && why != NULL)
        (void)text_copy(why, why_size, what);
    return what == NULL;
}
