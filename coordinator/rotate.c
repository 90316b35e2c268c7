/* Changing the coordinator's key. */
#include "coordinator/rotate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/signed/fingerprint.h"
#include "common/signed/objects.h"
#include "common/trust/keys.h"
#include "common/trust/secret.h"
#include "coordinator/files.h"
#include "coordinator/store/store.h"

#define NEXT_KEY "curve.next.key"
#define NEXT_PUBLIC "curve.next.pub"

int rotate_begin(const char *folder, struct err *err)
{
    char path[FILES_PATH_SIZE];
    struct key_pair present = {0};
    struct key_pair next = {0};
    char text[KEY_TEXT_SIZE];
    char fingerprint[FINGERPRINT_TEXT_SIZE];
    if (trust_start(err) != 0 || files_path(path, folder, "curve.key", err) != 0 ||
        key_pair_load(&present, KEY_CURVE, path, err) != 0)
        return -1;
    key_pair_release(&present);
    if (files_path(path, folder, NEXT_KEY, err) != 0 ||
        key_pair_load_or_create(&next, KEY_CURVE, path, err) != 0)
        return -1;
    key_text(next.public_key, text);
    key_fingerprint(next.public_key, fingerprint);
    int result = files_path(path, folder, NEXT_PUBLIC, err);
    if (result == 0)
        result = files_write_key(path, next.public_key, err);
    key_pair_release(&next);
    if (result != 0)
        return -1;
    (void)printf("%s\n", text);
    (void)fprintf(stderr,
                  "The coordinator's next key has the fingerprint %s.\n"
                  "1. pusher policy coordinator-key add %s\n"
                  "2. When the relays have had time to hear of it, stop the coordinator, then\n"
                  "   pusher-coordinator rotate-key --state %s --finish, and start it again.\n"
                  "3. pusher policy coordinator-key rm, with the old key.\n",
                  fingerprint, path, folder);
    return fflush(stdout) == 0 ? 0 : err_set_errno(err, errno, "cannot write to standard output");
}

/* Whether the newest policy names the key; the store is the coordinator's own. */
static int check_policy(const char *folder, const uint8_t key[LIMIT_KEY_BYTES], struct err *err)
{
    char path[FILES_PATH_SIZE];
    struct store *store = NULL;
    struct policy policy = {0};
    struct buf bytes;
    uint64_t version = 0;
    if (files_path(path, folder, "store.db", err) != 0 || store_open(&store, path, err) != 0)
        return -1;
    buf_init(&bytes, OBJECT_BYTES_MAX);
    int result = store_policy_newest(store, &version, err);
    if (result == 0 && version == 0)
        result = err_set(err, ERR_DENIED, "there is no policy that names the new key");
    if (result == 0)
        result = store_policy_get(store, version, &bytes, err);
    if (result == 0)
        result = policy_look(bytes.data, bytes.size, &policy, NULL, err);
    if (result == 0 && !policy_has_coordinator(&policy, key))
        result = err_set(err, ERR_DENIED,
                         "policy %llu doesn't name the new key: no relay would find this "
                         "coordinator (pusher policy coordinator-key add)",
                         (unsigned long long)version);
    policy_release(&policy);
    buf_release(&bytes);
    store_close(store);
    return result;
}

static int sync_folder(const char *folder, struct err *err)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        int failure = errno;
        if (fd >= 0)
            (void)close(fd);
        return err_set_errno(err, failure, "cannot sync %s", folder);
    }
    (void)close(fd);
    return 0;
}

static int take(const char *folder, const char *next_path, const uint8_t key[LIMIT_KEY_BYTES],
                struct err *err)
{
    char path[FILES_PATH_SIZE];
    if (files_path(path, folder, "curve.key", err) != 0)
        return -1;
    if (rename(next_path, path) != 0)
        return err_set_errno(err, errno, "cannot rename %s", next_path);
    if (sync_folder(folder, err) != 0 || files_path(path, folder, "curve.pub", err) != 0 ||
        files_write_key(path, key, err) != 0 || files_path(path, folder, NEXT_PUBLIC, err) != 0)
        return -1;
    (void)unlink(path);
    return 0;
}

int rotate_finish(const char *folder, struct err *err)
{
    char next_path[FILES_PATH_SIZE];
    struct key_pair next = {0};
    int lock_fd = -1;
    if (trust_start(err) != 0 || files_path(next_path, folder, NEXT_KEY, err) != 0 ||
        files_lock_state(folder, &lock_fd, err) != 0)
        return -1;
    int result = key_pair_load(&next, KEY_CURVE, next_path, err);
    if (result == 0)
        result = check_policy(folder, next.public_key, err);
    if (result == 0)
        result = take(folder, next_path, next.public_key, err);
    key_pair_release(&next);
    (void)close(lock_fd);
    return result;
}
