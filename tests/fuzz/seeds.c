/* Writes the inputs that fuzzing begins with: `fuzz_seeds FOLDER` makes FOLDER/PARSER/NAME. The
 * fuzzer keeps what reaches new code; tests/run-fuzz --merge puts that into the tree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../unit/wire_samples.h"
#include "common/wire/wire.h"
#include "fuzz.h"

static const char *root;

static void seed(const char *parser, const char *name, const void *bytes, size_t size)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", root, parser);
    (void)mkdir(path, 0777);
    (void)snprintf(path, sizeof path, "%s/%s/%s", root, parser, name);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

static void seed_wire(void)
{
    for (int kind = MESSAGE_NONE + 1; kind < MESSAGE_KIND_COUNT; kind++) {
        for (uint32_t rows = 0; rows < 3; rows += 2) {
            struct message message = {.kind = (enum message_kind)kind, .request = 7};
            samples[kind].fill(&message, rows);
            struct buf bytes;
            buf_init(&bytes, LIMIT_MESSAGE_BYTES_MAX);
            struct err err = {0};
            FUZZ_CHECK(wire_encode(&message, &bytes, &err) == 0);
            char name[64];
            (void)snprintf(name, sizeof name, "%s-%u", message_kind_word(message.kind), rows);
            seed("wire", name, bytes.data, bytes.size);
            buf_release(&bytes);
            message_release(&message);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    root = argv[1];
    (void)mkdir(root, 0777);
    seed_wire();
    return 0;
}
