/* Replays a fuzzer's corpus without libFuzzer: every file that is named, and every file of every
 * folder, in the order of their names. Says which file it is at when it dies; an empty corpus is a
 * failure, since it would prove nothing. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "fuzz.h"

#define PATH_SIZE 4096

static char current[PATH_SIZE];

__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return 0;
}

/* Only write(2): this runs in a signal handler or while a sanitizer reports. */
static void tell_current(void)
{
    static const char before[] = "\nreplay: it was at ";
    (void)!write(STDERR_FILENO, before, sizeof before - 1);
    (void)!write(STDERR_FILENO, current, strlen(current));
    (void)!write(STDERR_FILENO, "\n", 1);
}

static void on_abort(int signal_no)
{
    tell_current();
    (void)signal(signal_no, SIG_DFL);
    (void)raise(signal_no);
}

void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static int replay_file(const char *path, size_t *count)
{
    (void)snprintf(current, sizeof current, "%s", path);
    FILE *file = fopen(path, "rb");
    struct stat status;
    if (file == NULL || fstat(fileno(file), &status) != 0) {
        perror(path);
        return -1;
    }
    size_t size = (size_t)status.st_size;
    uint8_t *bytes = malloc(size == 0 ? 1 : size); /* exact, so that a read past the end is seen */
    if (bytes == NULL || fread(bytes, 1, size, file) != size) {
        perror(path);
        return -1;
    }
    (void)fclose(file);
    (void)LLVMFuzzerTestOneInput(bytes, size);
    free(bytes);
    *count += 1;
    return 0;
}

static int not_hidden(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int replay(const char *path, size_t *count)
{
    struct dirent **entries = NULL;
    int found = scandir(path, &entries, not_hidden, alphasort);
    if (found < 0)
        return replay_file(path, count);
    int result = 0;
    for (int i = 0; i < found; i++) {
        char inside[PATH_SIZE];
        (void)snprintf(inside, sizeof inside, "%s/%s", path, entries[i]->d_name);
        if (result == 0)
            result = replay_file(inside, count);
        free(entries[i]);
    }
    free(entries);
    return result;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        (void)fprintf(stderr, "usage: %s FILE-OR-FOLDER...\n", argv[0]);
        return 2;
    }
    (void)signal(SIGABRT, on_abort);
    if (__sanitizer_set_death_callback != NULL)
        __sanitizer_set_death_callback(tell_current);
    (void)LLVMFuzzerInitialize(&argc, &argv);
    size_t count = 0;
    for (int i = 1; i < argc; i++) {
        if (replay(argv[i], &count) != 0)
            return 1;
    }
    printf("replay: %zu files\n", count);
    if (count == 0)
        (void)fprintf(stderr, "replay: nothing to replay: the corpus is empty\n");
    return count == 0 ? 1 : 0;
}
