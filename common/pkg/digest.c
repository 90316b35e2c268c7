/* SHA-256 piece by piece. */
#include "common/pkg/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/mem.h"

#define READ_BYTES (1U << 20)

struct digest {
    EVP_MD_CTX *context;
};

struct digest *digest_new(void)
{
    struct digest *digest = mem_new(1, sizeof *digest);
    digest->context = EVP_MD_CTX_new();
    if (digest->context == NULL || EVP_DigestInit_ex(digest->context, EVP_sha256(), NULL) != 1)
        mem_exhausted();
    return digest;
}

void digest_free(struct digest *digest)
{
    if (digest == NULL)
        return;
    EVP_MD_CTX_free(digest->context);
    free(digest);
}

void digest_add(struct digest *digest, const void *data, size_t size)
{
    if (EVP_DigestUpdate(digest->context, data, size) != 1)
        mem_exhausted();
}

void digest_end(struct digest *digest, uint8_t out[LIMIT_DIGEST_BYTES])
{
    if (EVP_DigestFinal_ex(digest->context, out, NULL) != 1)
        mem_exhausted();
}

int digest_add_file(struct digest *digest, int fd, uint64_t size, struct err *err)
{
    uint8_t *block = mem_new(READ_BYTES, 1);
    uint64_t at = 0;
    int result = 0;
    while (result == 0 && at < size) {
        size_t wanted = size - at < READ_BYTES ? (size_t)(size - at) : READ_BYTES;
        ssize_t got = pread(fd, block, wanted, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            result = err_set_errno(err, errno, "cannot read");
        } else if (got == 0) {
            result = err_set(err, ERR_INVALID, "file became shorter while it was read");
        } else {
            digest_add(digest, block, (size_t)got);
            at += (uint64_t)got;
        }
    }
    free(block);
    return result;
}
