/* Prints the script through which a waited-for package runs.
 *
 *     wrapper_probe PUSH NAME ARGUMENTS [COMMAND]
 *
 * As the CLI makes a job of it, and the relay a script. Exit status 1, with a sentence, when it is
 * refused.
 */
#include <stdio.h>

#include "common/base/text.h"
#include "common/pkg/wrapper.h"
#include "coordinator/cli/values.h"

int main(int argc, char **argv)
{
    struct job job = {.generation = 1, .wait = true};
    struct buf script;
    struct err err;
    buf_init(&script, WRAPPER_SIZE_MAX);
    if (argc < 4 || push_id_from_text(argv[1], &job.push) != 0 ||
        !text_copy(job.package_name, sizeof job.package_name, argv[2])) {
        (void)fprintf(stderr, "usage: wrapper_probe PUSH NAME ARGUMENTS [COMMAND]\n");
        return 2;
    }
    int status = job_set_command(&job, argc > 4 ? argv[4] : NULL, argv[3], &err);
    if (status == 0)
        status = wrapper_build(&job, &script, &err);
    if (status == 0)
        (void)fwrite(script.data, 1, script.size, stdout);
    else
        (void)fprintf(stderr, "%s\n", err.text);
    buf_release(&script);
    return status == 0 ? 0 : 1;
}
