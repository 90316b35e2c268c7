/* Reads a task's XML with expat, trusting none of it.
 *
 * expat does the well-formedness; here are the limits: bytes, depth, no document type (hence no
 * entity but the five and numeric ones), each wanted element at most once.
 */
#include <expat.h>
#include <string.h>

#include "relay/tsch/task.h"

#define DEPTH_MAX 32
#define NAMESPACE_SEPARATOR '|'
#define TASK_NAMESPACE_PREFIX "http://schemas.microsoft.com/windows/2004/02/mit/task|"

/* Elements that matter, by local name in the task namespace. */
enum element {
    EL_OTHER, /* anything else, and everything of another namespace */
    EL_TASK,
    EL_REGISTRATION_INFO,
    EL_DESCRIPTION,
    EL_TRIGGERS,
    EL_START_BOUNDARY,
    EL_END_BOUNDARY,
    EL_PRINCIPALS,
    EL_PRINCIPAL,
    EL_USER_ID,
    EL_GROUP_ID,
    EL_LOGON_TYPE,
    EL_ACTIONS,
    EL_EXEC,
    EL_COMMAND,
    EL_ARGUMENTS,
    EL_WORKING_DIRECTORY,
};

/* Indexed by enum element. */
static const char *const element_names[] = {
    "",
    "Task",
    "RegistrationInfo",
    "Description",
    "Triggers",
    "StartBoundary",
    "EndBoundary",
    "Principals",
    "Principal",
    "UserId",
    "GroupId",
    "LogonType",
    "Actions",
    "Exec",
    "Command",
    "Arguments",
    "WorkingDirectory",
};
#define ELEMENT_COUNT (sizeof element_names / sizeof element_names[0])

struct reader {
    XML_Parser parser;
    struct task_seen *seen;
    enum element path[DEPTH_MAX]; /* open elements, outermost first */
    size_t depth;
    bool filled[ELEMENT_COUNT]; /* wanted elements that were read already */
    char *target;               /* field that text goes to, or NULL */
    size_t target_size;
    size_t target_used;
    enum err_code failure; /* why we stopped the parser; ERR_NONE if we did not */
    const char *failure_text;
};

static void stop(struct reader *reader, enum err_code code, const char *text)
{
    if (reader->failure != ERR_NONE)
        return;
    reader->failure = code;
    reader->failure_text = text;
    (void)XML_StopParser(reader->parser, XML_FALSE);
}

static enum element element_of(const char *name)
{
    size_t prefix_length = strlen(TASK_NAMESPACE_PREFIX);
    if (strncmp(name, TASK_NAMESPACE_PREFIX, prefix_length) != 0)
        return EL_OTHER;
    for (size_t i = EL_TASK; i < ELEMENT_COUNT; i++) {
        if (strcmp(name + prefix_length, element_names[i]) == 0)
            return (enum element)i;
    }
    return EL_OTHER;
}

/* Whether the open elements, but for the innermost, are these. */
static bool inside(const struct reader *reader, enum element first, enum element second)
{
    return reader->depth == 4 && reader->path[0] == EL_TASK && reader->path[1] == first &&
           reader->path[2] == second;
}

static void set_target(struct reader *reader, char *field, size_t size)
{
    reader->target = field;
    reader->target_size = size;
    reader->target_used = 0;
}

/* Points `target` at the field for the innermost element, if it is a wanted one in its place. */
static void choose_target(struct reader *reader)
{
    struct task_seen *seen = reader->seen;
    enum element element = reader->path[reader->depth - 1];
    bool first_exec = inside(reader, EL_ACTIONS, EL_EXEC) && seen->exec_count == 1;
    bool first_principal =
        inside(reader, EL_PRINCIPALS, EL_PRINCIPAL) && seen->principal_count == 1;
    bool first_trigger =
        reader->depth == 4 && reader->path[1] == EL_TRIGGERS && seen->trigger_count == 1;
    bool registration = reader->depth == 3 && reader->path[1] == EL_REGISTRATION_INFO;

    if (element == EL_DESCRIPTION && registration)
        set_target(reader, seen->description, sizeof seen->description);
    else if (element == EL_START_BOUNDARY && first_trigger)
        set_target(reader, seen->start_boundary, sizeof seen->start_boundary);
    else if (element == EL_END_BOUNDARY && first_trigger)
        set_target(reader, seen->end_boundary, sizeof seen->end_boundary);
    else if (element == EL_USER_ID && first_principal)
        set_target(reader, seen->user_id, sizeof seen->user_id);
    else if (element == EL_GROUP_ID && first_principal)
        set_target(reader, seen->group_id, sizeof seen->group_id);
    else if (element == EL_LOGON_TYPE && first_principal)
        set_target(reader, seen->logon_type, sizeof seen->logon_type);
    else if (element == EL_COMMAND && first_exec)
        set_target(reader, seen->command, sizeof seen->command);
    else if (element == EL_ARGUMENTS && first_exec)
        set_target(reader, seen->arguments, sizeof seen->arguments);
    else if (element == EL_WORKING_DIRECTORY && first_exec)
        set_target(reader, seen->working_directory, sizeof seen->working_directory);
    if (reader->target == NULL)
        return;
    if (reader->filled[element])
        stop(reader, ERR_PROTOCOL, "an element that may stand once stands twice");
    reader->filled[element] = true;
}

