/* Secret memory, randomness, hardening: libsodium and the kernel. */
#include "common/trust/secret.h"

#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/mem.h"

int trust_start(struct err *err)
{
    if (sodium_init() < 0)
        return err_set(err, ERR_INTERNAL, "cannot start libsodium");
    srand(randombytes_random());
    return 0;
}

int process_harden(struct err *err)
{
    const struct rlimit no_core = {0, 0};
    if (trust_start(err) != 0)
        return -1;
    if (setrlimit(RLIMIT_CORE, &no_core) != 0)
        return err_set_errno(err, errno, "cannot forbid core dumps");
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return err_set_errno(err, errno, "cannot forbid tracing");
    return 0;
}

int process_follow(pid_t parent, struct err *err)
{
    if (prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) != 0)
        return err_set_errno(err, errno, "cannot follow process %d", (int)parent);
    /* After the request, so that an end between the two is seen by one of them. */
    if (getppid() != parent)
        return err_set(err, ERR_UNAVAILABLE, "process %d is not our parent: it has ended",
                       (int)parent);
    return 0;
}

void *secret_new(size_t size)
{
    void *secret = sodium_malloc(size);
    if (secret == NULL)
        mem_exhausted();
    sodium_memzero(secret, size);
    return secret;
}

void secret_free(void *secret)
{
    sodium_free(secret);
}

void secret_wipe(void *data, size_t size)
{
    sodium_memzero(data, size);
}

struct credential *credential_new(void)
{
    /* sodium_malloc puts the end of the block at a guard page: round up to keep it aligned. */
    const size_t alignment = 16;
    return secret_new((sizeof(struct credential) + alignment - 1) / alignment * alignment);
}

void credential_free(struct credential *credential)
{
    secret_free(credential);
}

void random_bytes(void *to, size_t size)
{
    randombytes_buf(to, size);
}

uint64_t random_u64(void)
{
    uint64_t value;
    randombytes_buf(&value, sizeof value);
    return value;
}

uint32_t random_below(uint32_t bound)
{
    return randombytes_uniform(bound);
}