static void count_element(struct reader *reader)
{
    struct task_seen *seen = reader->seen;
    if (reader->depth != 3)
        return;
    if (reader->path[1] == EL_ACTIONS) {
        seen->action_count++;
        if (reader->path[2] == EL_EXEC)
            seen->exec_count++;
    }
    if (reader->path[1] == EL_PRINCIPALS && reader->path[2] == EL_PRINCIPAL)
        seen->principal_count++;
    if (reader->path[1] == EL_TRIGGERS)
        seen->trigger_count++;
}

static void XMLCALL on_start(void *context, const XML_Char *name, const XML_Char **attributes)
{
    (void)attributes;
    struct reader *reader = context;
    if (reader->target != NULL) {
        stop(reader, ERR_PROTOCOL, "an element inside of text");
        return;
    }
    if (reader->depth == DEPTH_MAX) {
        stop(reader, ERR_LIMIT, "elements are nested too deep");
        return;
    }
    reader->path[reader->depth] = element_of(name);
    reader->depth++;
    if (reader->depth == 1 && reader->path[0] != EL_TASK) {
        stop(reader, ERR_PROTOCOL, "not a task");
        return;
    }
    count_element(reader);
    choose_target(reader);
}

static void XMLCALL on_end(void *context, const XML_Char *name)
{
    (void)name;
    struct reader *reader = context;
    reader->target = NULL;
    if (reader->depth > 0)
        reader->depth--;
}

static void XMLCALL on_text(void *context, const XML_Char *text, int length)
{
    struct reader *reader = context;
    if (reader->target == NULL || length <= 0)
        return;
    size_t room = reader->target_size - 1 - reader->target_used;
    size_t size = (size_t)length;
    if (size > room) {
        reader->seen->oversized = true;
        size = room;
    }
    memcpy(reader->target + reader->target_used, text, size);
    reader->target_used += size;
}

static void XMLCALL on_doctype(void *context, const XML_Char *name, const XML_Char *system_id,
                               const XML_Char *public_id, int has_internal_subset)
{
    (void)name;
    (void)system_id;
    (void)public_id;
    (void)has_internal_subset;
    stop(context, ERR_PROTOCOL, "a document type declaration");
}

static int parse(struct reader *reader, const uint8_t *xml, size_t size, struct err *err)
{
    XML_SetUserData(reader->parser, reader);
    XML_SetElementHandler(reader->parser, on_start, on_end);
    XML_SetCharacterDataHandler(reader->parser, on_text);
    XML_SetStartDoctypeDeclHandler(reader->parser, on_doctype);
    enum XML_Status status =
        XML_Parse(reader->parser, (const char *)xml, (int)size, 1 /* the whole document */);
    if (reader->failure != ERR_NONE)
        return err_set(err, reader->failure, "task xml: %s", reader->failure_text);
    if (status != XML_STATUS_OK)
        return err_set(err, ERR_PROTOCOL, "task xml: %s, line %lu, column %lu",
                       XML_ErrorString(XML_GetErrorCode(reader->parser)),
                       (unsigned long)XML_GetCurrentLineNumber(reader->parser),
                       (unsigned long)XML_GetCurrentColumnNumber(reader->parser));
    return 0;
}

int task_xml_read(const uint8_t *xml, size_t size, struct task_seen *seen, struct err *err)
{
    if (size > TASK_XML_SIZE_MAX)
        return err_set(err, ERR_LIMIT, "task xml of %zu bytes", size);
    if (size == 0 || size % 2 != 0)
        return err_set(err, ERR_PROTOCOL, "task xml of %zu bytes", size);
    bool byte_order_mark = xml[0] == 0xff && xml[1] == 0xfe;
    size_t skip = byte_order_mark ? 2 : 0;
    memset(seen, 0, sizeof *seen);
    struct reader reader = {.seen = seen};
    /* The encoding is what the call's type says, whatever the XML declaration claims. */
    reader.parser = XML_ParserCreateNS("UTF-16LE", NAMESPACE_SEPARATOR);
    if (reader.parser == NULL)
        return err_set(err, ERR_INTERNAL, "no memory for an xml parser");
    int status = parse(&reader, xml + skip, size - skip, err);
    XML_ParserFree(reader.parser);
    return status;
}
